"""What a hub does when announcements are lost: it notices, repairs, and no viewer misses an ending."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker, Snapshot
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.replica import Replica
from tests.support.live import live_hub
from tests.support.losing_broker import losing_broker
from tests.support.publishing import publish
from tests.support.sse_client import open_stream, said, stream
from tests.support.waiting import eventually

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]


@pytest.mark.parametrize("http", PATHS)
def test_a_hole_is_repaired_before_anything_later_is_shown(http: Any) -> None:
    """A lost announcement shows with the next one of its channel, and is read from the broker first."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "lost", "complete")
        publish(hub, "seen", "complete")
        frames = client.until_content(content_id="seen")
        assert said(frames) == [("processing_complete", "lost"), ("processing_complete", "seen")]
        assert [frame.offset for frame in frames] == [1, 2]


@pytest.mark.parametrize("http", PATHS)
def test_a_viewer_that_was_overtaken_is_reset(http: Any) -> None:
    """On a stream of two channels, what was lost on one lies before what came on the other: no growing id
    can bring it, so everything comes anew."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, open_stream(hub.base_url, "/api/events?channel=a&channel=b") as client:
        client.until("ready")
        publish(hub, "lost", "complete", channel="a")
        publish(hub, "other", "complete", channel="b")
        assert client.event().json["content_id"] == "other"
        publish(hub, "seen", "complete", channel="a")
        frames = client.until("ready")
        assert said(frames) == [
            ("reset", ""),
            ("processing_complete", "lost"),
            ("processing_complete", "other"),
            ("processing_complete", "seen"),
            ("ready", ""),
        ]


@pytest.mark.parametrize("http", PATHS)
def test_streams_outlive_a_lost_broker_and_catch_up(http: Any) -> None:
    """While announcements are interrupted a stream stays; what was published meanwhile comes with the return."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http, heartbeat=0.2) as hub, stream(hub) as client:
        client.until("ready")
        hub.call(hub.hub.ingest.lost)
        publish(hub, "lost", "complete")
        assert client.frame().event == "heartbeat"
        with stream(hub) as newcomer:
            # What was known is shown; that it is all of today's is not claimed.
            assert newcomer.frame().retry
            assert newcomer.frame().event == "heartbeat"
            hub.call(hub.hub.ingest.restored)
            for viewer in (client, newcomer):
                assert viewer.event().json["content_id"] == "lost"
            assert newcomer.event().event == "ready"


