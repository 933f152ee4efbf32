"""`statushub publish` and `statushub watch`, against real hubs."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.support.asgi_server import live_server
from tests.support.command import command, ended, environment, line_with, read_terminal, serving, started
from tests.support.live import live_hub
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer


@pytest.fixture
def hub() -> Iterator[str]:
    """An empty hub."""
    with live_hub(heartbeat=0.5) as live:
        yield live.base_url


def publish(hub: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return command("publish", *arguments, "--hub", hub)


def test_serve_publish_and_watch_until_done(tmp_path: Path) -> None:
    """A published status is shown, and the watch ends when the content is complete."""
    with serving("--broker", "memory:", cwd=tmp_path) as (_, url):
        first = publish(url, "films", "clip", "generating", "--progress", "40", "--processing-status", "summarizing")
        assert re.fullmatch(r"\w+-[1-9]\d*\n", first.stdout)
        with started("watch", "films", "--until-done", env={"STATUSHUB_URL": url}) as watch:
            line_with(watch, r"Z  clip  generating  40%  summarizing$")
            assert publish(url, "films", "clip", "complete").returncode == 0
            code, out, err = ended(watch)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"\S+Z  clip  complete\n", out)


def test_watch_exits_with_1_if_a_content_failed(hub: str) -> None:
    """The watch also prints the content's id."""
    publish(hub, "fails", "clip", "error", "--data", '{"error_message": "disk full"}')
    result = command("watch", "fails", "--until-done", "--hub", hub)
    assert result.returncode == 1
    assert result.stdout.rstrip().endswith("clip  error  disk full")
    assert result.stderr == "statushub: failed: clip\n"


def test_json_lines_hold_id_type_and_data(hub: str) -> None:
    """Each line has one object: states with their cursors, then `ready`."""
    cursor = publish(hub, "json", "clip", "READY", "--data", '{"hls_path": "/a"}').stdout.strip()
    result = command("watch", "json", "--json", "--until-done", "--hub", hub)
    event, ready = map(json.loads, result.stdout.splitlines())
    assert (event["id"], event["type"], event["data"]["hls_path"]) == (cursor, "processing_complete", "/a")
    assert (ready["id"], ready["type"], ready["data"]["cursor"]) == (None, "ready", cursor)


def test_ctrl_c_ends_a_watch_quietly(hub: str) -> None:
    """The exit code is 130, without a message or a traceback."""
    with started("watch", "quiet", "--json", "--hub", hub) as watch:
        line_with(watch, "ready")
        code, out, err = ended(watch, signal.SIGINT)
    assert (code, out, err.strip()) == (130, "", "")


def test_a_watch_resumes_after_a_restart(tmp_path: Path) -> None:
    """Events published after the restart are shown, and earlier ones are not repeated."""
    port = free_port()
    with serving("--port", port, cwd=tmp_path) as (process, url):
        publish(url, "films", "one", "complete")
        with started("watch", "films", "--hub", url) as watch:
            line_with(watch, "one  complete")
            assert ended(process, signal.SIGTERM)[0] == 0
            line_with(watch, "reconnecting", of="stderr")
            with serving("--port", port, cwd=tmp_path):
                publish(url, "films", "two", "complete")
                line = watch.stdout.readline().decode() if watch.stdout else ""
                line_with(watch, f"{url} is back", of="stderr")
                assert line.endswith("two  complete\n")


def test_a_void_cursor_is_a_reset(hub: str) -> None:
    """The whole state follows a cursor of another hub."""
    publish(hub, "void", "clip", "complete")
    result = command("watch", "void", "--since", "elsewhere-7", "--until-done", "--hub", hub)
    assert result.returncode == 0
    assert re.match(r"reset: .*\n\S+  clip  complete\n$", result.stdout)


def test_since_skips_earlier_events(hub: str) -> None:
    """A watch can start at the cursor that a publish prints."""
    cursor = publish(hub, "later", "one", "complete").stdout.strip()
    publish(hub, "later", "two", "complete")
    result = command("watch", "later", "--since", cursor, "--until-done", "--hub", hub)
    assert "two" in result.stdout
    assert "one" not in result.stdout


def test_a_terminal_shows_bars(hub: str) -> None:
    """Each content has a bar with its title and progress."""
    publish(hub, "bars", "clip", "generating", "--progress", "40", "--data", '{"title": "Holiday"}')
    publish(hub, "bars", "early", "generating")
    ours, theirs = pty.openpty()
    with started("watch", "bars", "--hub", hub, "--until-done", stdout=theirs, env={"TERM": "xterm"}) as watch:
        os.close(theirs)
        assert "Holiday" in read_terminal(ours, until="40%")
        publish(hub, "bars", "clip", "complete", "--data", '{"title": "Holiday"}')
        publish(hub, "bars", "early", "failed")
        assert "100%" in read_terminal(ours)
        code, _, err = ended(watch)
    os.close(ours)
    assert (code, err) == (1, "statushub: failed: early\n")


