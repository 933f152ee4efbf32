"""Retention in Redis: which one publishers use, and the removal of everything that a vanished content leaves."""

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
from tests.support.publications import CHANNEL, accepted, update
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis

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
            await accepted(broker, TENANT, update("alive"))


async def test_publishing_removes_vanished_contents_from_the_index(client: redis.Redis, broker: Broker) -> None:
    """A content that returned in another channel is removed from the index of the old one."""
    await broker.publish(TENANT, [update("mover"), *(update(f"c{n}") for n in range(20))])
    await outlived(broker, "mover", *(f"c{n}" for n in range(20)))
    async with asyncio.timeout(20):
        while client.zcard(f"{PREFIX}:channel:{CHANNEL}") != 1:
            await broker.publish(TENANT, [update("mover", channel="books"), update("alive")])


async def test_an_unused_channel_expires(client: redis.Redis, broker: Broker) -> None:
    """A channel without publishes leaves no key; only the clock stays."""
    await broker.publish(TENANT, [update("a"), update("b")])
    async with asyncio.timeout(20):
        while set(client.keys(f"{PREFIX}:*")) != {f"{PREFIX}:clock".encode()}:
            await asyncio.sleep(0)


async def test_leases_of_vanished_contents_are_dropped(client: redis.Redis, broker: Broker) -> None:
    """A sweep removes the lease of a vanished content, and of one that returned without a lease."""
    await broker.publish(TENANT, [update("gone", lease=60), update("back", lease=60)])
    await outlived(broker, "gone", "back")
    now = time.time()
    await broker.expire(now)
    await accepted(broker, TENANT, update("back"))
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
    """The SDK's transport for Redis."""
    async with aclosing(RedisTransport(url, tenant=TENANT)) as opened:
        yield opened


def kept(server: RedisServer, content_id: str) -> float:
    """The time to live of a content, in seconds."""
    with redis.Redis(port=server.port) as client:
        return float(client.pttl(f"hub:{{{TENANT}}}:content:{content_id}")) / 1000


async def test_a_producer_uses_the_hubs_retention(own_server: RedisServer) -> None:
    """Events of the SDK have the configured retention, from the tenant's first event on."""
    async with hub(own_server.url), Producer(own_server.url, tenant=TENANT) as producer:
        await producer.publish("first", channel=CHANNEL, status="generating")
        assert 0 < kept(own_server, "first") <= RETENTION_SECONDS
        async with producer.work("work", channel=CHANNEL):
            pass
        assert 0 < kept(own_server, "work") <= RETENTION_SECONDS


async def test_a_producer_without_a_hub_keeps_its_events_for_a_week(own_server: RedisServer) -> None:
    """Without a retention written by a hub, the library's default applies."""
    async with transport(own_server.url) as opened:
        await opened.send([update("a")])
    assert WEEK_SECONDS - 60 < kept(own_server, "a") <= WEEK_SECONDS


async def test_a_call_without_a_retention_keeps_the_default(own_server: RedisServer) -> None:
    """A direct function call with an empty retention does not read the settings."""
    async with hub(own_server.url):
        event = (CHANNEL, "a", "x", "0", "", "", "", "{}")
        with redis.Redis(port=own_server.port) as client:
            client.fcall("statushub_publish", 1, f"hub:{{{TENANT}}}", "", *event)
        assert WEEK_SECONDS - 60 < kept(own_server, "a") <= WEEK_SECONDS


async def test_a_sweep_restores_lost_settings(own_server: RedisServer) -> None:
    """The next sweep writes the retention again to a server that lost its data without an interruption."""
    async with hub(own_server.url) as broker:
        with redis.Redis(port=own_server.port) as client:
            client.flushall()
        await broker.expire()
        async with transport(own_server.url) as opened:
            await opened.send([update("a")])
        assert 0 < kept(own_server, "a") <= RETENTION_SECONDS


async def test_a_producer_remembers_the_retention_of_a_server_that_lost_it(own_server: RedisServer) -> None:
    """The producer uses the retention that it read earlier until a hub writes it again."""
    async with hub(own_server.url), transport(own_server.url) as opened:
        await opened.send([update("a")])
        with redis.Redis(port=own_server.port) as client:
            client.flushall()
            client.function_flush()
        await opened.send([update("a")])
        assert 0 < kept(own_server, "a") <= RETENTION_SECONDS


async def test_invalid_settings_are_the_default(own_server: RedisServer) -> None:
    """A foreign value in the settings does not stop a producer."""
    with redis.Redis(port=own_server.port) as client:
        client.hset("hub:settings", "retention", "for ever")
    async with transport(own_server.url) as opened:
        await opened.send([update("a")])
    assert WEEK_SECONDS - 60 < kept(own_server, "a") <= WEEK_SECONDS


async def test_a_producer_that_may_not_read_the_settings_publishes(
    own_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A Redis user limited to its tenant's keys publishes with the default retention and is warned once."""
    async with hub(own_server.url):
        with redis.Redis(port=own_server.port) as client:
            client.acl_setuser("worker", enabled=True, passwords=["+pw"], keys=["hub:{acme}*"], categories=["+@all"])
            client.execute_command("ACL", "SETUSER", "worker", "&*")
        async with transport(f"redis://worker:pw@127.0.0.1:{own_server.port}") as opened:
            for content_id in ("a", "b"):
                await opened.send([update(content_id)])
    assert kept(own_server, "b") > RETENTION_SECONDS
    assert caplog.text.count("does not permit this user to read hub:settings") == 1


async def test_a_full_server_gets_its_settings_later(own_server: RedisServer) -> None:
    """A hub opens on a server that accepts no writes, and writes the settings once it does."""
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
    """The SDK sends as many events in one function call as a hub, and receipts keep the order."""
    async with transport(own_server.url) as opened:
        receipts = await opened.send([update(f"c{number}") for number in range(2 * PUBLISH_EVENTS + 1)])
    offsets = [receipt.cursor.offset for receipt in receipts if receipt.cursor is not None]
    assert offsets == list(range(1, 2 * PUBLISH_EVENTS + 2))
    with redis.Redis(port=own_server.port) as client:
        stored = client.info("commandstats")["cmdstat_fcall"]
    # The first call fails, since the library is not loaded yet.
    assert stored["calls"] - stored["failed_calls"] == 3
