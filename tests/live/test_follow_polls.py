"""`follow` where no stream comes through: behind proxies that buffer or block it, at limits, and back again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from msgspec.structs import replace

from statushub.producers.following.contents import Contents
from tests.live.clients.answers import Answers
from tests.support.following import KINDS, QUICK, Following, following
from tests.support.live import LiveHub, live_hub
from tests.support.nginx_server import plain_nginx
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.publishing import publish, publish_all
from tests.support.scripted_server import Reply, scripted_server, stream
from tests.support.waiting import eventually

each_kind = pytest.mark.parametrize("kind", KINDS)

IMPATIENT: Final = replace(QUICK, silence=2.0, probe=0.5, probe_max=0.5)
BRIEF: Final = replace(QUICK, probe=0.0, probe_max=0.0)
READY: Final = 'event: ready\ndata: {"cursor": "k3f9a2-5", "heartbeat_ms": 4000}\n\n'
BLOCKED: Final = r"location ~ /events$ {{ return {}; }}"


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    """An empty hub."""
    with live_hub() as live:
        yield live


def held(hub: LiveHub | str, *channels: str) -> dict[str, dict[str, Any]]:
    """The hub's statuses, as `Contents` has them."""
    url = hub if isinstance(hub, str) else hub.base_url
    found = {channel: httpx.get(f"{url}/api/contents/{channel}").json()["contents"] for channel in channels}
    return {channel: {each["content_id"]: each for each in all} for channel, all in found.items() if all}


def taken_in(told: Following) -> dict[str, dict[str, Any]]:
    """What `Contents` hold after all changes."""
    contents = Contents()
    for change in list(told.changes):
        contents.apply(change)
    return {channel: dict(statuses) for channel, statuses in contents.items()}


class Holding:
    """A filter of `Proxy`: a proxy that holds streams back, whole or but for what comes with their heads."""

    def __init__(self, *, whole: bool) -> None:
        self.holds = True
        self.beats = 0
        """The heartbeats that have passed."""
        self._whole = whole
        self._streams: set[int] = set()

    def passed(self, connection: int, data: bytes) -> bytes:
        if connection in self._streams:
            return b""
        self.beats += data.count(b"event: heartbeat\n")
        if not self.holds:
            return data
        # A connection that is kept alive may have answered polls before.
        if b"content-type: text/event-stream" not in data.lower():
            return data
        self._streams.add(connection)
        return b"" if self._whole else data

    def closed(self, connection: int) -> None:
        self._streams.discard(connection)


@each_kind
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "but for the head"])
def test_polls_take_over_where_a_proxy_buffers(kind: str, whole: bool, hub: LiveHub) -> None:
    """Nothing comes over the stream in time; each state is told once all the same, with one sentence about it. When the
    proxy buffers no longer, the stream is taken up again."""
    publish(hub, "early", "generating")
    holding = Holding(whole=whole)
    proxy = Proxy(("127.0.0.1", int(hub.base_url.rpartition(":")[2])), answers=holding)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(proxy),
        following(kind, f"http://127.0.0.1:{proxy.port}", channels=["c"], timing=IMPATIENT) as told,
    ):
        eventually(lambda: told.heard.said)
        cursor = publish(hub, "late", "complete")
        assert str(told.until(content_id="late").cursor) == cursor
        # Another attempt of the stream was in between.
        told.until("ready", count=3)
        assert told.heard.said == [("polling", f"http://127.0.0.1:{proxy.port} has been silent for 2 s")]
        holding.holds = False
        eventually(lambda: holding.beats)
        publish(hub, "last", "complete")
        told.until(content_id="last")
        assert told.contents == ["early", "late", "last"]


@each_kind
@pytest.mark.parametrize("status", [403, 404, 426, 502, 503])
def test_polls_take_over_where_a_proxy_blocks_the_stream(kind: str, status: int, hub: LiveHub, tmp_path: Path) -> None:
    """A proxy's refusal has no code of the hub, and ends nothing."""
    channel = f"blocked-{kind}-{status}"
    publish(hub, "early", "generating", channel)
    with (
        plain_nginx(tmp_path / "nginx", hub.base_url, BLOCKED.format(status)) as url,
        following(kind, url, channels=[channel]) as told,
    ):
        told.until("ready")
        publish(hub, "late", "complete", channel)
        told.until(content_id="late")
        assert told.contents == ["early", "late"]
        assert told.heard.kinds == ["polling"]
        assert f"answers {status}" in told.heard.said[0][1]


