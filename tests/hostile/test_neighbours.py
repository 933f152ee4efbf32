"""Neighbours: a tenant that follows very many channels does not hold others, and costs the broker little."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.redis.pubsub import CHANNELS_PER_COMMAND
from statushub.hub.replicas.sync import JOIN_SECONDS
from tests.hostile.witness import unharmed
from tests.support.live import LiveHub
from tests.support.publishing import publish_all
from tests.support.redis_server import RedisServer
from tests.support.sse_client import StreamClient, open_stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

STREAM_CHANNELS = 64
NEIGHBOUR = bearer(tenant="neighbour", jti="one")
OTHER = bearer(tenant="other", sub="bob")


class Watched:
    """What a hub asks its broker for the neighbour: the calls of each method, and the channels in them. While `gate` is
    closed, these calls do not return.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.calls: Counter[str] = Counter()
        self.channels: Counter[str] = Counter()
        self.gate: asyncio.Event | None = None
        for name in ("subscribe", "offsets", "changes"):
            setattr(broker, name, self._watching(name, getattr(broker, name)))

    def _watching(self, name: str, call: Any) -> Any:
        async def watched(tenant: str, channels: Any, *arguments: Any) -> Any:
            if tenant == "neighbour":
                self.calls[name] += 1
                self.channels[name] += 1 if isinstance(channels, str) else len(channels)
                if self.gate is not None:
                    await self.gate.wait()
            return await call(tenant, channels, *arguments)

        return watched

    def close(self) -> None:
        """Called on the hub's loop."""
        self.gate = asyncio.Event()

    def open(self) -> None:
        """Called on the hub's loop."""
        assert self.gate is not None
        self.gate.set()
        self.gate = None


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def watched(request: pytest.FixtureRequest) -> Watched:
    """A broker, not yet entered."""
    if request.param == "embedded":
        return Watched(open_broker("memory:"))
    server: RedisServer = request.getfixturevalue("redis_server")
    server.command("-n", "8", "FLUSHDB")
    return Watched(open_broker(server.url.replace("/0", "/8")))


@pytest.fixture
def hub(watched: Watched) -> Iterator[LiveHub]:
    """A hub over it that limits no channels."""
    limits = {"max_channels_sub": 100_000, "max_channels_tenant": 100_000}
    with unharmed(broker=watched.broker, secret=SECRET, ticket_secret=SECRET, **limits) as hub:
        yield hub


def ghosts(hub: LiveHub, number: int, stack: contextlib.ExitStack) -> StreamClient:
    """A stream of the neighbour over channels that do not exist."""
    query = "&".join(f"channel=ghost-{number}-{channel}" for channel in range(STREAM_CHANNELS))
    return stack.enter_context(open_stream(hub.base_url, f"/api/events?{query}", NEIGHBOUR))


def live(hub: LiveHub, tenant: str = "neighbour") -> int:
    """How many of the tenant's channels announcements keep current."""
    return sum(replica.live for replica in tuple(hub.hub.registry.of(tenant)))


def summary(hub: LiveHub, channel: str) -> httpx.Response:
    """The other tenant's poll of a channel."""
    return httpx.get(f"{hub.base_url}/api/contents/{channel}/status", headers=OTHER)


def test_reads_of_a_neighbour_that_do_not_end_do_not_hold_others(hub: LiveHub, watched: Watched) -> None:
    """The neighbour has more channels to read than there are turns; another tenant's are read meanwhile."""
    with contextlib.ExitStack() as stack:
        hub.call(watched.close)
        for number in range(4):
            ghosts(hub, number, stack)
        assert summary(hub, "new").status_code == 200
        with open_stream(hub.base_url, "/api/contents/newer/events", OTHER) as stream:
            stream.until("ready")
        hub.call(watched.open)
        eventually(lambda: live(hub) == 4 * STREAM_CHANNELS)


def test_changed_channels_of_a_neighbour_do_not_hold_others(hub: LiveHub, watched: Watched) -> None:
    """The reads of whole channels are shared out in the same way."""
    channels = [f"ghost-0-{number}" for number in range(STREAM_CHANNELS)]
    events = [{"channel": name, "content_id": name, "data": {"status": "generating"}} for name in channels]
    publish_all(hub.base_url, events, headers=NEIGHBOUR)
    mine = {"channel": "mine", "content_id": "m", "data": {"status": "complete"}}
    publish_all(hub.base_url, [mine], headers=OTHER)
    changes = watched.broker.changes
    gate = asyncio.Event()

    async def held(tenant: str, *arguments: Any) -> Any:
        if tenant == "neighbour":
            await gate.wait()
        return await changes(tenant, *arguments)

    watched.broker.changes = held  # type: ignore[assignment, method-assign]
    with contextlib.ExitStack() as stack:
        stream = ghosts(hub, 0, stack)
        assert summary(hub, "mine").json()["total_completed"] == 1
        hub.call(gate.set)
        frames = stream.until("ready")
        assert {frame.json["content_id"] for frame in frames[:-1]} == set(channels)


