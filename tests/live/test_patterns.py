"""Streams of patterns: every channel that they name and the token reads, with one cursor, also those yet to come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.intervals import Intervals
from statushub.hub.model.cursor import Cursor, epoch_after
from statushub.hub.model.retention import RETENTION_SECONDS
from tests.support.live import LiveHub, live_hub
from tests.support.losing_broker import losing_broker
from tests.support.publishing import publish, publish_all
from tests.support.redis_server import RedisServer, running_redis
from tests.support.sse_client import StreamClient, open_stream, outline
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

PATHS = [
    pytest.param((HandoverProtocol, "1.1"), id="handover"),
    pytest.param((HandoverProtocol, "1.0"), id="http-1.0"),
    pytest.param(("h11", "1.1"), id="portable"),
]
FAST = Intervals(directory=0.05, audit=0.05, eviction=0.05)


@pytest.fixture(params=PATHS)
def wire(request: pytest.FixtureRequest) -> Any:
    """uvicorn's HTTP protocol, and the version that clients speak."""
    return request.param


@pytest.fixture
def hub(wire: Any) -> Iterator[LiveHub]:
    with live_hub(http=wire[0], heartbeat=0.5) as hub:
        yield hub


def matching(hub: LiveHub, wire: Any, query: str = "match=jobs/**", **options: Any) -> Any:
    """A stream of `/api/events` with this query."""
    return open_stream(hub.base_url, f"/api/events?{query}", version=wire[1], **options)


def test_what_there_is_comes_first_then_what_comes_into_being(hub: LiveHub, wire: Any) -> None:
    """The states of all matching channels in the order of the clock, `ready`, then first events of new channels."""
    publish(hub, "a", "generating", channel="jobs/1")
    publish(hub, "x", "generating", channel="films")
    last = publish(hub, "b", "generating", channel="jobs/deep/2")
    with matching(hub, wire) as client:
        frames = client.until("ready")
        assert outline(frames) == [("content_status_update", "a"), ("content_status_update", "b"), ("ready", "")]
        assert frames[-1].json["cursor"] == last
        cursors = [
            publish(hub, f"new-{n}", status, channel=f"jobs/new/{n}")
            for n in range(3)
            for status in ("generating", "complete")
        ]
        publish(hub, "y", "complete", channel="films")
        cursors.append(publish(hub, "a", "complete", channel="jobs/1"))
        news = [client.event() for _ in range(7)]
        assert [frame.id for frame in news] == cursors
        assert [frame.json["channel_id"] for frame in news] == [
            *(f"jobs/new/{n}" for n in range(3) for _ in range(2)),
            "jobs/1",
        ]


def test_a_pattern_of_nothing_is_ready_and_waits(hub: LiveHub, wire: Any) -> None:
    """Where no channel matches yet, the stream is ready at the clock, and the first channel's first event comes."""
    there = publish(hub, "x", "generating", channel="films")
    with matching(hub, wire) as client:
        ready = client.event()
        assert (ready.event, ready.json["cursor"]) == ("ready", there)
        cursor = publish(hub, "a", "complete", channel="jobs/1")
        assert client.event().id == cursor
        publish(hub, "z", "complete", channel="films")
        assert client.event("heartbeat").event == "heartbeat"


def test_a_stream_resumes_with_the_channels_born_meanwhile(hub: LiveHub, wire: Any) -> None:
    """After its cursor come the changes of known channels and the whole of new ones, and nothing twice."""
    publish(hub, "a", "generating", channel="jobs/1")
    kept = publish(hub, "b", "generating", channel="jobs/2")
    with matching(hub, wire) as client:
        cursor = client.until("ready")[-1].json["cursor"]
        assert cursor == kept
    publish(hub, "c", "generating", channel="jobs/3")
    publish(hub, "a", "complete", channel="jobs/1")
    for query, headers in (
        (f"match=jobs/**&since={cursor}", {}),
        (f"match=jobs/**&lastEventId={cursor}", {}),
        ("match=jobs/**", {"Last-Event-ID": cursor}),
    ):
        with matching(hub, wire, query, headers=headers) as client:
            assert outline(client.until("ready")) == [
                ("content_status_update", "c"),
                ("processing_complete", "a"),
                ("ready", ""),
            ]