@each_kind
def test_a_stream_is_taken_up_again_when_it_comes_through(kind: str, hub: LiveHub, tmp_path: Path) -> None:
    """With the cursor of the polls: nothing is told twice, over several channels neither."""
    channels = [f"back-{kind}-{number}" for number in range(3)]
    for channel in channels:
        publish(hub, f"early {channel}", "generating", channel)
    answers = Answers()
    with (
        plain_nginx(tmp_path / "nginx", hub.base_url, BLOCKED.format(502)) as url,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Proxy(("127.0.0.1", int(url.rpartition(":")[2])), answers=answers)) as proxy,
        following(kind, f"http://127.0.0.1:{proxy.port}", channels=channels) as told,
    ):
        told.until("ready")
        publish(hub, f"polled {channels[2]}", "complete", channels[2])
        told.until(content_id=f"polled {channels[2]}")
        assert answers.ready == 0
        proxy.target = ("127.0.0.1", int(hub.base_url.rpartition(":")[2]))
        portal.call(proxy.sever)
        eventually(lambda: answers.ready)
        publish(hub, f"streamed {channels[0]}", "complete", channels[0])
        told.until(content_id=f"streamed {channels[0]}")
        assert sorted(told.contents) == sorted(
            [*(f"early {channel}" for channel in channels), f"polled {channels[2]}", f"streamed {channels[0]}"]
        )
        assert taken_in(told) == held(hub, *channels)


@each_kind
@pytest.mark.parametrize("count", [1, 3])
def test_polls_of_a_new_epoch_are_a_reset(kind: str, count: int, tmp_path: Path) -> None:
    """All channels are told anew."""
    port, channels = free_port(), [f"epoch-{number}" for number in range(count)]
    with plain_nginx(tmp_path / "nginx", f"http://127.0.0.1:{port}", BLOCKED.format(502)) as url:
        with live_hub(port=port) as hub:
            for channel in channels:
                publish(hub, f"old {channel}", "generating", channel)
            stack = following(kind, url, channels=channels)
            told = stack.__enter__()
            told.until("ready")
        try:
            with live_hub(port=port) as hub:
                publish(hub, "new", "complete", channels[-1])
                told.until(content_id="new")
                told.until("ready", count=2)
                assert told.told.count(("reset", "")) == 1
                assert taken_in(told) == held(hub, *channels)
        finally:
            stack.__exit__(None, None, None)


@each_kind
def test_polls_of_many_channels_resume_at_the_cursor_of_the_last(kind: str, hub: LiveHub, tmp_path: Path) -> None:
    """A stored cursor skips nothing of a channel that is polled later, though that is older than what was told."""
    channels = [f"floor-{number}" for number in range(3)]
    with (
        plain_nginx(tmp_path / "nginx", hub.base_url, BLOCKED.format(502)) as url,
        following(kind, url, channels=channels) as told,
    ):
        told.until("ready")
        for number in range(5):
            older = {"channel": channels[2], "content_id": f"older-{number}", "data": {"status": "complete"}}
            newer = {"channel": channels[0], "content_id": f"newer-{number}", "data": {"status": "complete"}}
            publish_all(hub, [older, newer])
            change = told.until(content_id=f"newer-{number}")
            before = told.contents[: told.contents.index(change.content_id)]
            with following(kind, hub.base_url, channels=channels, since=change.cursor) as resumed:
                resumed.until("ready")
                assert f"older-{number}" in [*before, *resumed.contents]


@each_kind
@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_is_obeyed(kind: str, status: int) -> None:
    """Nothing is asked before, no poll either; then the stream is taken up."""
    busy = Reply(status=status, headers={"Retry-After": "1"})
    with (
        scripted_server(busy, stream(READY, stays=True)) as script,
        following(kind, script.url, channels=["c"]) as told,
    ):
        told.until("ready")
        assert script.paths == ["events", "events"]
        assert script.asked[1].at - script.asked[0].at >= 1
        assert told.heard.kinds == ["lost", "back"]