def test_channels_that_do_not_exist_cost_few_reads(hub: LiveHub, watched: Watched) -> None:
    """They are asked for together, and none of them is read."""
    with contextlib.ExitStack() as stack:
        hub.call(watched.close)
        streams = [ghosts(hub, number, stack) for number in range(40)]
        eventually(lambda: len(hub.hub.registry.of("neighbour")) == len(streams) * STREAM_CHANNELS)
        hub.call(watched.open)
        for stream in streams:
            stream.until("ready")
        assert watched.calls["offsets"] < len(streams)
        assert watched.calls["changes"] == 0


def test_channels_of_streams_that_have_left_are_not_read(hub: LiveHub, watched: Watched) -> None:
    """What waits for its turn is dropped when no viewer and no poll waits for it any more."""
    hub.call(watched.close)
    with contextlib.ExitStack() as stack:
        for number in range(20):
            ghosts(hub, number, stack)
        eventually(lambda: len(hub.hub.viewers) == 20)
    eventually(lambda: len(hub.hub.viewers) == 0)
    left = time.monotonic()
    eventually(lambda: time.monotonic() - left > JOIN_SECONDS)
    with contextlib.ExitStack() as stack:
        waiting = ghosts(hub, 99, stack)
        hub.call(watched.open)
        waiting.until("ready")
        assert watched.channels["offsets"] <= 3 * STREAM_CHANNELS
        # What was asked for already, of a stream or two, and the stream that waits.
        assert live(hub) <= 3 * STREAM_CHANNELS
        eventually(lambda: len(hub.hub.registry.of("neighbour")) <= 3 * STREAM_CHANNELS)


def test_after_an_interruption_only_changed_channels_are_read(hub: LiveHub, watched: Watched) -> None:
    """The others are known to be complete by their offsets."""
    with contextlib.ExitStack() as stack:
        stream = ghosts(hub, 0, stack)
        stream.until("ready")
        event = {"channel": "ghost-0-7", "content_id": "x", "data": {"status": "generating"}}
        publish_all(hub.base_url, [event], headers=NEIGHBOUR)
        stream.event()
        watched.calls.clear()
        hub.call(hub.hub.ingest.lost)
        hub.call(hub.hub.ingest.restored)
        eventually(lambda: live(hub) == STREAM_CHANNELS)
        assert (watched.calls["offsets"], watched.calls["changes"]) == (1, 0)
        publish_all(hub.base_url, [event], headers=NEIGHBOUR)
        assert stream.event().json["content_id"] == "x"


@pytest.mark.redis
def test_a_reconnect_costs_redis_few_commands(redis_server: RedisServer) -> None:
    """Thousands of channels are subscribed and read again together, and their streams go on."""
    redis_server.command("-n", "9", "FLUSHDB")
    limits = {"max_channels_sub": 100_000, "max_channels_tenant": 100_000}
    channels = 40 * STREAM_CHANNELS
    url = redis_server.url.replace("/0", "/9")
    with (
        unharmed(broker=url, secret=SECRET, ticket_secret=SECRET, **limits) as hub,
        contextlib.ExitStack() as stack,
    ):
        streams = [ghosts(hub, number, stack) for number in range(40)]
        for stream in streams:
            stream.until("ready")
        before, syncs = commands(redis_server), hub.hub.counts.syncs
        redis_server.command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: hub.hub.counts.syncs >= syncs + channels)
        eventually(lambda: live(hub) == channels)
        after = commands(redis_server)
        assert after["ssubscribe"] - before["ssubscribe"] <= channels / CHANNELS_PER_COMMAND + 2
        # Sweeps and audits of the meantime are among the calls.
        assert after["fcall"] - before["fcall"] < channels / 20
        last = {"channel": f"ghost-39-{STREAM_CHANNELS - 1}", "content_id": "x", "data": {"status": "complete"}}
        publish_all(hub.base_url, [last], headers=NEIGHBOUR)
        assert streams[-1].event().json["content_id"] == "x"


def commands(server: RedisServer) -> Counter[str]:
    """How often the server has executed each command."""
    told: Sequence[tuple[str, str]] = re.findall(r"cmdstat_(\w+):calls=(\d+)", server.command("INFO", "commandstats"))
    return Counter({name: int(calls) for name, calls in told})