def test_patterns_and_channels_are_combined(hub: LiveHub, wire: Any) -> None:
    """Several of both make one stream; a channel that several name comes once, and names need not exist yet."""
    for n, channel in enumerate(("jobs/1", "films", "books", "users/a/inbox", "users/b/x/inbox")):
        publish(hub, f"c{n}", "generating", channel=channel)
    query = "match=jobs/*&match=**/inbox&channel=films&channel=later&match=jobs/**&events=message"
    with matching(hub, wire, query) as client:
        frames = [client.frame() for _ in range(5)]
        assert [frame.event for frame in frames] == [None] * 5
        assert [frame.json.get("content_id") for frame in frames] == ["c0", "c1", "c3", "c4", None]
        assert frames[-1].json["type"] == "ready"
        publish(hub, "no", "complete", channel="books")
        cursor = publish(hub, "yes", "complete", channel="later")
        assert next(it for it in iter(client.frame, None) if it.id).id == cursor


def test_many_viewers_share_what_is_born(hub: LiveHub, wire: Any) -> None:
    """Each of many viewers gets each event once; those that leave disturb no other."""
    with ExitStack() as stack:
        clients: list[StreamClient] = [stack.enter_context(matching(hub, wire)) for _ in range(8)]
        for client in clients:
            client.until("ready")
        first = publish(hub, "a", "generating", channel="jobs/1")
        assert {client.event().id for client in clients} == {first}
        for client in clients[4:]:
            client.socket.close()
        eventually(lambda: len(hub.hub.viewers) == 4)
        second = publish(hub, "b", "generating", channel="jobs/2")
        assert {client.event().id for client in clients[:4]} == {second}


def test_a_burst_of_births_arrives_whole_and_in_order(hub: LiveHub, wire: Any) -> None:
    """A thousand channels that come into being in one burst are all there, each once, with increasing ids."""
    with matching(hub, wire) as client:
        client.until("ready")
        cursors = publish_all(
            hub,
            [{"channel": f"jobs/{n}", "content_id": f"c{n}", "data": {"status": "complete"}} for n in range(1_000)],
        )
        assert [client.event().id for _ in range(1_000)] == cursors


def test_more_channels_than_may_be_followed_are_refused(wire: Any) -> None:
    """A stream that would begin with more is a 422 that names the limit; a narrower pattern is served."""
    with live_hub(http=wire[0], max_channels_match=3) as hub:
        for n in range(4):
            publish(hub, f"c{n}", "generating", channel=f"jobs/{n}")
        answer = httpx.get(f"{hub.base_url}/api/events?match=jobs/**")
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert (error["code"], error["field"]) == ("match_limit", "match")
        assert "3 channels" in error["message"]
        with matching(hub, wire, "match=jobs/1&match=jobs/2") as client:
            assert len(client.until("ready")) == 3
        with open_stream(hub.base_url, "/api/events?match=jobs/3") as client:
            assert len(client.until("ready")) == 2


def test_a_stream_that_outgrows_the_limit_is_told_once(wire: Any) -> None:
    """`limit` names the pattern and the number; the stream goes on with the channels that it has, and no others."""
    with live_hub(http=wire[0], max_channels_match=3) as hub:
        publish(hub, "c0", "generating", channel="jobs/0")
        with matching(hub, wire, "match=films&match=jobs/**") as client:
            client.until("ready")
            for n in range(1, 6):
                publish(hub, f"c{n}", "generating", channel=f"jobs/{n}")
            last = publish(hub, "c2", "complete", channel="jobs/2")
            frames = client.until_content(content_id="c2", status="complete")
            assert outline(frames) == [
                ("content_status_update", "c1"),
                ("content_status_update", "c2"),
                ("limit", ""),
                ("processing_complete", "c2"),
            ]
            assert frames[2].json == {"match": "jobs/**", "max": 3}
            assert frames[-1].id == last
        answer = httpx.get(f"{hub.base_url}/api/events?match=jobs/**")
        assert answer.json()["error"]["code"] == "match_limit"


