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

from tests.support.command import command, ended, environment, line_with, read_terminal, serving, started
from tests.support.live import live_hub, live_server
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
    """The round trip: what is published is seen, and the watch ends when the work does."""
    with serving("--broker", "memory:", cwd=tmp_path) as (_, url):
        first = publish(url, "films", "clip", "generating", "--progress", "40", "--processing-status", "summarizing")
        assert re.fullmatch(r"\w+-1\n", first.stdout)
        with started("watch", "films", "--until-done", env={"STATUSHUB_URL": url}) as watch:
            line_with(watch, r"Z  clip  generating  40%  summarizing$")
            assert publish(url, "films", "clip", "complete").returncode == 0
            code, out, err = ended(watch)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"\S+Z  clip  complete\n", out)


def test_watch_ends_with_1_where_something_failed(hub: str) -> None:
    """Scripts can tell; the line says what failed."""
    publish(hub, "fails", "clip", "error", "--data", '{"error_message": "disk full"}')
    result = command("watch", "fails", "--until-done", "--hub", hub)
    assert result.returncode == 1
    assert result.stdout.rstrip().endswith("clip  error  disk full")
    assert result.stderr == "statushub: failed: clip\n"


def test_json_lines_hold_id_type_and_data(hub: str) -> None:
    """One object a line, the cursor of each state in it, and `ready` in its place."""
    cursor = publish(hub, "json", "clip", "READY", "--data", '{"hls_path": "/a"}').stdout.strip()
    result = command("watch", "json", "--json", "--until-done", "--hub", hub)
    event, ready = map(json.loads, result.stdout.splitlines())
    assert (event["id"], event["type"], event["data"]["hls_path"]) == (cursor, "processing_complete", "/a")
    assert (ready["id"], ready["type"], ready["data"]["cursor"]) == (None, "ready", cursor)


def test_ctrl_c_ends_a_watch_quietly(hub: str) -> None:
    """130, and neither a word nor a traceback."""
    with started("watch", "quiet", "--json", "--hub", hub) as watch:
        line_with(watch, "ready")
        code, out, err = ended(watch, signal.SIGINT)
    assert (code, out, err.strip()) == (130, "", "")


def test_a_watch_resumes_after_a_restart(tmp_path: Path) -> None:
    """The hub goes and comes back: what happened then is shown, what was shown is not repeated."""
    port = free_port()
    with serving("--port", port, cwd=tmp_path) as (process, url):
        publish(url, "films", "one", "complete")
        with started("watch", "films", "--hub", url) as watch:
            line_with(watch, "one  complete")
            assert ended(process, signal.SIGTERM)[0] == 0
            line_with(watch, "waiting for it", of="stderr")
            with serving("--port", port, cwd=tmp_path):
                publish(url, "films", "two", "complete")
                line = watch.stdout.readline().decode() if watch.stdout else ""
                line_with(watch, f"{url} is back", of="stderr")
                assert line.endswith("two  complete\n")


def test_a_void_cursor_is_told_as_a_reset(hub: str) -> None:
    """A cursor of another hub's: the whole state follows."""
    publish(hub, "void", "clip", "complete")
    result = command("watch", "void", "--since", "elsewhere-7", "--until-done", "--hub", hub)
    assert result.returncode == 0
    assert re.match(r"reset: .*\n\S+  clip  complete\n$", result.stdout)


def test_since_leaves_out_what_came_before(hub: str) -> None:
    """The cursor that a publish prints is one to watch from."""
    cursor = publish(hub, "later", "one", "complete").stdout.strip()
    publish(hub, "later", "two", "complete")
    result = command("watch", "later", "--since", cursor, "--until-done", "--hub", hub)
    assert "two" in result.stdout
    assert "one" not in result.stdout


def test_a_terminal_shows_bars(hub: str) -> None:
    """A bar for each content, with its title and how far it is."""
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


def test_producers_cannot_steer_the_terminal(hub: str) -> None:
    """Escape sequences in a status are shown as what they are not."""
    publish(hub, "steer", "clip", "error", "--data", json.dumps({"error_message": "\x1b[2Jgone"}))
    result = command("watch", "steer", "--until-done", "--hub", hub)
    assert "\x1b" not in result.stdout
    assert "\N{REPLACEMENT CHARACTER}[2Jgone" in result.stdout


