"""Lost announcements: the hub notices and repairs the gap, and no viewer misses a final state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker, Offsets, Snapshot
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.replica import Replica
from tests.support.live import live_hub
from tests.support.losing_broker import losing_broker
from tests.support.offsets import consecutive
from tests.support.publishing import publish
from tests.support.sse_client import open_stream, outline, stream
from tests.support.waiting import eventually

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]


@pytest.mark.parametrize("http", PATHS)
def test_a_gap_is_repaired_before_later_events_are_sent(http: Any) -> None:
    """The channel's next announcement shows the gap, and the hub reads the broker before it sends either event."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "lost", "complete")
        publish(hub, "seen", "complete")
        frames = client.until_content(content_id="seen")
        assert outline(frames) == [("processing_complete", "lost"), ("processing_complete", "seen")]
        assert consecutive([frame.offset for frame in frames], 2)


@pytest.mark.parametrize("http", PATHS)
def test_a_viewer_past_a_repaired_event_is_reset(http: Any) -> None:
    """A stream of two channels has sent a higher id than the repaired event's, so that the whole state comes again."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, open_stream(hub.base_url, "/api/events?channel=a&channel=b") as client:
        client.until("ready")
        publish(hub, "lost", "complete", channel="a")
        publish(hub, "other", "complete", channel="b")
        assert client.event().json["content_id"] == "other"
        publish(hub, "seen", "complete", channel="a")
        frames = client.until("ready")
        assert outline(frames) == [
            ("reset", ""),
            ("processing_complete", "lost"),
            ("processing_complete", "other"),
            ("processing_complete", "seen"),
            ("ready", ""),
        ]


@pytest.mark.parametrize("http", PATHS)
def test_streams_outlive_an_interruption_and_catch_up(http: Any) -> None:
    """A stream stays open during an interruption, and catches up when it ends."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http, heartbeat=0.2) as hub, stream(hub) as client:
        client.until("ready")
        hub.call(hub.hub.ingest.lost)
        publish(hub, "lost", "complete")
        assert client.frame().event == "heartbeat"
        with stream(hub) as newcomer:
            # The known state is shown without `ready`, since it may be outdated.
            assert newcomer.frame().retry
            assert newcomer.frame().event == "heartbeat"
            hub.call(hub.hub.ingest.restored)
            for viewer in (client, newcomer):
                assert viewer.event().json["content_id"] == "lost"
            assert newcomer.event().event == "ready"


def refusing(broker: Broker, refused: Callable[[str], bool]) -> None:
    """Make reads fail of each channel for which `refused` is true at that moment."""
    read = broker.changes

    async def changes(tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        if refused(channel):
            raise BrokerUnavailable("not now")
        return await read(tenant, channel, since)

    broker.changes = changes  # type: ignore[method-assign]


def test_channels_read_at_different_moments_are_not_ready() -> None:
    """The second interruption comes when one of two channels has been read again and the other has not."""
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
def test_a_failed_verification_is_retried(http: Any) -> None:
    """A cursor ahead of the hub is verified by a second read, and the viewer is served."""
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
            assert outline(client.until("ready")) == [("ready", "")]
            publish(hub, "b", "complete")
            assert client.event().json["content_id"] == "b"
        assert not refused


@pytest.mark.parametrize("http", PATHS)
def test_a_cursor_ahead_reveals_a_lost_announcement(http: Any) -> None:
    """A viewer that comes from a hub with the event makes this hub read it for its own viewers."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, stream(hub) as client:
        client.until("ready")
        ahead = publish(hub, "lost", "complete")
        with stream(hub, cursor=ahead) as newcomer:
            assert outline(newcomer.until("ready")) == [("ready", "")]
            assert client.event().json["content_id"] == "lost"


@pytest.mark.parametrize("http", PATHS)
def test_verifying_a_cursor_hides_no_gap_of_another_channel(http: Any) -> None:
    """A clock at the cursor's offset does not imply that every announcement before it arrived."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, stream(hub) as client, stream(hub, channel="other") as other:
        client.until("ready")
        other.until("ready")
        publish(hub, "lost", "complete")
        ahead = publish(hub, "elsewhere", "complete", channel="elsewhere")
        with stream(hub, channel="other", cursor=ahead) as newcomer:
            assert outline(newcomer.until("ready")) == [("ready", "")]
        publish(hub, "seen", "complete")
        frames = client.until_content(content_id="seen")
        assert outline(frames) == [("processing_complete", "lost"), ("processing_complete", "seen")]


def test_many_cursors_ahead_cost_one_verification() -> None:
    """A thundering herd of viewers from a hub that was ahead causes few reads."""
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
            assert outline(client.until("ready")) == [("ready", "")]
        assert len(reads) <= 3


def test_a_replica_evicted_during_a_read_stays_evicted() -> None:
    """It owns no contents afterwards, and polls are answered from the replica that is followed."""
    broker = open_broker("memory:")
    dropped: list[Replica] = []
    read = broker.offsets

    async def offsets(tenant: str, channels: Sequence[str]) -> Offsets:
        told = await read(tenant, channels)
        if dropped:
            await hub.hub.synchronizer.drop("default", [dropped.pop()])
        return told

    broker.offsets = offsets  # type: ignore[method-assign]
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
def test_an_unreadable_channel_does_not_end_other_streams(http: Any) -> None:
    """An unexpected error is logged and retried while the hub goes on serving."""
    broker = open_broker("memory:")
    failures = iter(range(2))
    read = broker.changes

    async def changes(tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        if channel == "c" and next(failures, None) is not None:
            raise ZeroDivisionError
        return await read(tenant, channel, since)

    broker.changes = changes  # type: ignore[method-assign]
    with live_hub(broker, http=http) as hub:
        publish(hub, "a", "complete")
        with stream(hub) as client, stream(hub, channel="other") as other:
            assert outline(other.until("ready")) == [("ready", "")]
            assert outline(client.until("ready")) == [("processing_complete", "a"), ("ready", "")]


@pytest.mark.parametrize("http", PATHS)
def test_a_repair_without_changes_sends_nothing(http: Any) -> None:
    """After an interruption without publications the stream goes on with the next event."""
    with live_hub("memory:", http=http) as hub, stream(hub) as client:
        client.until("ready")
        hub.call(hub.hub.ingest.lost)
        hub.call(hub.hub.ingest.restored)
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"
