"""Retention in Redis: what publishers pass, and that nothing of a vanished content stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import redis

from statushub import Producer
from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.redis.publisher import PUBLISH_EVENTS
from statushub.producers.redis_transport import RedisTransport
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis
from tests.support.said import CHANNEL, accepted, said

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

TENANT = "acme"
PREFIX = "hub9:{acme}"
DATABASE = 9


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A client of an empty database."""
    with redis.Redis(port=redis_server.port, db=DATABASE) as client:
        client.flushdb()
        yield client


@pytest.fixture
async def broker(client: redis.Redis, redis_server: RedisServer) -> AsyncIterator[Broker]:
    async with open_broker(f"redis://127.0.0.1:{redis_server.port}/{DATABASE}", retention=0.1) as broker:
        yield broker


async def outlived(broker: Broker, *content_ids: str) -> None:
    """Return once these contents have vanished, while another one keeps their channel."""
    async with asyncio.timeout(20):
        while any((await broker.lookup(TENANT, content_ids)).events):
            await accepted(broker, TENANT, said("alive"))


async def test_the_index_forgets_them(client: redis.Redis, broker: Broker) -> None:
    """Publishing removes vanished contents from the index, also one that returned in another channel."""
    await broker.publish(TENANT, [said("mover"), *(said(f"c{n}") for n in range(20))])
    await outlived(broker, "mover", *(f"c{n}" for n in range(20)))
    async with asyncio.timeout(20):
        while client.zcard(f"{PREFIX}:channel:{CHANNEL}") != 1:
            await broker.publish(TENANT, [said("mover", channel="books"), said("alive")])


async def test_an_unused_channel_expires(client: redis.Redis, broker: Broker) -> None:
    """A channel without publishes leaves no key; only the clock stays."""
    await broker.publish(TENANT, [said("a"), said("b")])
    async with asyncio.timeout(20):
        while set(client.keys(f"{PREFIX}:*")) != {f"{PREFIX}:clock".encode()}:
            await asyncio.sleep(0)


async def test_leases_of_vanished_contents_are_dropped(client: redis.Redis, broker: Broker) -> None:
    """A sweep removes the lease of a vanished content, and of one that returned without a lease."""
    await broker.publish(TENANT, [said("gone", lease=60), said("back", lease=60)])
    await outlived(broker, "gone", "back")
    now = time.time()
    await broker.expire(now)
    await accepted(broker, TENANT, said("back"))
    assert await broker.expire(now + 70) == 0
    for n in range(1, 30):
        assert await broker.expire(now + 70 + 4 * n) == 0
    assert client.zcard(f"{PREFIX}:leases") == 0


RETENTION_SECONDS = 60.0
WEEK_SECONDS = 7 * 24 * 3600


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server that the test may fill and empty."""
    with running_redis(tmp_path, appendonly=False) as server:
        yield server


@asynccontextmanager
async def hub(url: str) -> AsyncIterator[Broker]:
    """A hub's broker with a retention of a minute."""
    broker = open_broker(url, retention=RETENTION_SECONDS)
    broker.listen(Recorder())
    async with broker:
        yield broker


@asynccontextmanager
async def transport(url: str) -> AsyncIterator[RedisTransport]:
    """What the SDK publishes with."""
    async with aclosing(RedisTransport(url, tenant=TENANT)) as opened:
        yield opened


def kept(server: RedisServer, content_id: str) -> float:
    """For how many seconds from now the server keeps a content."""
    with redis.Redis(port=server.port) as client:
        return float(client.pttl(f"hub:{{{TENANT}}}:content:{content_id}")) / 1000


async def test_a_producer_keeps_its_events_as_long_as_the_hubs(own_server: RedisServer) -> None:
    """What the SDK publishes into Redis has the retention that the hub is set to, from the tenant's first event on."""
    async with hub(own_server.url), Producer(own_server.url, tenant=TENANT) as producer:
        await producer.publish("first", channel=CHANNEL, status="generating")
        assert 0 < kept(own_server, "first") <= RETENTION_SECONDS
        async with producer.work("work", channel=CHANNEL):
            pass
        assert 0 < kept(own_server, "work") <= RETENTION_SECONDS


