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
from tests.support.command import command, ended, serving
from tests.support.redis_server import RedisServer

FLAGS = [
    (name, flag)
    for name, one in cli.commands.items()
    for option in one.params
    if isinstance(option, click.Option)
    for flag in (*option.opts, *option.secondary_opts)
]

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) +"
"""How each line of a hub's log begins, whoever wrote it."""


def test_version_is_the_packages() -> None:
    """`--version` says the one version there is."""
    assert command("--version").stdout == f"statushub {__version__}\n"


@pytest.mark.parametrize("name", [(), *((name,) for name in cli.commands)], ids=lambda name: name[0] if name else "all")
def test_help_tells_what_it_does(name: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command has a help of more than its options."""
    assert run([*name, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Usage: statushub{''.join(f' {part}' for part in name)}")
    assert "Examples:" in told or name == ("demo",)


def test_no_command_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    """A bare `statushub` shows its help where errors go, and says by its code that nothing was done."""
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=[f"{name} {flag}" for name, flag in FLAGS])
def test_a_mistyped_flag_suggests_the_right_one(name: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One letter too many in any flag of any command, and its own name is among the suggestions."""
    assert run([name, f"{flag}e"]) == 2
    told = capsys.readouterr().err
    assert f"'{flag}'" in told.partition("Did you mean")[2]
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", list(cli.commands))
def test_a_mistyped_command_suggests_the_right_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for the commands themselves."""
    assert run([f"{name}e"]) == 2
    assert f"Did you mean '{name}'?" in capsys.readouterr().err


def test_a_flag_overrides_the_environment(tmp_path: Path) -> None:
    """The variable's port would be refused; the flag's is used. Variables without a flag are followed."""
    with serving("--port", 0, cwd=tmp_path, env={"STATUSHUB_PORT": "99999", "STATUSHUB_BROKER": "memory:"}):
        assert list(tmp_path.iterdir()) == []


def test_origins_are_those_that_were_named(tmp_path: Path) -> None:
    """A flag that is repeated takes the place of the default, which lets in pages of this machine."""
    named = ("https://one.example", "https://two.example")
    flags = [word for origin in named for word in ("--cors-origin", origin)]
    with serving("--broker", "memory:", *flags, cwd=tmp_path) as (_, url):
        for origin in (*named, "http://localhost:3000"):
            allowed = httpx.get(f"{url}/healthz", headers={"Origin": origin}).headers.get("access-control-allow-origin")
            assert allowed == (origin if origin in named else None)


@pytest.mark.parametrize(
    ("variable", "value"), [("STATUSHUB_PROT", "8000"), ("STATUSHUB_PORT", "many"), ("STATUSHUB_INSECURE", "perhaps")]
)
def test_a_wrong_variable_is_named(variable: str, value: str) -> None:
    """Unknown and invalid variables keep the hub from starting."""
    result = command("serve", env={variable: value})
    assert result.returncode == 2
    assert result.stderr.startswith(f"statushub: {variable} is ")
    assert result.stderr.count("\n") == 1


def test_sigterm_ends_a_hub_well(tmp_path: Path) -> None:
    """Exit code 0, nothing on stdout, and on stderr what an operator needs, line by line."""
    with serving("--broker", "memory:", cwd=tmp_path) as (process, url):
        assert httpx.get(f"{url}/readyz").status_code == 200
        code, out, err = ended(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    open_to_all, farewell = err.splitlines()
    assert re.fullmatch(rf"{STAMP} No signing key: every client on this machine may read and publish; .*", open_to_all)
    assert re.fullmatch(rf"{STAMP} Shutting down", farewell)


@pytest.mark.redis
def test_workers_share_a_port_and_a_look(redis_server: RedisServer, tmp_path: Path) -> None:
    """Several processes on one Redis serve, log alike, and end together with exit code 0."""
    arguments = ("--workers", 2, "--broker", redis_server.url, "--access-log")
    with serving(*arguments, cwd=tmp_path) as (process, url):
        assert httpx.get(f"{url}/readyz").status_code == 200
        code, out, err = ended(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    assert "GET /readyz" in err
    assert all(re.match(STAMP, line) for line in err.splitlines()), err


def test_the_access_log_keeps_no_query(tmp_path: Path) -> None:
    """A query may hold a ticket; the log holds the path alone."""
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
    assert re.fullmatch(rf"statushub: port {port} on 127\.0\.0\.1 cannot be had: [^\n]*\n", result.stderr)


def test_a_broker_file_in_use_is_one_line(tmp_path: Path) -> None:
    """A second hub on the same file is refused with the reason."""
    with serving(cwd=tmp_path):
        result = command("serve", "--port", 0, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("statushub: statushub.db is in use by another process")
    assert "Traceback" not in result.stderr


def test_other_addresses_need_the_word() -> None:
    """Without --insecure nothing but loopback is served."""
    result = command("serve", "--host", "0.0.0.0", "--broker", "memory:")
    assert result.returncode == 2
    assert "--insecure" in result.stderr


@pytest.mark.parametrize(("host", "level"), [("127.0.0.1", logging.INFO), ("192.0.2.1", logging.WARNING)])
def test_who_may_come_in_is_said(host: str, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """Loopback is worth a line, any other address a warning; no password shows."""
    caplog.set_level(logging.INFO, "statushub")
    announce(Config(host=host, insecure=True, broker="redis://user:secret@redis:6379/0"), f"http://{host}:8000")
    assert caplog.records[-1].levelno == level
    assert "No signing key" in caplog.text
    assert "redis://redis:6379/0" in caplog.text
    assert "secret" not in caplog.text