def test_a_stream_over_the_limit_comes_back_after_a_cut(wire: Any) -> None:
    """An `EventSource` that got a 422 would never try again: it begins anew, with as many channels as it may have."""
    with live_hub(http=wire[0], max_channels_match=2) as hub:
        cursors = [publish(hub, f"c{n}", "generating", channel=f"jobs/{n}") for n in range(3)]
        with matching(hub, wire, f"match=jobs/**&since={cursors[-1]}") as client:
            assert outline(client.until("ready")) == [
                ("reset", ""),
                ("limit", ""),
                ("content_status_update", "c0"),
                ("content_status_update", "c1"),
                ("ready", ""),
            ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("match=", "match[0]"),
        ("match=a***", "match[0]"),
        (f"match=a&match={quote('x' * 257)}", "match[1]"),
        ("match=**a**b**", "match[0]"),
        ("match=a%0Ab", "match[0]"),
        ("match=jobs/*&channel=a*", "channel"),
        ("&".join(f"match=a{n}" for n in range(65)), "match"),
        ("&".join(f"match=a{n}" for n in range(60)) + "&channel=a&channel=b&channel=c&channel=d&channel=e", "match"),
    ],
    ids=["empty", "stars", "long", "across", "control", "channel", "many", "together"],
)
def test_a_malformed_pattern_is_named(hub: LiveHub, query: str, field: str) -> None:
    """Patterns have the syntax of those in tokens, and errors name the one at fault."""
    answer = httpx.get(f"{hub.base_url}/api/events?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


def test_a_head_request_is_answered(hub: LiveHub) -> None:
    """As for other streams."""
    answer = httpx.head(f"{hub.base_url}/api/events?match=jobs/**")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_a_token_sees_only_what_it_reads(wire: Any) -> None:
    """`**` of a token with patterns is what they read; nothing of another channel, or of another tenant, appears."""
    with live_hub(http=wire[0], secret=SECRET, max_channels_match=3) as hub:
        everything, mine = bearer(), bearer(read=["users/42/**", "public"])

        def put(channel: str, content: str, headers: dict[str, str] = everything) -> None:
            event = {"channel": channel, "content_id": content, "data": {"status": "generating"}}
            publish_all(hub, [event], headers=headers)

        for n in range(5):
            put(f"users/41/{n}", f"other-{n}")
        put("users/42/a", "mine-1")
        put("users/42/a", "theirs", bearer(tenant="rival"))
        with matching(hub, wire, "match=**", headers=mine) as client:
            assert outline(client.until("ready")) == [("content_status_update", "mine-1"), ("ready", "")]
            for n in range(5, 9):
                put(f"users/41/{n}", f"other-{n}")
                put(f"users/4{n}/a", f"further-{n}")
            put("public", "mine-2")
            put("users/42/b", "theirs-2", bearer(tenant="rival"))
            put("users/42/b", "mine-3")
            put("users/42/c", "mine-4")
            put("users/42/a", "mine-5")
            frames = client.until_content(content_id="mine-5")
            assert [frame.json.get("content_id", frame.json) for frame in frames] == [
                "mine-2",
                "mine-3",
                {"match": "**", "max": 3},
                "mine-5",
            ]
        with matching(hub, wire, "match=users/41/*", headers=mine) as client:
            assert outline(client.until("ready")) == [("ready", "")]
        refused = httpx.get(f"{hub.base_url}/api/events?match=**&channel=users/41/1", headers=mine)
        assert refused.status_code == 403
        assert httpx.get(f"{hub.base_url}/api/events?match=**").status_code == 401


def test_a_ticket_narrows_a_pattern(wire: Any) -> None:
    """A stream that is opened with a ticket sees what the ticket allows."""
    with live_hub(http=wire[0], secret=SECRET) as hub:
        events = [
            {"channel": channel, "content_id": channel, "data": {"status": "generating"}} for channel in ("a/1", "b/1")
        ]
        publish_all(hub, events, headers=bearer())
        ticket = httpx.post(f"{hub.base_url}/api/tickets", headers=bearer(), json={"read": ["b/*"]}).json()["ticket"]
        with matching(hub, wire, f"match=**&ticket={ticket}") as client:
            assert outline(client.until("ready")) == [("content_status_update", "b/1"), ("ready", "")]


def test_a_lost_birth_is_found_by_the_next_event(wire: Any) -> None:
    """The announcement after the lost one shows the gap: the channel is read before anything later is sent."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=wire[0]) as hub, matching(hub, wire) as client:
        client.until("ready")
        publish(hub, "lost", "generating", channel="jobs/lost")
        publish(hub, "seen", "complete", channel="jobs/seen")
        frames = client.until_content(content_id="seen")
        assert outline(frames) == [("content_status_update", "lost"), ("processing_complete", "seen")]


def test_a_lost_birth_is_found_by_a_foreign_event(wire: Any) -> None:
    """An event of a channel that the pattern does not name shows the gap as well."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=wire[0]) as hub, matching(hub, wire) as client:
        client.until("ready")
        publish(hub, "lost", "complete", channel="jobs/lost")
        publish(hub, "x", "complete", channel="films")
        assert client.event().json["content_id"] == "lost"


def test_a_lost_birth_without_a_later_event_is_audited(wire: Any) -> None:
    """The last announcement was lost: the next audit reads the channel, and no viewer is reset."""
    broker = losing_broker(lambda event: not event.content_id.startswith("lost"))
    with live_hub(broker, http=wire[0], intervals=FAST) as hub, matching(hub, wire) as client:
        client.until("ready")
        for n in range(3):
            cursor = publish(hub, f"lost-{n}", "complete", channel=f"jobs/{n}")
            frame = client.event()
            assert (frame.event, frame.id) == ("processing_complete", cursor)


def test_a_stream_that_resumes_without_a_broker_passes_nothing(hub: LiveHub, wire: Any) -> None:
    """Its pattern is not followed here otherwise, though the tenant is followed: it waits, and gets what it missed."""
    with matching(hub, wire, "match=films/*") as other:
        other.until("ready")
        since = publish(hub, "a", "generating", channel="jobs/1")
        publish(hub, "a", "complete", channel="jobs/1")
        publish(hub, "x", "complete", channel="films/1")
        other.until_content(content_id="x")
        hub.call(hub.hub.ingest.lost)
        with matching(hub, wire, headers={"Last-Event-ID": since}) as client:
            eventually(lambda: len(hub.hub.viewers) == 2)
            hub.call(hub.hub.ingest.restored)
            assert outline(client.until("ready")) == [("processing_complete", "a"), ("ready", "")]


def test_a_void_cursor_is_reset(hub: LiveHub, wire: Any) -> None:
    """One of another epoch, and one ahead of the clock, get `reset` and the whole state."""
    here = Cursor.parse(publish(hub, "a", "generating", channel="jobs/1"))
    for void in ("1-1", f"{here.epoch}-{here.offset + 10}", "text"):
        with matching(hub, wire, headers={"Last-Event-ID": void}) as client:
            assert outline(client.until("ready")) == [("reset", ""), ("content_status_update", "a"), ("ready", "")]


@pytest.mark.parametrize("query", ["match=jobs/**", "match=none/*"], ids=["channels", "none"])
def test_a_later_epoch_is_waited_for(wire: Any, query: str) -> None:
    """A hub that knows less than the cursor sends heartbeats, and resets the stream once its patience has passed."""
    with live_hub(http=wire[0], heartbeat=5.0, patience=2.0) as hub:
        here = Cursor.parse(publish(hub, "a", "generating", channel="jobs/1"))
        later = f"{epoch_after(here.epoch, 60)}-1"
        with matching(hub, wire, query, headers={"Last-Event-ID": later}) as client:
            assert client.frame().event == "heartbeat"
            assert outline(client.until("ready"))[0] == ("reset", "")


def test_removed_channels_are_told_and_forgotten_ones_reset(wire: Any) -> None:
    """A cursor from before a removal gets `content_removed`; once that is forgotten with its channel, `reset`."""
    broker = open_broker("memory:")
    with live_hub(broker, http=wire[0], intervals=Intervals(sweep=3600.0, idle=0.01, directory=0.05)) as hub:
        publish(hub, "kept", "generating", channel="films")
        before = publish(hub, "gone", "complete", channel="jobs/1")
        resume = {"Last-Event-ID": before}
        with matching(hub, wire) as client:
            client.until("ready")
            now = 4e9
            hub.run(broker.expire(now))
            removed = client.event()
            assert outline([removed]) == [("content_removed", "gone")]
        with matching(hub, wire, headers=resume) as client:
            assert outline(client.until("ready")) == [("content_removed", "gone"), ("ready", "")]
        hub.run(broker.expire(now + RETENTION_SECONDS))
        eventually(lambda: not list(hub.hub.registry))
        with matching(hub, wire, headers=resume) as client:
            assert outline(client.until("ready")) == [("reset", ""), ("ready", "")]
            # Born again: a stream that resumes from before its end is reset as well, also at a hub that saw the birth.
            born = publish(hub, "again", "generating", channel="jobs/1")
            assert client.event().id == born
            for query in ("match=jobs/**", "channel=jobs/1"):
                with matching(hub, wire, query, headers=resume) as late:
                    assert outline(late.until("ready")) == [
                        ("reset", ""),
                        ("content_status_update", "again"),
                        ("ready", ""),
                    ]


def test_a_tenant_is_followed_only_while_it_is_watched(wire: Any) -> None:
    """Idle selections end, replicas that a pattern follows do not; ordinary streams of the tenant miss nothing."""
    quick = Intervals(directory=0.02, eviction=0.02, idle=0.01)
    with (
        live_hub(http=wire[0], intervals=quick) as hub,
        ExitStack() as stack,
        open_stream(hub.base_url, "/api/contents/jobs/1/events") as ordinary,
    ):
        ordinary.until("ready")
        with matching(hub, wire) as client:
            client.until("ready")
            first = publish(hub, "a", "generating", channel="jobs/1")
            born = publish(hub, "b", "generating", channel="jobs/2")
            assert [client.event().id for _ in range(2)] == [first, born]
            assert ordinary.event().id == first
            later = publish(hub, "b", "complete", channel="jobs/2")
            assert client.event().id == later
            for _ in range(2):
                hub.run(hub.hub.evictor.evict())
                assert [it.channel for it in hub.hub.registry] == ["jobs/1", "jobs/2"]
            inherited = stack.enter_context(open_stream(hub.base_url, "/api/contents/jobs/2/events"))
            inherited.until("ready")
        eventually(lambda: not hub.hub.registry.directories())
        second = publish(hub, "a", "complete", channel="jobs/1")
        assert ordinary.event().id == second
        third = publish(hub, "c", "complete", channel="jobs/2")
        assert inherited.event().id == third


def test_patterns_count_for_the_subject_and_the_tenant(wire: Any) -> None:
    """Each selected channel counts; a stream over the limit is told to come back later, and is not closed for good."""
    with live_hub(http=wire[0], secret=SECRET, max_channels_sub=4) as hub:
        events = [
            {"channel": f"{kind}/{n}", "content_id": f"{kind}-{n}", "data": {"status": "generating"}}
            for kind in "ab"
            for n in range(3)
        ]
        publish_all(hub, events, headers=bearer())
        eve, bob = bearer(sub="eve"), bearer(sub="bob")
        with (
            matching(hub, wire, "match=a/*", headers=eve) as one,
            matching(hub, wire, "match=a/*", headers=eve) as other,
        ):
            one.until("ready")
            other.until("ready")
            with matching(hub, wire, "match=b/*", headers=eve) as refused:
                assert refused.event().event == "drain"
            with matching(hub, wire, "channel=c&channel=d", headers=eve) as refused:
                assert refused.event().event == "drain"
            with matching(hub, wire, "match=b/*", headers=bob) as client:
                client.until("ready")
        eventually(lambda: len(hub.hub.viewers) == 0)
        with matching(hub, wire, "match=b/*", headers=eve) as client:
            client.until("ready")
    with live_hub(http=wire[0], max_channels_tenant=3) as hub:
        for n in range(4):
            publish(hub, f"c{n}", "generating", channel=f"jobs/{n}")
        with matching(hub, wire) as refused:
            assert refused.event().event == "drain"
        with matching(hub, wire, "match=jobs/0&match=new/*") as client:
            client.until("ready")
            for n in range(3):
                publish(hub, f"new-{n}", "generating", channel=f"new/{n}")
            assert outline(client.until("limit")) == [
                ("content_status_update", "new-0"),
                ("content_status_update", "new-1"),
                ("limit", ""),
            ]


def test_a_revoked_token_ends_a_pattern_stream(wire: Any) -> None:
    """As other streams, within a moment; the next request with it is refused."""
    with live_hub(http=wire[0], secret=SECRET, intervals=Intervals(expiry=0.05)) as hub:
        mine = bearer(jti="gone")
        with matching(hub, wire, headers=mine) as client:
            client.until("ready")
            httpx.post(
                f"{hub.base_url}/api/revoke", headers=bearer(revoke=True), json={"jti": "gone"}
            ).raise_for_status()
            assert client.event("drain").json["retry_ms"] > 0
        assert httpx.get(f"{hub.base_url}/api/events?match=**", headers=mine).status_code == 401


@pytest.mark.redis
@pytest.mark.parametrize("kept", [True, False], ids=["with-data", "without-data"])
def test_a_restart_of_redis_is_survived(tmp_path: Path, wire: Any, kept: bool) -> None:
    """The stream stays open; a new epoch resets it, and channels born after the restart are in it."""
    with running_redis(tmp_path) as server, live_hub(server.url, http=wire[0], heartbeat=0.5) as hub:
        publish(hub, "a", "complete", channel="jobs/1")
        with matching(hub, wire) as client:
            client.until("ready")
            server.kill()
            eventually(lambda: hub.hub.synchronizer.lost_at is not None)
            # One that comes meanwhile is shown what is known.
            with matching(hub, wire) as meanwhile:
                assert meanwhile.event().json["content_id"] == "a"
            if not kept:
                server.forget()
            server.start()
            expected = [("reset", ""), *([("processing_complete", "a")] if kept else []), ("ready", "")]
            assert outline(client.until("ready")) == expected
            cursor = publish(hub, "b", "complete", channel="jobs/2")
            assert client.event().id == cursor


@pytest.mark.redis
def test_a_hub_without_its_broker_holds_the_stream(tmp_path: Path, wire: Any) -> None:
    """A pattern that is opened while Redis is away waits with heartbeats, and is served when Redis is there."""
    server = RedisServer(tmp_path)
    with live_hub(server.url, http=wire[0], heartbeat=0.2) as hub, matching(hub, wire) as client:
        assert client.frame().event == "heartbeat"
        server.start()
        try:
            ready = client.event()
            assert ready.event == "ready"
            cursor = publish(hub, "a", "complete", channel="jobs/1")
            assert client.event().id == cursor
        finally:
            server.kill()
