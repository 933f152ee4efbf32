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
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
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
    """Each line, as `str.splitlines` reads them, has one object: states with their cursors, then `ready`."""
    cursor = publish(hub, "json", "clip", "READY", "--data", r'{"hls_path": "/a\u2028"}').stdout.strip()
    result = command("watch", "json", "--json", "--until-done", "--hub", hub)
    event, ready = map(json.loads, result.stdout.splitlines())
    assert (event["id"], event["type"], event["data"]["hls_path"]) == (cursor, "processing_complete", "/a\u2028")
    assert (ready["id"], ready["type"], ready["data"]["cursor"]) == (None, "ready", cursor)


def test_a_watch_of_named_contents_shows_only_them(hub: str) -> None:
    """It ends when they are done, whatever the others do."""
    for name in ("one", "two", "three"):
        publish(hub, "named", name, "generating")
    publish(hub, "named", "two", "complete")
    publish(hub, "named", "three", "complete")
    result = command("watch", "named", "two", "three", "--until-done", "--hub", hub)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["two", "three"]


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [((), "waiting: nothing is there in 'empty' yet"), (("clip",), "waiting for clip: not there in 'empty' yet")],
)
def test_until_done_waits_for_what_is_not_there_yet(hub: str, contents: tuple[str, ...], sentence: str) -> None:
    """It says so, and ends when that is there and done; the exit code is 0."""
    channel = f"empty-{len(contents)}"
    with started("watch", channel, *contents, "--until-done", "--hub", hub) as watch:
        line_with(watch, sentence.replace("empty", channel), of="stderr")
        publish(hub, channel, "clip", "complete")
        code, out, err = ended(watch)
    assert (code, err) == (0, "")
    assert out.endswith("clip  complete\n")


def test_a_watch_of_several_channels_names_them(hub: str) -> None:
    """In each line; without the option a line has no channel."""
    publish(hub, "several/a", "one", "complete")
    publish(hub, "several/b", "two", "complete")
    result = command("watch", "several/a", "--channel", "several/b", "--until-done", "--hub", hub)
    assert result.returncode == 0
    assert re.fullmatch(r"\S+  several/a  one  complete\n\S+  several/b  two  complete\n", result.stdout)
    named = command("watch", "--channel", "several/b", "--json", "--until-done", "--hub", hub)
    assert json.loads(named.stdout.splitlines()[0])["data"]["channel_id"] == "several/b"
    assert command("watch", "several/a", "--until-done", "--hub", hub).stdout.endswith("Z  one  complete\n")


def test_more_channels_than_a_stream_carries_are_watched(hub: str) -> None:
    """By several streams, which are ready when all of them are."""
    channels = [f"part/{number}" for number in range(70)]
    events = [{"channel": name, "content_id": f"of {name}", "data": {"status": "complete"}} for name in channels]
    httpx.post(f"{hub}/api/publish", json={"events": events}).raise_for_status()
    options = [word for name in channels for word in ("--channel", name)]
    result = command("watch", *options, "--until-done", "--hub", hub)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(re.findall(r"  of (\S+)  complete", result.stdout)) == sorted(channels)


def test_a_watch_needs_something_to_watch(hub: str) -> None:
    """The exit code is 2, as where the hub refuses a pattern."""
    result = command("watch", "--hub", hub)
    assert (result.returncode, result.stderr) == (
        2,
        "statushub: nothing to watch: name a CHANNEL, or use --channel or --match\n",
    )
    refused = command("watch", "--match", "**/**/**/a", "--hub", hub)
    assert refused.returncode == 2
    assert f"{hub} answers 422" in refused.stderr


def test_new_shows_only_what_is_published_from_now_on(hub: str) -> None:
    """An earlier end does not count for --until-done."""
    publish(hub, "new", "clip", "complete", "--run", "first")
    with started("watch", "new", "clip", "--new", "--until-done", "--hub", hub) as watch:
        line_with(watch, "waiting for clip: not published in 'new' yet", of="stderr")
        publish(hub, "new", "clip", "error", "--run", "second", "--data", '{"error_message": "disk full"}')
        code, out, err = ended(watch)
    assert (code, err) == (1, "statushub: failed: clip\n")
    assert out.endswith("clip  error  disk full\n")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ((), "not done after 4 s: clip pending or processing"),
        (("gone", "clip"), "not done after 4 s: clip pending or processing; gone not there"),
    ],
)
def test_a_timeout_ends_a_watch_with_124(hub: str, contents: tuple[str, ...], message: str) -> None:
    """The last line names what is not done."""
    publish(hub, "late", "clip", "generating")
    result = command("watch", "late", *contents, "--until-done", "--timeout", 4, "--hub", hub)
    assert result.returncode == 124
    assert result.stderr.splitlines()[-1] == f"statushub: {message}"
    assert command("watch", "late", "--timeout", 0.5, "--hub", hub).returncode == 0


