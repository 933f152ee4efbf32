"""Maintenance of replicas: eviction, retention, retried reads and audits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker, Offsets, Snapshot
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.intervals import Intervals
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.publication import publication
from statushub.hub.replicas.limits import ReplicaLimits
from tests.support.live import LiveHub, live_hub
from tests.support.losing_broker import losing_broker
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream, outline, stream
from tests.support.waiting import eventually

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]
After = Callable[[], Awaitable[None]]


def on_first_read(broker: Broker, after: After) -> None:
    """Run `after` between the broker's first read of a channel's offset and the hub's receipt of it."""
    read = broker.offsets
    reads = 0

    async def offsets(*arguments: Any) -> Offsets:
        nonlocal reads
        reads += 1
        told = await read(*arguments)
        if reads == 1:
            await after()
        return told

    broker.offsets = offsets  # type: ignore[assignment, method-assign]


def channels(hub: LiveHub) -> list[str]:
    """The channels of the hub's replicas."""
    return [replica.channel for replica in hub.hub.registry]


def summary(hub: LiveHub, channel: str = "c") -> Any:
    return httpx.get(f"{hub.base_url}/api/contents/{channel}/status").json()


def test_an_idle_replica_is_evicted() -> None:
    """A watched replica stays, and a later poll loads the evicted one again."""
    with live_hub(intervals=Intervals(eviction=0.02, idle=0.1)) as hub, stream(hub, channel="watched") as client:
        client.until("ready")
        publish(hub, "a", "complete")
        assert summary(hub)["total_completed"] == 1
        eventually(lambda: channels(hub) == ["watched"])
        assert hub.hub.registry.events("default", ["a"]) is None
        assert summary(hub)["total_completed"] == 1
        publish(hub, "w", "complete", channel="watched")
        assert client.event().json["content_id"] == "w"


def test_the_number_of_idle_replicas_is_limited() -> None:
    """Polling many unknown channels keeps few replicas, whatever the idle time is."""
    with live_hub(intervals=Intervals(eviction=0.02), replica_limits=ReplicaLimits(idle=3)) as hub:
        for number in range(12):
            summary(hub, f"c{number}")
        eventually(lambda: len(channels(hub)) <= 3)
        eventually(lambda: "c11" in channels(hub))


def test_an_evicted_channel_can_be_streamed_again() -> None:
    """Evicting the last replica removes its tenant, and the next viewer creates both again."""
    with live_hub(intervals=Intervals(eviction=0.02, idle=0.05)) as hub:
        for number in range(3):
            with stream(hub) as client:
                client.until("ready")
                publish(hub, f"a{number}", "complete")
                assert client.event().json["content_id"] == f"a{number}"
            eventually(lambda: not channels(hub))


def test_a_content_whose_retention_has_ended_leaves_a_watched_replica() -> None:
    """The stream is sent its tombstone, and the next stream neither the content nor its tombstone."""
    with live_hub(retention=0.5, intervals=Intervals(sweep=0.02)) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "a", "complete")
        client.event()
        gone = client.event()
        assert (gone.event, gone.json) == ("content_removed", {"content_id": "a", "channel_id": "c"})
        assert summary(hub)["total_completed"] == 0
        with stream(hub) as late:
            assert outline(late.until("ready")) == [("ready", "")]


def test_a_cursor_from_before_a_forgotten_removal_is_reset_in_an_empty_channel() -> None:
    """The hub does not read a channel that is empty, and knows the floor of such channels nonetheless."""
    day = 24 * 3600.0
    with live_hub(retention=60.0) as hub:
        cursor = publish(hub, "a", "complete")
        for after in (3600.0, 2 * day):
            hub.run(hub.hub.broker.expire(time.time() + after))
        with stream(hub, cursor=cursor) as client:
            assert outline(client.until("ready")) == [("reset", ""), ("ready", "")]


@pytest.mark.parametrize("http", PATHS)
def test_a_failed_read_is_retried(http: Any) -> None:
    """The stream is open meanwhile and is sent `ready` after the successful read."""
    broker = open_broker("memory:")
    failures = iter(range(3))
    read = broker.changes

    async def changes(*arguments: Any) -> Snapshot:
        if next(failures, None) is not None:
            raise BrokerUnavailable("not yet")
        return await read(*arguments)

    broker.changes = changes  # type: ignore[assignment, method-assign]
    with live_hub(broker, http=http, intervals=Intervals(sync_retry=(0.01, 0.02))) as hub:
        publish(hub, "a", "complete")
        with stream(hub) as client:
            assert outline(client.until("ready")) == [("processing_complete", "a"), ("ready", "")]


def offered(content_id: str, channel: str = "c") -> Any:
    return publication(channel=channel, content_id=content_id, data={"status": "complete"})


def test_an_interruption_during_a_read_invalidates_it() -> None:
    """Events published between the read and the end of the interruption are not missed."""
    broker = losing_broker(lambda event: event.content_id != "late")
    hub: LiveHub

    async def interruption() -> None:
        hub.hub.ingest.lost()
        await broker.publish("default", [offered("late")])
        hub.hub.ingest.restored()

    on_first_read(broker, interruption)
    with live_hub(broker) as hub, stream(hub) as client:
        assert outline(client.until("ready")) == [("processing_complete", "late"), ("ready", "")]


