"""The command line as a whole, and `serve`."""

from __future__ import annotations

import logging
import re
import signal
import socket
from pathlib import Path

import click
import httpx
import pytest

from statushub.hub import __version__
from statushub.hub.cli import cli, run
from statushub.hub.cli.serve import announce
from statushub.hub.config import Config
from tests.support.command import command, ended, serving, started
from tests.support.ports import free_port, wait_for_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

FLAGS = [
    (name, flag)
    for name, one in cli.commands.items()
    for option in one.params
    if isinstance(option, click.Option)
    for flag in (*option.opts, *option.secondary_opts)
]

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) +"
"""Beginning of each log line, of the hub and of uvicorn."""


def test_version_is_that_of_the_package() -> None:
    """`--version` prints name and version."""
    assert command("--version").stdout == f"statushub {__version__}\n"


@pytest.mark.parametrize("name", [(), *((name,) for name in cli.commands)], ids=lambda name: name[0] if name else "all")
def test_every_command_has_a_help(name: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The help has examples, except for the demo."""
    assert run([*name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: statushub{''.join(f' {part}' for part in name)}")
    assert "Examples:" in shown or name == ("demo",)


@pytest.mark.parametrize(
    ("words", "position", "completed"),
    [
        ("statushub rev", 1, ["revoke"]),
        ("statushub watch --un", 2, ["--until-done"]),
        ("statushub check b", 2, ["broker"]),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, position: int, completed: list[str]) -> None:
    """By the protocol that the page describes for bash."""
    variables = {"_STATUSHUB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    result = command(env=variables)
    assert [line.partition(",")[2] for line in result.stdout.splitlines()] == completed


def test_a_missing_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A bare `statushub` prints its help to stderr and exits with 2."""
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=[f"{name} {flag}" for name, flag in FLAGS])
def test_a_mistyped_flag_suggests_the_right_one(name: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One letter added to any flag of any command gives an error of one line."""
    assert run([name, f"{flag}e"]) == 2
    error = capsys.readouterr().err
    assert f"'{flag}'" in error.partition("Did you mean")[2]
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", list(cli.commands))
def test_a_mistyped_command_suggests_the_right_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One letter added to any command gives an error of one line."""
    assert run([f"{name}e"]) == 2
    assert f"'{name}'" in capsys.readouterr().err.partition("Did you mean")[2]


def test_a_flag_overrides_the_environment(tmp_path: Path) -> None:
    """The flag's port is used although the variable's is invalid; other variables still apply."""
    with serving("--port", 0, cwd=tmp_path, env={"STATUSHUB_PORT": "99999", "STATUSHUB_BROKER": "memory:"}):
        assert list(tmp_path.iterdir()) == []


def test_repeated_flags_replace_the_default(tmp_path: Path) -> None:
    """Only the origins of the flags are allowed, and no longer the pages of this machine."""
    listed = ("https://one.example", "https://two.example")
    flags = [word for origin in listed for word in ("--cors-origin", origin)]
    with serving("--broker", "memory:", *flags, cwd=tmp_path) as (_, url):
        for origin in (*listed, "http://localhost:3000"):
            allowed = httpx.get(f"{url}/healthz", headers={"Origin": origin}).headers.get("access-control-allow-origin")
            assert allowed == (origin if origin in listed else None)


@pytest.mark.parametrize(("variable", "value"), [("STATUSHUB_PORT", "many"), ("STATUSHUB_INSECURE", "perhaps")])
def test_an_invalid_variable_is_named(variable: str, value: str) -> None:
    """An invalid variable keeps the hub from starting; tests/live/test_settings.py has every setting."""
    result = command("serve", env={variable: value})
    assert result.returncode == 2
    assert result.stderr.startswith(f"statushub: {variable} is ")
    assert result.stderr.count("\n") == 1


def test_sigterm_stops_a_hub_gracefully(tmp_path: Path) -> None:
    """The exit code is 0, stdout is empty, and stderr has only the log."""
    with serving("--broker", "memory:", cwd=tmp_path) as (process, url):
        assert httpx.get(f"{url}/readyz").status_code == 200
        code, out, err = ended(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    unauthenticated, stopping = err.splitlines()
    assert re.fullmatch(
        rf"{STAMP} No signing key: every client on this machine may read and publish; .*", unauthenticated
    )
    assert re.fullmatch(rf"{STAMP} Shutting down", stopping)


@pytest.mark.redis
def test_workers_share_a_port_and_a_log_format(redis_server: RedisServer, tmp_path: Path) -> None:
    """Several processes on one Redis serve, log in one format, and end together with exit code 0."""
    arguments = ("--workers", 2, "--broker", redis_server.url, "--access-log")
    with serving(*arguments, cwd=tmp_path) as (process, url):
        assert httpx.get(f"{url}/readyz").status_code == 200
        code, out, err = ended(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    assert "GET /readyz" in err
    assert all(re.match(STAMP, line) for line in err.splitlines()), err


@pytest.mark.redis
@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("debug", {"DEBUG", "INFO", "WARNING"}),
        ("info", {"INFO", "WARNING"}),
        ("warning", {"WARNING"}),
        ("error", set()),
    ],
)
def test_a_log_level_holds_for_every_module(level: str, logged: set[str], tmp_path: Path) -> None:
    """The lines of brokers, replicas, server and uvicorn appear from that level on."""
    redis = RedisServer(tmp_path, appendonly=False)
    port = free_port()
    arguments = ("--broker", redis.url, "--port", port, "--log-level", level)
    with started("serve", *arguments, cwd=tmp_path) as process, httpx.Client() as client:
        wait_for_port(port, process)
        eventually(lambda: client.get(f"http://127.0.0.1:{port}/readyz").status_code == 503)
        early = ""
        while level == "debug" and "DEBUG   the broker is away: " not in early:
            early += process.stderr.readline().decode() if process.stderr else ""
        redis.start()
        try:
            eventually(lambda: client.get(f"http://127.0.0.1:{port}/readyz").status_code == 200)
            code, out, err = ended(process, signal.SIGTERM)
        finally:
            redis.stop()
    lines = (early + err).splitlines()
    assert (code, out) == (0, "")
    assert all(re.match(STAMP, line) for line in lines), lines
    assert {line.split()[1] for line in lines} == logged
    assert any("announcements flow again" in line for line in lines) == ("INFO" in logged)


def test_the_access_log_keeps_no_query(tmp_path: Path) -> None:
    """A query may hold a ticket; the log shows only the path."""
    with serving("--broker", "memory:", "--access-log", cwd=tmp_path) as (process, url):
        httpx.get(f"{url}/healthz?ticket=secret")
        _, out, err = ended(process, signal.SIGTERM)
    assert "GET /healthz HTTP/1.1" in out + err
    assert "secret" not in out + err


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    """The line names the port, and there is no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = command("serve", "--broker", "memory:", "--port", port, cwd=tmp_path)
    assert result.returncode == 2
    assert re.fullmatch(
        rf"statushub: --port \(STATUSHUB_PORT\): cannot bind port {port} on 127\.0\.0\.1: [^\n]*\n", result.stderr
    )


def test_a_broker_file_in_use_is_one_line(tmp_path: Path) -> None:
    """A second hub on the same file is refused with the reason."""
    with serving(cwd=tmp_path):
        result = command("serve", "--port", 0, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("statushub: statushub.db is in use by another process")
    assert "Traceback" not in result.stderr


def test_other_addresses_need_insecure() -> None:
    """Without --insecure and without a key only loopback is served."""
    result = command("serve", "--host", "0.0.0.0", "--broker", "memory:")
    assert result.returncode == 2
    assert "--insecure" in result.stderr


@pytest.mark.parametrize(("host", "level"), [("127.0.0.1", logging.INFO), ("192.0.2.1", logging.WARNING)])
def test_missing_authentication_is_logged(host: str, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """The line is information on loopback and a warning on other addresses, without the broker's password."""
    caplog.set_level(logging.INFO, "statushub")
    announce(Config(host=host, insecure=True, broker="redis://user:secret@redis:6379/0"), f"http://{host}:8000")
    assert caplog.records[-1].levelno == level
    assert "No signing key" in caplog.text
    assert "redis://redis:6379/0" in caplog.text
    assert "secret" not in caplog.text