@each_kind
def test_a_stream_that_is_always_busy_is_polled(kind: str) -> None:
    """Once it was waited for; the polls wait as they are asked to, too."""
    busy = Reply(status=503, headers={"Retry-After": "1"})
    answer = Reply(body='{"cursor": "k3f9a2-7", "reset": false, "events": []}')
    with scripted_server(busy, busy, busy, busy, answer) as script, following(kind, script.url, channels=["c"]) as told:
        told.until("ready")
        assert script.paths[:5] == ["events", "events", "changes", "events", "changes"]
        assert script.asked[3].at - script.asked[2].at >= 1
        assert told.heard.kinds == ["lost", "back", "polling"]


@each_kind
def test_polls_that_do_not_wait_are_not_hurried(kind: str) -> None:
    """A hub at its limit of streams answers long polls immediately; they are asked again only after a pause."""
    answer = Reply(body='{"cursor": "k3f9a2-7", "reset": false, "events": []}')
    with (
        scripted_server(Reply(status=404), answer) as script,
        following(kind, script.url, channels=["c"], timing=replace(QUICK, poll=0.5, probe=60.0)) as told,
    ):
        told.until("ready")
        eventually(lambda: len(script.asked) >= 5)
        assert script.paths[:5] == ["events", *["changes"] * 4]
        # The first poll does not ask to wait.
        assert script.asked[4].at - script.asked[2].at >= 1
        assert "wait" not in script.asked[1].query
        assert float(script.asked[2].query["wait"]) == 25


@each_kind
def test_a_hub_at_its_limit_is_polled(kind: str) -> None:
    """It asks for a long pause, which no viewer has to wait for."""
    with live_hub(max_streams=1) as hub:
        publish(hub, "early", "generating")
        with following(kind, hub.base_url, channels=["other"]) as first:
            first.until("ready")
            with following(kind, hub.base_url, channels=["c"]) as told:
                told.until("ready")
                publish(hub, "late", "complete")
                told.until(content_id="late")
                assert told.heard.kinds == ["polling"]


@each_kind
def test_an_outage_is_told_once(kind: str) -> None:
    """However often it is tried; then what was published meanwhile."""
    port = free_port()
    with following(kind, f"http://127.0.0.1:{port}", channels=["c"], timing=replace(QUICK, retry=0.01)) as told:
        eventually(lambda: told.heard.said)
        with live_hub(port=port) as hub:
            publish(hub, "late", "complete")
            told.until("ready")
        eventually(lambda: told.heard.kinds == ["lost", "back", "paused", "lost"])
    assert told.heard.said[0][1].startswith(f"http://127.0.0.1:{port} cannot be reached")
    assert told.contents == ["late"]


@each_kind
def test_a_stream_that_falls_silent_is_resumed(kind: str) -> None:
    """After two and a half of its own heartbeats, from its cursor."""
    ready = 'event: ready\ndata: {"cursor": "k3f9a2-5", "heartbeat_ms": 200}\n\n'
    quick = stream(f"{ready}event: heartbeat\ndata: {{}}\n\n", stays=True)
    with (
        scripted_server(quick, quick, stream(READY, stays=True)) as script,
        following(kind, script.url, channels=["c"], timing=IMPATIENT) as told,
    ):
        told.until("ready", count=3)
        assert script.asked[1].headers["last-event-id"] == "k3f9a2-5"
        silent = [("lost", f"{script.url} has been silent for {seconds} s") for seconds in ("2", "0.5")]
        assert told.heard.said == [silent[0], ("back", ""), silent[1], ("back", "")]