@pytest.mark.parametrize("waiting", [2, 1_000])
def test_announcements_during_a_read_wait_up_to_a_limit(waiting: int) -> None:
    """Waiting announcements are applied after the read; over the limit, the channel is read again."""
    broker = open_broker("memory:")

    async def publications() -> None:
        await broker.publish("default", [offered(f"x{number}") for number in range(9)])

    on_first_read(broker, publications)
    with live_hub(broker, replica_limits=ReplicaLimits(waiting=waiting)) as hub, stream(hub) as client:
        frames = client.until("ready")
        assert [frame.json.get("content_id") for frame in frames[:-1]] == [f"x{number}" for number in range(9)]
        assert hub.hub.counts.syncs == (2 if waiting == 2 else 1)


@pytest.mark.redis
@pytest.mark.parametrize("http", PATHS)
def test_a_new_epoch_resets_every_channel_of_the_tenant(redis_server: RedisServer, http: Any) -> None:
    """After Redis was emptied, the next event resets all streams, those of other channels included."""
    url = redis_server.url.replace("/0", "/3")
    with live_hub(url, http=http) as hub:
        publish(hub, "a", "complete", channel="e/1")
        publish(hub, "b", "complete", channel="e/2")
        both = open_stream(hub.base_url, "/api/events?channel=e/1&channel=e/2")
        with stream(hub, channel="e/1") as one, both as client:
            one.until("ready")
            client.until("ready")
            redis_server.command("-n", "3", "FLUSHDB")
            publish(hub, "c", "complete", channel="e/2")
            assert outline(client.until("ready")) == [("reset", ""), ("processing_complete", "c"), ("ready", "")]
            assert outline(one.until("ready")) == [("reset", ""), ("ready", "")]


@pytest.mark.redis
def test_a_cursor_of_a_lost_clock_resets(redis_server: RedisServer) -> None:
    """Redis was emptied and no event follows: the hub reads the clock when it verifies the cursor."""
    url = redis_server.url.replace("/0", "/4")
    with live_hub(url) as hub, stream(hub) as client:
        client.until("ready")
        cursor = publish(hub, "a", "complete")
        client.event()
        redis_server.command("-n", "4", "FLUSHDB")
        epoch, _, offset = cursor.rpartition("-")
        with stream(hub, cursor=f"{epoch}-{int(offset) + 5}") as lost:
            assert outline(lost.until("ready")) == [("reset", ""), ("ready", "")]
            assert outline(client.until("ready")) == [("reset", ""), ("ready", "")]


@pytest.mark.parametrize("http", PATHS)
def test_an_audit_finds_a_lost_announcement(http: Any) -> None:
    """No later event of the channel shows the gap, as after the end of the work."""
    with (
        live_hub(
            losing_broker(lambda event: event.content_id != "lost"), http=http, intervals=Intervals(audit=0.05)
        ) as hub,
        stream(hub) as client,
    ):
        client.until("ready")
        publish(hub, "a", "complete")
        publish(hub, "lost", "complete")
        assert [client.event().json["content_id"] for _ in range(2)] == ["a", "lost"]
        assert hub.hub.counts.resets == 0


def test_an_overtaken_event_resets_a_stream_of_several_channels() -> None:
    """Ids must not decrease, and the client must not miss the lost event."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with (
        live_hub(broker, intervals=Intervals(audit=0.05)) as hub,
        open_stream(hub.base_url, "/api/events?channel=c&channel=d") as client,
    ):
        client.until("ready")
        # One batch, so that no audit runs in between.
        pair = [offered("lost", channel="d"), offered("a")]
        hub.run(hub.hub.publish("default", pair))
        assert client.event().json["content_id"] == "a"
        assert outline(client.until("ready")) == [
            ("reset", ""),
            ("processing_complete", "lost"),
            ("processing_complete", "a"),
            ("ready", ""),
        ]


def test_audits_of_complete_replicas_read_nothing() -> None:
    """Audits run while events come, and each channel is read only once."""
    with live_hub(intervals=Intervals(audit=0.001)) as hub, stream(hub) as client:
        client.until("ready")
        for number in range(200):
            publish(hub, f"x{number}", "complete")
        assert [client.event().json["content_id"] for _ in range(200)] == [f"x{number}" for number in range(200)]
        assert hub.hub.counts.syncs == 1


@pytest.mark.redis
def test_an_audit_finds_an_emptied_redis(redis_server: RedisServer) -> None:
    """Without any later event, viewers are reset to the empty state."""
    with live_hub(redis_server.url.replace("/0", "/4"), intervals=Intervals(audit=0.05)) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "a", "complete")
        client.event()
        redis_server.command("-n", "4", "FLUSHDB")
        assert outline(client.until("ready")) == [("reset", ""), ("ready", "")]