def test_since_and_new_exclude_each_other(hub: str) -> None:
    """The exit code is 2."""
    result = command("watch", "films", "--since", "a-1", "--new", "--hub", hub)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--since and --new" in result.stderr


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "Caf? ?"),
        ({"PYTHONIOENCODING": "latin-1"}, "Caf\xe9 ?"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "Caf? ?"),
        ({"LANG": "C.UTF-8"}, "Caf\xe9 \u6e2f"),
    ],
    ids=["ascii", "latin-1", "C", "UTF-8"],
)
def test_a_stream_that_lacks_a_character_replaces_it(hub: str, environ: dict[str, str], expected: str) -> None:
    """Output, errors and JSON are written in the encoding of the stream; JSON escapes what that lacks."""
    word = "Caf\xe9 \u6e2f"
    publish(hub, "words", "clip", "error", "--data", json.dumps({"error_message": word}))
    publish(hub, "words", word, "error")
    encoding = environ.get("PYTHONIOENCODING", "utf-8" if "LANG" in environ else "ascii")

    def run(*arguments: str) -> tuple[str, str]:
        result = subprocess.run(
            [sys.executable, "-m", "statushub", *arguments, "--hub", hub],
            env=environment(environ),
            capture_output=True,
            timeout=20,
            check=False,
        )
        return result.stdout.decode(encoding), result.stderr.decode(encoding)

    out, err = run("watch", "words", "--until-done")
    assert f"  clip  error  {expected}\n" in out
    assert err == f"statushub: failed: clip, {expected}\n"
    lines = [json.loads(line) for line in run("watch", "words", "--until-done", "--json")[0].splitlines()]
    assert lines[0]["data"]["error_message"] == word
    assert json.loads(run("get", "words", "clip", "--json")[0])["error_message"] == word


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


def test_a_terminal_shows_a_table(hub: str) -> None:
    """Each content has a row with its title and progress."""
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
        assert re.fullmatch(rf"statushub: {url} cannot be reached: [^\n]+\n", result.stderr)


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
    result = publish(hub, "films", "clip", "donne")
    assert result.returncode == 2
    assert result.stderr.startswith("statushub: data.status is 'donne', ")
    assert "Did you mean 'done'" in result.stderr


@pytest.mark.parametrize(
    ("then", "reason"),
    [(("--attempt", 1, "--seq", 1), "superseded"), ((), "closed")],
)
def test_a_refusal_exits_with_4(hub: str, then: tuple[object, ...], reason: str) -> None:
    """The line says why the status was not stored."""
    publish(hub, "refusals", reason, "complete", "--attempt", 2, "--seq", 1)
    result = publish(hub, "refusals", reason, "generating", *then)
    assert result.returncode == 4
    assert result.stderr.startswith(f"statushub: refused, {reason}: ")
    assert result.stdout == ""


def test_every_option_is_published(hub: str) -> None:
    """Type, attempt, seq, lease and fields arrive at the hub."""
    options = ("--type", "custom", "--attempt", 3, "--seq", 4, "--lease", 60, "--data", '{"n": 1}', "--progress", 12.5)
    assert publish(hub, "said", "clip", "generating", *options).returncode == 0
    [content] = httpx.get(f"{hub}/api/contents/said").json()["contents"]
    assert (content["n"], content["progress"]) == (1, 12.5)
    assert publish(hub, "said", "clip", "generating", "--attempt", 3, "--seq", 3).returncode == 4


def test_restart_opens_another_attempt(hub: str) -> None:
    """Work that has ended is shown again while it runs again, and ends again."""
    assert publish(hub, "again", "clip", "complete").returncode == 0
    assert publish(hub, "again", "clip", "generating").returncode == 4
    assert publish(hub, "again", "clip", "generating", "--restart").returncode == 0
    assert httpx.get(f"{hub}/api/contents/again").json()["contents"][0]["status"] == "generating"
    assert publish(hub, "again", "clip", "complete").returncode == 0


def test_a_repeated_restart_opens_one_attempt(hub: str) -> None:
    """A request that a proxy sends twice counts once, also where it ends the work."""
    sent: list[bytes] = []

    async def twice(request: Request) -> Response:
        sent.append(await request.body())
        async with httpx.AsyncClient() as client:
            for _ in range(2):
                answer = await client.post(
                    f"{hub}/api/publish", content=sent[-1], headers={"Content-Type": "application/json"}
                )
        return Response(answer.content, media_type="application/json")

    assert publish(hub, "twice", "clip", "complete").returncode == 0
    with live_server(Starlette(routes=[Route("/{path:path}", twice, methods=["POST"])])) as proxy:
        assert publish(proxy, "twice", "clip", "complete", "--restart").returncode == 0
    event = json.loads(sent[0])
    event = event["events"][0] if "events" in event else event
    again = httpx.post(f"{hub}/api/publish", json={**event, "data": {"status": "complete"}}).json()
    assert (again["accepted"], again["attempt"]) == (True, 2)


def test_an_id_of_another_channel_names_both(hub: str) -> None:
    """The exit code is 4, and the line says what to do."""
    publish(hub, "films", "shared", "generating")
    result = publish(hub, "clips", "shared", "generating")
    assert result.returncode == 4
    assert result.stderr == (
        "statushub: refused, wrong_channel: the content 'shared' belongs to the channel 'films' and not to 'clips'; "
        "choose another id\n"
    )


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
        (("--hub", "http://127.0.0.1", "--tenant", "acme"), "--tenant has no effect without --broker"),
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


def test_an_unknown_status_is_one_line_with_a_suggestion(hub: str) -> None:
    """The exit code is 2; the words of other systems are known."""
    result = publish(hub, "words", "clip", "runing")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "Did you mean 'running'?" in result.stderr
    assert publish(hub, "words", "clip", "RUNNING").returncode == 0
    assert publish(hub, "words", "clip", "timed_out").returncode == 0
    [content] = httpx.get(f"{hub}/api/contents/words").json()["contents"]
    assert (content["status"], content["error_code"]) == ("error", "timeout")