@each_kind
def test_a_cursor_is_kept_over_what_is_no_event(kind: str) -> None:
    """Comments, unknown fields, data that are no JSON and control events; a reset clears it."""
    drain = "retry: 1\nevent: drain\ndata: {}\n\n"
    odd = f": comment\n\nevent: x\ndata: [no\nid: k3f9a2-8\n\nevent: heartbeat\ndata: {{}}\n\n{drain}"
    reset = f"event: reset\ndata: {{}}\nid:\n\n{drain}"
    with (
        scripted_server(stream(odd), stream(reset), stream(READY, stays=True)) as script,
        following(kind, script.url, channels=["c"], since="k3f9a2-2") as told,
    ):
        told.until("ready")
        assert [asked.query.get("since") for asked in script.asked] == ["k3f9a2-2", None, None]
        assert [asked.headers.get("last-event-id") for asked in script.asked] == [None, "k3f9a2-8", None]
        assert told.told == [("reset", ""), ("ready", "")]


@each_kind
def test_a_redirect_within_the_server_is_followed(kind: str) -> None:
    """With the token, which goes to no other server."""
    moved = Reply(status=308, headers={"Location": "/moved/api/contents/c/events"})
    away = Reply(status=302, headers={"Location": "http://login.example/"})
    with (
        scripted_server(moved, stream(READY, stays=True)) as script,
        following(kind, script.url, channels=["c"], token="secret") as told,
    ):
        told.until("ready")
        assert script.asked[1].path == "/moved/api/contents/c/events"
        assert script.asked[1].headers["authorization"] == "Bearer secret"
    with scripted_server(away) as script, following(kind, script.url, channels=["c"], token="secret") as told:
        eventually(lambda: told.heard.said)
        assert told.heard.said[0][1].endswith("redirects to another server, http://login.example: give its address")


@each_kind
def test_a_pattern_is_asked_for(kind: str) -> None:
    """As `?match=`, by streams and by polls, with the same cursor; a limit is told."""
    limit = 'event: limit\ndata: {"match": "jobs/**", "max": 1000}\n\n'
    answer = Reply(body='{"cursor": "k3f9a2-4", "reset": false, "events": []}')
    with (
        scripted_server(Reply(status=502), answer, stream(READY + limit, stays=True)) as script,
        following(kind, script.url, match="jobs/**", channels="a", since="k3f9a2-2", timing=BRIEF) as told,
    ):
        told.until("limit", max=1000)
        asked = [(it.path, it.query["match"], it.query["channel"]) for it in script.asked]
        assert asked == [(path, "jobs/**", "a") for path in ("/api/events", "/api/changes", "/api/events")]
        assert [it.query.get("since") for it in script.asked] == ["k3f9a2-2", "k3f9a2-2", None]
        assert script.asked[-1].headers["last-event-id"] == "k3f9a2-4"
        assert told.heard.kinds == ["polling", "limited"]


@each_kind
def test_patterns_are_polled_where_no_stream_comes_through(kind: str, hub: LiveHub, tmp_path: Path) -> None:
    """Channels that come into being are told from their first event on, and nothing twice when the stream is back."""
    publish(hub, "early", "generating", f"jobs/{kind}/0")
    answers = Answers()
    with (
        plain_nginx(tmp_path / "nginx", hub.base_url, BLOCKED.format(502)) as url,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Proxy(("127.0.0.1", int(url.rpartition(":")[2])), answers=answers)) as proxy,
        following(kind, f"http://127.0.0.1:{proxy.port}", match=f"jobs/{kind}/*", channels=f"film-{kind}") as told,
    ):
        told.until("ready")
        channels = [f"jobs/{kind}/{n}" for n in range(4)] + [f"film-{kind}"]
        for channel in channels[1:]:
            publish(hub, f"polled {channel}", "complete", channel)
        publish(hub, "other", "complete", f"other-{kind}")
        told.until(content_id=f"polled {channels[-1]}")
        assert answers.ready == 0
        assert told.heard.kinds == ["polling"]
        proxy.target = ("127.0.0.1", int(hub.base_url.rpartition(":")[2]))
        portal.call(proxy.sever)
        eventually(lambda: answers.ready)
        publish(hub, "streamed", "complete", channels[1])
        told.until(content_id="streamed")
        assert told.contents == ["early", *(f"polled {channel}" for channel in channels[1:]), "streamed"]
        assert taken_in(told) == held(hub, *channels)
