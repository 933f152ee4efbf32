"""The default lease: a content in progress whose producer gives no lease ends, too, once it is silent for long."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from statushub import Producer
from statushub.hub.auth.revocations import Revocation
from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.model.event import decode
from statushub.hub.model.vocabulary import ERROR
from tests.support.publications import CHANNEL, accepted, update
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis

pytestmark = pytest.mark.anyio

DEFAULT_LEASE = 600.0
LATER = 3600.0
"""Longer than the default lease. Sweeps get the time as an argument, so that no test waits."""


@pytest.fixture
async def leasing(url: str, listener: Recorder) -> AsyncIterator[Broker]:
    """A broker with a default lease."""
    broker = open_broker(url, default_lease=DEFAULT_LEASE)
    broker.listen(listener)
    async with broker:
        yield broker


async def statuses(broker: Broker, tenant: str, *content_ids: str) -> list[object]:
    found = await broker.lookup(tenant, content_ids)
    return [event and decode(event.data)["status"] for event in found.events]


async def test_a_content_without_a_lease_ends_as_stalled(leasing: Broker, tenant: str, listener: Recorder) -> None:
    """It ends like one whose own lease ran out, and not earlier."""
    await leasing.subscribe(tenant, [CHANNEL])
    ends = time.time() + DEFAULT_LEASE
    await accepted(leasing, tenant, update("a"))
    # Without a gap between the sweeps, in which lease time would stand still.
    assert await leasing.expire(ends - 1) == 0
    assert sum([await leasing.expire(ends + 3 * n) for n in range(1, 5)]) == 1
    _, announced = await listener.count(2)
    assert announced.type == ERROR
    assert decode(announced.data)["error_code"] == "stalled"


async def test_a_lease_of_its_own_counts(leasing: Broker, tenant: str) -> None:
    """A longer one and none at all outlast the default, a shorter one ends sooner."""
    await leasing.publish(tenant, [update("none", lease=0), update("long", lease=2 * LATER), update("short", lease=60)])
    assert await leasing.expire(time.time() + DEFAULT_LEASE / 2) == 1
    assert await leasing.expire(time.time() + LATER) == 0
    assert await statuses(leasing, tenant, "none", "long", "short") == ["generating", "generating", "error"]


async def test_only_a_content_in_progress_has_it(leasing: Broker, tenant: str) -> None:
    """Work that waits may wait for days, and what has ended stays as it is."""
    await leasing.publish(tenant, [update("queued", "pending"), update("idle", "idle"), update("done", "complete")])
    assert await leasing.expire(time.time() + LATER) == 0
    assert await statuses(leasing, tenant, "queued", "idle", "done") == ["idle", "idle", "complete"]


async def test_the_last_event_counts(leasing: Broker, tenant: str) -> None:
    """An event without a lease replaces the lease before it by the default, and the other way round."""
    await leasing.publish(tenant, [update("a", lease=60), update("b"), update("c", lease=0)])
    await leasing.publish(tenant, [update("a"), update("b", lease=60), update("c")])
    assert await leasing.expire(time.time() + DEFAULT_LEASE / 2) == 1
    assert await statuses(leasing, tenant, "a", "b", "c") == ["generating", "error", "generating"]


async def test_a_default_follows_none(leasing: Broker, tenant: str) -> None:
    """A content that had no lease gets the default with its next event."""
    await accepted(leasing, tenant, update("a", lease=0))
    await accepted(leasing, tenant, update("a"))
    assert await leasing.expire(time.time() + LATER) == 1


async def test_without_a_default_a_content_may_be_silent(url: str, tenant: str) -> None:
    """0 is no default lease."""
    async with open_broker(url, default_lease=0) as broker:
        await accepted(broker, tenant, update("a"))
        assert await broker.expire(time.time() + LATER) == 0


async def test_a_revocation_outlasts_the_default(leasing: Broker, tenant: str) -> None:
    """It is in force until its retention ends, and is no work that could stall."""
    revocation = Revocation(tenant=tenant, kind="jti", value="token-1", at=0.0, until=time.time() + 10 * LATER)
    await leasing.publish(tenant, [revocation.publication()], retention=10 * LATER)
    assert await leasing.expire(time.time() + LATER) == 0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server that the test may fill."""
    with running_redis(tmp_path, appendonly=False) as server:
        yield server


@pytest.mark.redis
async def test_a_producer_straight_into_redis_gets_the_hubs_default(own_server: RedisServer, tenant: str) -> None:
    """From the tenant's first event on, before any hub has swept it."""
    broker = open_broker(own_server.url, default_lease=DEFAULT_LEASE)
    broker.listen(Recorder())
    async with broker, Producer(own_server.url, tenant=tenant) as producer:
        await producer.publish("first", channel=CHANNEL, status="running")
        assert await broker.expire(time.time() + LATER) == 1
        assert await statuses(broker, tenant, "first") == ["error"]


@pytest.mark.redis
async def test_a_function_call_gets_the_hubs_default(own_server: RedisServer, tenant: str) -> None:
    """A call of the former version, which names no lease, gets what a hub's sweep has written into the clock."""
    async with open_broker(own_server.url, default_lease=DEFAULT_LEASE) as broker:
        await accepted(broker, tenant, update("other", "pending"))
        await broker.expire()
        with redis.Redis(port=own_server.port) as client:
            client.fcall("statushub_publish", 1, f"hub:{{{tenant}}}", "", CHANNEL, "a", "x", "0", "", "", "", "{}")
            ends = float(client.zscore(f"hub:{{{tenant}}}:leases", "a") or 0) / 1000
        assert abs(ends - time.time() - DEFAULT_LEASE) < 60


@pytest.mark.redis
async def test_a_changed_default_counts_for_producers(own_server: RedisServer, tenant: str) -> None:
    """A hub that is started with another default writes it, and 0 takes it back."""
    for default, ended in ((DEFAULT_LEASE, 1), (0.0, 0)):
        broker = open_broker(own_server.url, default_lease=default)
        broker.listen(Recorder())
        async with broker, Producer(own_server.url, tenant=tenant) as producer:
            await broker.expire()
            await producer.publish(f"a{ended}", channel=CHANNEL, status="running")
            now = time.time()
            with redis.Redis(port=own_server.port) as client:
                leased = client.zscore(f"hub:{{{tenant}}}:leases", f"a{ended}")
            assert (leased is not None) == bool(ended)
            assert leased is None or abs(float(leased) / 1000 - now - DEFAULT_LEASE) < 60


@pytest.mark.redis
async def test_an_invalid_default_in_redis_is_none(own_server: RedisServer, tenant: str) -> None:
    """A foreign value in the settings does not stop a producer."""
    with redis.Redis(port=own_server.port) as client:
        client.hset("hub:settings", "default_lease", "for ever")
        async with Producer(own_server.url, tenant=tenant) as producer:
            await producer.publish("a", channel=CHANNEL, status="running")
        assert client.zscore(f"hub:{{{tenant}}}:leases", "a") is None