async def test_a_producer_without_a_hub_keeps_its_events_for_a_week(own_server: RedisServer) -> None:
    """Where no hub has ever written a retention, the library's default holds."""
    async with transport(own_server.url) as opened:
        await opened.send([said("a")])
    assert WEEK_SECONDS - 60 < kept(own_server, "a") <= WEEK_SECONDS


async def test_a_call_without_a_retention_keeps_the_default(own_server: RedisServer) -> None:
    """A publisher of another language that passes an empty retention is not affected by the settings."""
    async with hub(own_server.url):
        event = (CHANNEL, "a", "x", "0", "", "", "", "{}")
        with redis.Redis(port=own_server.port) as client:
            client.fcall("statushub_publish", 1, f"hub:{{{TENANT}}}", "", *event)
        assert WEEK_SECONDS - 60 < kept(own_server, "a") <= WEEK_SECONDS


async def test_a_sweep_restores_lost_settings(own_server: RedisServer) -> None:
    """A server that lost its data without an interruption learns the retention from the next sweep."""
    async with hub(own_server.url) as broker:
        with redis.Redis(port=own_server.port) as client:
            client.flushall()
        await broker.expire()
        async with transport(own_server.url) as opened:
            await opened.send([said("a")])
        assert 0 < kept(own_server, "a") <= RETENTION_SECONDS


async def test_a_producer_remembers_the_retention_of_a_server_that_lost_it(own_server: RedisServer) -> None:
    """Until a hub has written the settings again, the producer uses what it has read before."""
    async with hub(own_server.url), transport(own_server.url) as opened:
        await opened.send([said("a")])
        with redis.Redis(port=own_server.port) as client:
            client.flushall()
            client.function_flush()
        await opened.send([said("a")])
        assert 0 < kept(own_server, "a") <= RETENTION_SECONDS


async def test_settings_that_cannot_be_read_are_the_default(own_server: RedisServer) -> None:
    """A foreign value in the settings does not keep a producer from publishing."""
    with redis.Redis(port=own_server.port) as client:
        client.hset("hub:settings", "retention", "for ever")
    async with transport(own_server.url) as opened:
        await opened.send([said("a")])
    assert WEEK_SECONDS - 60 < kept(own_server, "a") <= WEEK_SECONDS


async def test_a_producer_that_may_not_read_the_settings_publishes(
    own_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A user of Redis that may only touch its tenant's keys publishes with the default, and is warned once."""
    async with hub(own_server.url):
        with redis.Redis(port=own_server.port) as client:
            client.acl_setuser("worker", enabled=True, passwords=["+pw"], keys=["hub:{acme}*"], categories=["+@all"])
            client.execute_command("ACL", "SETUSER", "worker", "&*")
        async with transport(f"redis://worker:pw@127.0.0.1:{own_server.port}") as opened:
            for content_id in ("a", "b"):
                await opened.send([said(content_id)])
    assert kept(own_server, "b") > RETENTION_SECONDS
    assert caplog.text.count("does not permit this user to read hub:settings") == 1


async def test_a_full_server_gets_its_settings_later(own_server: RedisServer) -> None:
    """A hub opens on a server that takes no writes, and writes the settings when it does."""
    with redis.Redis(port=own_server.port) as client:
        async with open_broker(own_server.url) as broker:
            await broker.ping()
        client.config_set("maxmemory", "1")
        async with hub(own_server.url) as broker:
            await broker.ping()
            assert not client.exists("hub:settings")
            client.config_set("maxmemory", "0")
            await broker.expire()
            assert client.hget("hub:settings", "retention") == b"60000"


async def test_a_call_holds_a_bounded_number_of_events(own_server: RedisServer) -> None:
    """The SDK sends no more events in one function call than a hub, and the receipts come in order."""
    async with transport(own_server.url) as opened:
        receipts = await opened.send([said(f"c{number}") for number in range(2 * PUBLISH_EVENTS + 1)])
    offsets = [receipt.cursor.offset for receipt in receipts if receipt.cursor is not None]
    assert offsets == list(range(1, 2 * PUBLISH_EVENTS + 2))
    with redis.Redis(port=own_server.port) as client:
        stored = client.info("commandstats")["cmdstat_fcall"]
    # The first call found no functions.
    assert stored["calls"] - stored["failed_calls"] == 3
