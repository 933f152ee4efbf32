"""What a hub does by itself: it drops what nobody asks for, forgets what retention lets go, and tries again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker, Snapshot
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.intervals import Intervals
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.publication import publication
from statushub.hub.replicas.limits import ReplicaLimits
from tests.support.live import LiveHub, live_hub
from tests.support.losing_broker import losing_broker
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream, said, stream
from tests.support.waiting import eventually

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]
After = Callable[[], Awaitable[None]]


def on_first_read(broker: Broker, after: After) -> None:
    """Let something happen between the broker's first reading of a channel and the hub's hearing of it."""
    read = broker.changes
    reads = 0

    async def changes(*arguments: Any) -> Snapshot:
        nonlocal reads
        reads += 1
        snapshot = await read(*arguments)
        if reads == 1:
            await after()
        return snapshot

    broker.changes = changes  # type: ignore[assignment, method-assign]


def channels(hub: LiveHub) -> list[str]:
    """The channels that the hub has replicas of."""
    return [replica.channel for replica in hub.hub.registry]


def summary(hub: LiveHub, channel: str = "c") -> Any:
    return httpx.get(f"{hub.base_url}/api/contents/{channel}/status").json()


def test_a_replica_that_nobody_asks_for_is_dropped() -> None:
    """Nothing stays behind, one that has a viewer stays, and whoever asks again is served again."""
    with live_hub(intervals=Intervals(eviction=0.02, idle=0.1)) as hub, stream(hub, channel="watched") as client:
        client.until("ready")
        publish(hub, "a", "complete")
        assert summary(hub)["total_completed"] == 1
        eventually(lambda: channels(hub) == ["watched"])
        assert hub.hub.registry.entries("default", ["a"]) is None
        assert summary(hub)["total_completed"] == 1
        publish(hub, "w", "complete", channel="watched")
        assert client.event().json["content_id"] == "w"


def test_replicas_of_idle_polls_are_bounded() -> None:
    """Whoever polls names that do not exist makes the hub hold few of them, however patient it is."""
    with live_hub(intervals=Intervals(eviction=0.02), replica_limits=ReplicaLimits(idle=3)) as hub:
        for number in range(12):
            summary(hub, f"c{number}")
        eventually(lambda: len(channels(hub)) <= 3)
        eventually(lambda: "c11" in channels(hub))


def test_a_channel_that_was_dropped_can_be_followed_again() -> None:
    """The last replica takes the tenant along, and the next viewer brings both back."""
    with live_hub(intervals=Intervals(eviction=0.02, idle=0.05)) as hub:
        for number in range(3):
            with stream(hub) as client:
                client.until("ready")
                publish(hub, f"a{number}", "complete")
                assert client.event().json["content_id"] == f"a{number}"
            eventually(lambda: not channels(hub))


def test_what_retention_lets_go_is_forgotten_while_it_is_watched() -> None:
    """A stream keeps the replica, but not the contents that the broker no longer has."""
    with live_hub(retention=0.5, intervals=Intervals(eviction=0.02)) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "a", "complete")
        client.event()
        assert summary(hub)["total_completed"] == 1
        eventually(lambda: summary(hub)["total_completed"] == 0)
        publish(hub, "b", "complete")
        assert client.event().json["content_id"] == "b"


@pytest.mark.parametrize("http", PATHS)
def test_a_read_that_fails_is_tried_again(http: Any) -> None:
    """The stream is open meanwhile, and ready afterwards."""
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
            assert said(client.until("ready")) == [("processing_complete", "a"), ("ready", "")]


def offered(content_id: str, channel: str = "c") -> Any:
    return publication(channel=channel, content_id=content_id, data={"status": "complete"})


def test_an_interruption_during_a_read_makes_it_void() -> None:
    """What was published after the read and before the return of announcements is not missed."""
    broker = losing_broker(lambda event: event.content_id != "late")
    hub: LiveHub

    async def interruption() -> None:
        hub.hub.ingest.lost()
        await broker.publish("default", [offered("late")])
        hub.hub.ingest.restored()

    on_first_read(broker, interruption)
    with live_hub(broker) as hub, stream(hub) as client:
        assert said(client.until("ready")) == [("processing_complete", "late"), ("ready", "")]


@pytest.mark.parametrize("waiting", [2, 1_000])
def test_what_is_announced_during_a_read_is_neither_lost_nor_kept_without_end(waiting: int) -> None:
    """Announcements wait for the read; too many of them are read again instead."""
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
    """Redis is emptied under a running hub: with the next event all streams begin anew, also of other channels."""
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
            assert said(client.until("ready")) == [("reset", ""), ("processing_complete", "c"), ("ready", "")]
            assert said(one.until("ready")) == [("reset", ""), ("ready", "")]


@pytest.mark.redis
def test_a_cursor_ahead_of_a_clock_that_began_anew_resets(redis_server: RedisServer) -> None:
    """Redis is emptied and nobody publishes: the hub finds out when it asks whether a cursor is good."""
    url = redis_server.url.replace("/0", "/4")
    with live_hub(url) as hub, stream(hub) as client:
        client.until("ready")
        cursor = publish(hub, "a", "complete")
        client.event()
        redis_server.command("-n", "4", "FLUSHDB")
        epoch, _, offset = cursor.rpartition("-")
        with stream(hub, cursor=f"{epoch}-{int(offset) + 5}") as lost:
            assert said(lost.until("ready")) == [("reset", ""), ("ready", "")]
            assert said(client.until("ready")) == [("reset", ""), ("ready", "")]


@pytest.mark.parametrize("http", PATHS)
def test_an_announcement_that_was_lost_unnoticed_is_found_missing(http: Any) -> None:
    """Though nothing follows it that could show the hole, as nothing does after the end of the work."""
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


def test_a_stream_of_several_channels_is_reset_where_a_lost_one_was_overtaken() -> None:
    """Its ids may not shrink, and the client must not keep a view without it."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with (
        live_hub(broker, intervals=Intervals(audit=0.05)) as hub,
        open_stream(hub.base_url, "/api/events?channel=c&channel=d") as client,
    ):
        client.until("ready")
        # Together, so that no audit comes in between.
        pair = [offered("lost", channel="d"), offered("a")]
        hub.run(hub.hub.publish("default", pair))
        assert client.event().json["content_id"] == "a"
        assert said(client.until("ready")) == [
            ("reset", ""),
            ("processing_complete", "lost"),
            ("processing_complete", "a"),
            ("ready", ""),
        ]


def test_audits_of_sound_replicas_read_nothing_again() -> None:
    """However many there are while events come."""
    with live_hub(intervals=Intervals(audit=0.001)) as hub, stream(hub) as client:
        client.until("ready")
        for number in range(200):
            publish(hub, f"x{number}", "complete")
        assert [client.event().json["content_id"] for _ in range(200)] == [f"x{number}" for number in range(200)]
        assert hub.hub.counts.syncs == 1


@pytest.mark.redis
def test_a_redis_that_was_emptied_is_found_out_though_nobody_publishes(redis_server: RedisServer) -> None:
    """What viewers show is not there any more, and they are told so."""
    with live_hub(redis_server.url.replace("/0", "/4"), intervals=Intervals(audit=0.05)) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "a", "complete")
        client.event()
        redis_server.command("-n", "4", "FLUSHDB")
        assert said(client.until("ready")) == [("reset", ""), ("ready", "")]