def refusing(broker: Broker, refused: Callable[[str], bool]) -> None:
    """Let reads of the channels fail that `refused` names at that moment."""
    read = broker.changes

    async def changes(tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        if refused(channel):
            raise BrokerUnavailable("not now")
        return await read(tenant, channel, since)

    broker.changes = changes  # type: ignore[method-assign]


def test_channels_of_different_moments_are_not_shown_as_one() -> None:
    """The broker is lost again while one of two channels has been read anew and the other has not."""
    losing: list[bool] = []
    refused: list[str] = []
    broker = losing_broker(lambda event: not losing)
    refusing(broker, refused.__contains__)
    with live_hub(broker, heartbeat=0.2) as hub:
        publish(hub, "a1", "generating", channel="a")
        publish(hub, "b1", "generating", channel="b")
        path = "/api/events?channel=a&channel=b"
        with open_stream(hub.base_url, path) as first:
            first.until("ready")
        hub.call(hub.hub.ingest.lost)
        losing.append(True)
        publish(hub, "a1", "complete", channel="a")
        publish(hub, "b1", "complete", channel="b")
        losing.clear()
        refused.append("a")
        hub.call(hub.hub.ingest.restored)
        replica = hub.hub.synchronizer.obtain("default", "b")
        eventually(lambda: replica.live)
        hub.call(hub.hub.ingest.lost)
        ids = {"content_ids": ["a1", "b1"]}
        batch = httpx.post(f"{hub.base_url}/api/contents/status/batch", json=ids).json()["statuses"]
        assert [status["status"] for status in batch] == ["complete", "complete"]
        with open_stream(hub.base_url, path) as client:
            assert client.frame().retry
            assert client.frame().event == "heartbeat"
            refused.clear()
            hub.call(hub.hub.ingest.restored)
            frames = client.until("ready")
            shown = {frame.json["content_id"]: frame.json["status"] for frame in frames[:-1]}
            assert shown == {"a1": "complete", "b1": "complete"}


@pytest.mark.parametrize("http", PATHS)
def test_a_question_that_fails_is_asked_again(http: Any) -> None:
    """Whether a cursor ahead of the hub is good could not be found out at once: the viewer is served nevertheless."""
    broker = open_broker("memory:")
    refused: list[str] = []
    refusing(broker, lambda channel: bool(refused) and bool(refused.pop()))
    with live_hub(broker, http=http) as hub:
        publish(hub, "a", "complete")
        with stream(hub) as first:
            first.until("ready")
        ahead = publish(hub, "o", "complete", channel="other")
        refused.append("c")
        with stream(hub, cursor=ahead) as client:
            assert said(client.until("ready")) == [("ready", "")]
            publish(hub, "b", "complete")
            assert client.event().json["content_id"] == "b"
        assert not refused


@pytest.mark.parametrize("http", PATHS)
def test_whoever_has_seen_more_shows_what_was_lost(http: Any) -> None:
    """A viewer comes from a hub that heard what was lost here; those who are here are shown it, too."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, stream(hub) as client:
        client.until("ready")
        ahead = publish(hub, "lost", "complete")
        with stream(hub, cursor=ahead) as newcomer:
            assert said(newcomer.until("ready")) == [("ready", "")]
            assert client.event().json["content_id"] == "lost"


@pytest.mark.parametrize("http", PATHS)
def test_a_cursor_that_is_good_hides_no_hole_of_another_channel(http: Any) -> None:
    """That the clock is so far does not say that everything up to there has been heard."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, stream(hub) as client, stream(hub, channel="other") as other:
        client.until("ready")
        other.until("ready")
        publish(hub, "lost", "complete")
        ahead = publish(hub, "elsewhere", "complete", channel="elsewhere")
        with stream(hub, channel="other", cursor=ahead) as newcomer:
            assert said(newcomer.until("ready")) == [("ready", "")]
        publish(hub, "seen", "complete")
        frames = client.until_content(content_id="seen")
        assert said(frames) == [("processing_complete", "lost"), ("processing_complete", "seen")]


def test_many_cursors_ahead_cost_one_question() -> None:
    """A storm of viewers from a hub that was ahead is not a storm of reads."""
    broker = open_broker("memory:")
    reads: list[str] = []

    def counted(channel: str) -> bool:
        reads.append(channel)
        return False

    refusing(broker, counted)
    with live_hub(broker) as hub, contextlib.ExitStack() as stack:
        publish(hub, "a", "complete")
        stack.enter_context(stream(hub)).until("ready")
        ahead = publish(hub, "o", "complete", channel="other")
        for client in [stack.enter_context(stream(hub, cursor=ahead)) for _ in range(30)]:
            assert said(client.until("ready")) == [("ready", "")]
        assert len(reads) <= 3


def test_a_replica_that_is_dropped_while_it_is_read_stays_dropped() -> None:
    """It owns no contents afterwards: polls are answered by who is followed."""
    broker = open_broker("memory:")
    dropped: list[Replica] = []
    read = broker.changes

    async def changes(tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        snapshot = await read(tenant, channel, since)
        if dropped:
            await hub.hub.evictor.drop(dropped.pop())
        return snapshot

    broker.changes = changes  # type: ignore[method-assign]
    with live_hub(broker) as hub:
        publish(hub, "a", "generating")
        publish(hub, "k", "generating", channel="kept")
        with stream(hub) as client, stream(hub, channel="kept") as kept:
            client.until("ready")
            kept.until("ready")
        replica = hub.hub.synchronizer.obtain("default", "c")
        dropped.append(replica)
        hub.call(lambda: hub.hub.synchronizer.sync(replica))
        eventually(lambda: not replica.syncing)
        publish(hub, "a", "complete")
        batch = httpx.post(f"{hub.base_url}/api/contents/status/batch", json={"content_ids": ["a"]}).json()
        assert batch["statuses"][0]["status"] == "complete"
        assert not replica.live


@pytest.mark.parametrize("http", PATHS)
def test_a_channel_that_cannot_be_read_does_not_end_the_others(http: Any) -> None:
    """An error that nobody foresaw is logged and tried again, and meanwhile the hub serves."""
    broker = open_broker("memory:")
    failures = iter(range(2))
    read = broker.changes

    async def changes(tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        if channel == "c" and next(failures, None) is not None:
            raise ZeroDivisionError
        return await read(tenant, channel, since)

    broker.changes = changes  # type: ignore[method-assign]
    with live_hub(broker, http=http) as hub, stream(hub) as client, stream(hub, channel="other") as other:
        assert said(other.until("ready")) == [("ready", "")]
        assert said(client.until("ready")) == [("ready", "")]


@pytest.mark.parametrize("http", PATHS)
def test_a_repair_that_nobody_sees_sends_nothing(http: Any) -> None:
    """After an interruption in which nothing was published, the stream goes on without a word."""
    with live_hub("memory:", http=http) as hub, stream(hub) as client:
        client.until("ready")
        hub.call(hub.hub.ingest.lost)
        hub.call(hub.hub.ingest.restored)
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"
