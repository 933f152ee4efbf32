"""What Redis holds of contents that have vanished: nothing that stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from tests.support.redis_server import RedisServer
from tests.support.said import CHANNEL, accepted, said

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

TENANT = "acme"
PREFIX = "hub9:{acme}"
DATABASE = 9


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A look at the keys of an empty database."""
    with redis.Redis(port=redis_server.port, db=DATABASE) as client:
        client.flushdb()
        yield client


@pytest.fixture
async def broker(client: redis.Redis, redis_server: RedisServer) -> AsyncIterator[Broker]:
    async with open_broker(f"redis://127.0.0.1:{redis_server.port}/{DATABASE}", retention=0.1) as broker:
        yield broker


async def outlived(broker: Broker, *content_ids: str) -> None:
    """Return once these contents have vanished from a channel that is kept alive by another."""
    async with asyncio.timeout(20):
        while any((await broker.lookup(TENANT, content_ids)).events):
            await accepted(broker, TENANT, said("alive"))


async def test_the_index_forgets_them(client: redis.Redis, broker: Broker) -> None:
    """Publishing frees the places of vanished contents, even of one that came back in another channel."""
    await broker.publish(TENANT, [said("mover"), *(said(f"c{n}") for n in range(20))])
    await outlived(broker, "mover", *(f"c{n}" for n in range(20)))
    async with asyncio.timeout(20):
        while client.zcard(f"{PREFIX}:channel:{CHANNEL}") != 1:
            await broker.publish(TENANT, [said("mover", channel="books"), said("alive")])


async def test_an_unread_channel_goes_by_itself(client: redis.Redis, broker: Broker) -> None:
    """A channel nobody publishes to leaves no key; the clock alone stays."""
    await broker.publish(TENANT, [said("a"), said("b")])
    async with asyncio.timeout(20):
        while set(client.keys(f"{PREFIX}:*")) != {f"{PREFIX}:clock".encode()}:
            await asyncio.sleep(0)


async def test_leases_of_vanished_contents_are_dropped(client: redis.Redis, broker: Broker) -> None:
    """A sweep drops the lease of a content that is gone, and of one that came back without a lease."""
    await broker.publish(TENANT, [said("gone", lease=60), said("back", lease=60)])
    await outlived(broker, "gone", "back")
    now = time.time()
    await broker.expire(now)
    await accepted(broker, TENANT, said("back"))
    assert await broker.expire(now + 70) == 0
    for n in range(1, 30):
        assert await broker.expire(now + 70 + 4 * n) == 0
    assert client.zcard(f"{PREFIX}:leases") == 0