def test_an_unreachable_hub_is_one_line() -> None:
    """Exit code 1 for both, and the address in the line."""
    url = f"http://127.0.0.1:{free_port()}"
    for result in (publish(url, "films", "clip", "complete"), command("watch", "films", "--hub", url)):
        assert result.returncode == 1
        assert re.fullmatch(rf"statushub: {url}: [^\n]+\n", result.stderr)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://127.0.0.1", "http"),
        ("http://127.0.0.1:port", "address"),
        ("127.0.0.1:8000", "http"),
    ],
)
def test_an_address_that_is_none_is_one_line(address: str, said: str) -> None:
    """Exit code 2: trying again would not help."""
    for result in (publish(address, "films", "clip", "complete"), command("watch", "films", "--hub", address)):
        assert result.returncode == 2
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(401, 2, "answers 401: Unauthorized"), (503, 1, "answers 503"), (200, 2, "not as a hub does")],
)
def test_what_is_no_stream_ends_a_watch(status: int, code: int, said: str) -> None:
    """What would stay so ends it as a mistake, what may pass as trouble."""

    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("no hub", status)

    with live_server(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        result = command("watch", "films", "--hub", url)
    assert result.returncode == code
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("data", ["{", "[]", "7", '{"a": NaN}', ""])
def test_broken_json_is_said_before_anything_is_sent(data: str) -> None:
    """Exit code 2, the option named; no hub is needed to find out."""
    result = publish(f"http://127.0.0.1:{free_port()}", "films", "clip", "complete", "--data", data)
    assert result.returncode == 2
    assert result.stderr.startswith("statushub: --data is not a JSON object: ")


def test_a_status_that_breaks_a_rule_names_the_field(hub: str) -> None:
    """Exit code 2."""
    result = publish(hub, "films", "clip", "done")
    assert result.returncode == 2
    assert result.stderr.startswith("statushub: data.status must be one of ")


@pytest.mark.parametrize(
    ("then", "reason"),
    [(("--attempt", 1, "--seq", 1), "superseded"), ((), "closed")],
)
def test_a_refusal_ends_with_3(hub: str, then: tuple[object, ...], reason: str) -> None:
    """The hub did what it promises; the line says why it kept what it had."""
    publish(hub, "refusals", reason, "complete", "--attempt", 2, "--seq", 1)
    result = publish(hub, "refusals", reason, "generating", *then)
    assert result.returncode == 3
    assert result.stderr.startswith(f"statushub: refused, {reason}: ")
    assert result.stdout == ""


def test_all_that_can_be_said_arrives(hub: str) -> None:
    """Type, attempt, seq, lease and fields reach the hub as they were given."""
    told = ("--type", "custom", "--attempt", 3, "--seq", 4, "--lease", 60, "--data", '{"n": 1}', "--progress", 12.5)
    assert publish(hub, "said", "clip", "generating", *told).returncode == 0
    [content] = httpx.get(f"{hub}/api/contents/said").json()["contents"]
    assert (content["n"], content["progress"]) == (1, 12.5)
    assert publish(hub, "said", "clip", "generating", "--attempt", 3, "--seq", 3).returncode == 3


@pytest.mark.redis
def test_publishing_goes_straight_to_redis(redis_server: RedisServer) -> None:
    """With --broker no hub is needed, and the tenant is the caller's to say."""
    result = command("publish", "films", "cli", "complete", "--broker", redis_server.url, "--tenant", "cli")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"\w+-\d+\n", result.stdout)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--hub", "http://127.0.0.1", "--broker", "redis://127.0.0.1"), "exclude each other"),
        (("--hub", "http://127.0.0.1", "--tenant", "acme"), "--tenant is for --broker"),
        (("--broker", "sqlite:///statushub.db"), "belongs to its hub"),
    ],
)
def test_contradictory_targets_are_one_line(options: tuple[str, ...], said: str) -> None:
    """Exit code 2, before anything is sent."""
    result = command("publish", "films", "clip", "complete", *options)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_closed_pipe_ends_a_watch_without_a_traceback(hub: str) -> None:
    """`statushub watch … | head` is quiet."""
    publish(hub, "pipe", "clip", "generating")
    shell = f"{sys.executable} -m statushub watch pipe --hub {hub} --until-done | true"
    with subprocess.Popen(["sh", "-c", shell], stderr=subprocess.PIPE, env=environment()) as process:
        publish(hub, "pipe", "clip", "complete")
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