def test_producers_cannot_control_the_terminal(hub: str) -> None:
    """Escape characters in a status are replaced."""
    publish(hub, "steer", "clip", "error", "--data", json.dumps({"error_message": "\x1b[2Jgone"}))
    result = command("watch", "steer", "--until-done", "--hub", hub)
    assert "\x1b" not in result.stdout
    assert "\N{REPLACEMENT CHARACTER}[2Jgone" in result.stdout


def test_an_unreachable_hub_is_one_line() -> None:
    """The exit code of both commands is 1, and the line names the address."""
    url = f"http://127.0.0.1:{free_port()}"
    for result in (publish(url, "films", "clip", "complete"), command("watch", "films", "--hub", url)):
        assert result.returncode == 1
        assert re.fullmatch(rf"statushub: {url}: [^\n]+\n", result.stderr)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://127.0.0.1", "http"),
        ("http://127.0.0.1:port", "address"),
        ("127.0.0.1:8000", "http"),
    ],
)
def test_an_invalid_url_is_one_line(address: str, message: str) -> None:
    """The exit code is 2, because a retry would not help."""
    for result in (publish(address, "films", "clip", "complete"), command("watch", "films", "--hub", address)):
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(401, 2, "answers 401: Unauthorized"), (503, 1, "answers 503"), (200, 2, "does not send an event stream")],
)
def test_a_response_without_a_stream_ends_a_watch(status: int, code: int, message: str) -> None:
    """The exit code is 1 where a retry may succeed, otherwise 2."""

    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("no hub", status)

    with live_server(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        result = command("watch", "films", "--hub", url)
    assert result.returncode == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("data", ["{", "[]", "7", '{"a": NaN}', ""])
def test_broken_json_is_refused_before_publishing(data: str) -> None:
    """The exit code is 2, and the error names the option without contacting a hub."""
    result = publish(f"http://127.0.0.1:{free_port()}", "films", "clip", "complete", "--data", data)
    assert result.returncode == 2
    assert result.stderr.startswith("statushub: --data is not a JSON object: ")


def test_an_invalid_status_names_the_field(hub: str) -> None:
    """The exit code is 2."""
    result = publish(hub, "films", "clip", "done")
    assert result.returncode == 2
    assert result.stderr.startswith("statushub: data.status must be one of ")


@pytest.mark.parametrize(
    ("then", "reason"),
    [(("--attempt", 1, "--seq", 1), "superseded"), ((), "closed")],
)
def test_a_refusal_exits_with_3(hub: str, then: tuple[object, ...], reason: str) -> None:
    """The line says why the status was not stored."""
    publish(hub, "refusals", reason, "complete", "--attempt", 2, "--seq", 1)
    result = publish(hub, "refusals", reason, "generating", *then)
    assert result.returncode == 3
    assert result.stderr.startswith(f"statushub: refused, {reason}: ")
    assert result.stdout == ""


def test_every_option_is_published(hub: str) -> None:
    """Type, attempt, seq, lease and fields arrive at the hub."""
    options = ("--type", "custom", "--attempt", 3, "--seq", 4, "--lease", 60, "--data", '{"n": 1}', "--progress", 12.5)
    assert publish(hub, "said", "clip", "generating", *options).returncode == 0
    [content] = httpx.get(f"{hub}/api/contents/said").json()["contents"]
    assert (content["n"], content["progress"]) == (1, 12.5)
    assert publish(hub, "said", "clip", "generating", "--attempt", 3, "--seq", 3).returncode == 3


@pytest.mark.redis
def test_publishing_goes_straight_to_redis(redis_server: RedisServer) -> None:
    """With --broker no hub is needed, and --tenant names the tenant."""
    result = command("publish", "films", "cli", "complete", "--broker", redis_server.url, "--tenant", "cli")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"\w+-\d+\n", result.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hub", "http://127.0.0.1", "--broker", "redis://127.0.0.1"), "exclude each other"),
        (("--hub", "http://127.0.0.1", "--tenant", "acme"), "--tenant is for --broker"),
        (("--broker", "sqlite:///statushub.db"), "belongs to its hub"),
    ],
)
def test_contradictory_targets_are_refused(options: tuple[str, ...], message: str) -> None:
    """The error is one line, with exit code 2."""
    result = command("publish", "films", "clip", "complete", *options)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_closed_pipe_ends_a_watch_without_a_traceback(hub: str) -> None:
    """`statushub watch … | head` ends quietly."""
    publish(hub, "pipe", "clip", "generating")
    shell = f"{sys.executable} -m statushub watch pipe --hub {hub} --until-done | true"
    with subprocess.Popen(["sh", "-c", shell], stderr=subprocess.PIPE, env=environment()) as process:
        publish(hub, "pipe", "clip", "complete")
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
