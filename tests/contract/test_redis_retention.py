"""Retention in Redis: which one publishers use. Contents have no TTLs."""

from __future__ import annotations

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
from tests.support.offsets import consecutive
from tests.support.publications import CHANNEL, accepted, update
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

TENANT = "acme"


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
    """For how many more seconds a content is kept."""
    with redis.Redis(port=server.port) as client:
        assert client.ttl(f"hub:{{{TENANT}}}:content:{content_id}") == -1
        return float(client.zscore(f"hub:{{{TENANT}}}:ends", content_id) or 0) / 1000 - time.time()


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


async def test_a_call_of_the_former_version_keeps_what_the_clock_says(own_server: RedisServer) -> None:
    """A direct function call with an empty retention has the one that a hub's sweep wrote into the clock."""
    async with hub(own_server.url) as broker:
        await accepted(broker, TENANT, update("b"))
        await broker.expire()
        event = (CHANNEL, "a", "x", "0", "", "", "", "{}")
        with redis.Redis(port=own_server.port) as client:
            client.fcall("statushub_publish", 1, f"hub:{{{TENANT}}}", "", *event)
        assert 0 < kept(own_server, "a") <= RETENTION_SECONDS


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
    assert caplog.text.count("does not permit this user to use hub:settings") == 1


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
    assert consecutive(offsets, 2 * PUBLISH_EVENTS + 1)
    with redis.Redis(port=own_server.port) as client:
        stored = client.info("commandstats")["cmdstat_fcall"]
    # The first call fails, since the library is not loaded yet.
    assert stored["calls"] - stored["failed_calls"] == 3
