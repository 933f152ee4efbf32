"""A Redis that holds other programs' keys, evicts, or was written by the former version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import TOMBSTONE_SECONDS, Broker
from statushub.hub.brokers.sweeper import sweep
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import decode
from statushub.hub.model.receipt import Refusal
from tests.support.listening import admin
from tests.support.publications import CHANNEL, publish_one, update
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

TENANT = "acme"
P = f"hub:{{{TENANT}}}"
OTHERS: list[list[str | int]] = [["SET", "no hash"], ["SADD", "x"], ["RPUSH", "x"], ["XADD", "*", "a", "b"]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path, appendonly=False) as server:
        yield server


async def occupy(client: Any, key: str, other: list[str | int]) -> None:
    """Store another program's value under a key."""
    await client.execute_command(other[0], key, *other[1:])


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: str(other[0]))
async def test_a_foreign_key_in_a_content_s_place_costs_that_content(
    server: RedisServer, other: list[str | int], caplog: pytest.LogCaptureFixture
) -> None:
    """Its channel is read without it, its publications are refused, and it is logged once and counted."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("a"), update("bad", lease=1), update("b")])
        await client.delete(f"{P}:content:bad")
        await occupy(client, f"{P}:content:bad", other)
        for _ in range(3):
            snapshot = await broker.changes(TENANT, CHANNEL)
            assert [event.content_id for event in snapshot.events] == ["a", "b"]
        batch = [update("a"), update("bad"), update("b")]
        assert [it.reason for it in await broker.publish(TENANT, batch)] == [None, Refusal.OCCUPIED, None]
        assert (await broker.lookup(TENANT, ["bad", "a"])).events[0] is None
    assert broker.skipped >= 3
    assert caplog.text.count(f"{P}:content:bad") == 1


async def test_a_foreign_key_does_not_stop_the_sweep(server: RedisServer) -> None:
    """The leases of the other contents end, and the bad one is not met again."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("bad", lease=1), update("good", lease=1)])
        await client.delete(f"{P}:content:bad")
        await occupy(client, f"{P}:content:bad", OTHERS[0])
        assert await broker.expire(time.time() + 3) == 1
        assert await client.zrange(f"{P}:leases", 0, -1) == [b"\x01"]
        assert await broker.expire(time.time() + 4) == 0


@pytest.mark.parametrize("key", [f"{P}:channel:{CHANNEL}", f"{P}:counts:{CHANNEL}"])
async def test_a_foreign_key_in_a_channel_s_place_costs_that_channel(server: RedisServer, key: str) -> None:
    """The tenant's other channels are published into, read and audited."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        await occupy(client, key, OTHERS[0])
        batch = [update("a"), update("b", channel="books")]
        assert [it.reason for it in await broker.publish(TENANT, batch)] == [Refusal.OCCUPIED, None]
        assert len((await broker.changes(TENANT, "books")).events) == 1
        offsets = (await broker.offsets(TENANT, [CHANNEL, "books"])).offsets
        assert offsets[0] == 0
        assert offsets[1] > 0


async def test_a_foreign_member_of_a_channel_s_key_hides_nothing(server: RedisServer) -> None:
    """A channel that begins where one lies is in the index in both orders, and has the floor of empty ones."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("gone", channel="books")], retention=1)
        await broker.expire(time.time() + 60)
        await broker.expire(time.time() + 2 * TOMBSTONE_SECONDS)
        floor = (await broker.offsets(TENANT, [])).floor
        await client.zadd(f"{P}:channel:{CHANNEL}", {"foreign": 1})
        await publish_one(broker, TENANT, update("a"))
        for by_name in (False, True):
            page = await broker.channels(TENANT, by_name=by_name, limit=10)
            assert [(entry.channel, entry.processing) for entry in page.entries] == [(CHANNEL, 1)]
        snapshot = await broker.changes(TENANT, CHANNEL)
        assert [event.content_id for event in snapshot.events] == ["a"]
        assert 0 < floor == snapshot.floor


async def test_foreign_counts_of_a_known_channel_leave_it_as_it_is(server: RedisServer) -> None:
    """Further events of it are refused as a whole, and its contents are not removed; other channels are."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        await broker.publish(TENANT, [update("a"), update("b", channel="books")], retention=1)
        before = await broker.changes(TENANT, CHANNEL)
        await client.delete(f"{P}:counts:{CHANNEL}")
        await occupy(client, f"{P}:counts:{CHANNEL}", OTHERS[0])
        assert (await publish_one(broker, TENANT, update("a"))).reason is Refusal.OCCUPIED
        await broker.expire(time.time() + 60)
        assert (await broker.changes(TENANT, CHANNEL)).events == before.events
        assert [event.removed for event in (await broker.changes(TENANT, "books")).events] == [True]


@pytest.mark.parametrize("name", ["clock", "leases", "ends", "index", "rates"])
async def test_a_foreign_key_in_a_tenant_s_place_costs_that_tenant(server: RedisServer, name: str) -> None:
    """Other tenants are published for and swept."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        for tenant in ("before", TENANT, "zebra"):
            await broker.publish(tenant, [update("a", lease=1)])
        await client.delete(f"{P}:{name}")
        await occupy(client, f"{P}:{name}", OTHERS[0])
        with pytest.raises(BrokerUnavailable):
            await broker.publish(TENANT, [update("b")])
        with suppress(BrokerUnavailable):
            await broker.expire(time.time() + 3)
        for tenant in ("before", "zebra"):
            [event] = (await broker.lookup(tenant, ["a"])).events
            assert event is not None
            assert decode(event.data)["error_code"] == "stalled"


async def test_nothing_of_ours_can_be_evicted_as_volatile(server: RedisServer) -> None:
    """A full Redis with a volatile policy refuses, and keeps what it acknowledged."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        await client.execute_command("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        await client.execute_command("CONFIG", "SET", "maxmemory", "6mb")
        kept: list[str] = []
        with suppress(BrokerUnavailable):
            for n in range(10_000):
                await broker.publish(TENANT, [update(f"c{n}-{i}", "complete", text="x" * 400) for i in range(50)])
                kept += [f"c{n}-{i}" for i in range(50)]
        assert len(kept) < 500_000
        assert len(kept) > 500
        found = await broker.lookup(TENANT, kept)
        assert all(found.events)
        assert [key async for key in client.scan_iter("*") if await client.ttl(key) >= 0] == []
    assert broker.trouble is None


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_a_redis_that_evicts_is_warned_of(
    server: RedisServer, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line names the setting; it is said anew after each reconnect, and no more once it is corrected."""
    async with admin(server.url) as client:
        await client.execute_command("CONFIG", "SET", "maxmemory-policy", policy)
        for _ in range(2):
            async with listened(server) as broker:
                assert policy in (broker.trouble or "")
        assert caplog.text.count("maxmemory-policy") == 2
        await client.execute_command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        async with listened(server) as broker:
            assert broker.trouble is None


def listened(server: RedisServer) -> Broker:
    """A broker with a listener, as a hub has it."""
    broker = open_broker(server.url)
    broker.listen(Recorder())
    return broker


async def test_a_tenant_that_is_read_is_swept(server: RedisServer) -> None:
    """A publisher that calls the functions itself need not register its tenant where a hub follows a channel of it."""
    async with listened(server) as broker, admin(server.url) as client:
        await former(client, CHANNEL, "a", "x", "0", "", "", "0.001", "{}")
        assert await client.smembers("hub:tenants") == set()
        await broker.subscribe(TENANT, [CHANNEL])
        assert await broker.expire(time.time() + 1) == 1


async def test_a_mass_death_is_swept_at_once(server: RedisServer) -> None:
    """A sweep goes on while a batch comes back full."""
    async with open_broker(server.url) as broker:
        for n in range(5):
            await broker.publish(TENANT, [update(f"c{n}-{i}", lease=0.001) for i in range(700)])
        await sweep(broker)
        snapshot = await broker.changes(TENANT, CHANNEL)
    assert {event.type for event in snapshot.events} == {"processing_error"}
    assert len(snapshot.events) == 3_500


FORMER = files("tests.contract").joinpath("functions_4.lua")


async def former(client: Any, *event: str, retention: str = "") -> Any:
    """Publish as the former version does."""
    return await client.execute_command("FCALL", "statushub_publish", 1, P, retention, *event)


async def test_data_of_the_former_version_is_taken_over(server: RedisServer) -> None:
    """With the first publish into a channel its contents lose their TTLs, and are counted and kept as others are."""
    async with admin(server.url) as client:
        await client.execute_command("FUNCTION", "LOAD", FORMER.read_text())
        await former(client, CHANNEL, "open", "x", "0", "7", "3", "30", '{"status":"generating"}')
        await former(client, CHANNEL, "done", "processing_complete", "1", "5", "", "", '{"status":"complete"}')
        await former(client, "quiet", "old", "x", "0", "", "", "", "{}", retention="100000")
        before = await client.hget(f"{P}:clock", "offset")
        async with open_broker(server.url) as broker:
            read = await broker.changes(TENANT, CHANNEL)
            assert [event.content_id for event in read.events] == ["open", "done"]
            assert read.cursor.offset == int(before)
            [repeat, late, new] = await broker.publish(
                TENANT, [update("open", attempt=7, seq=3), update("done"), update("new")]
            )
            assert (repeat.accepted, late.reason, new.accepted) == (True, Refusal.CLOSED, True)
            assert [await client.ttl(f"{P}:content:{name}") for name in ("open", "done", "new")] == [-1, -1, -1]
            assert await client.ttl(f"{P}:channel:{CHANNEL}") == -1
            [entry] = (await broker.channels(TENANT, limit=10)).entries
            assert (entry.channel, entry.processing, entry.completed) == (CHANNEL, 2, 1)
            assert new.cursor is not None
            assert entry.offset == new.cursor.offset
            assert await client.hget(f"{P}:clock", "contents") == b"3"
            assert await broker.expire(time.time() + 60) == 1
            await broker.expire(time.time() + 8 * 24 * 3600)
            assert all(event.removed for event in (await broker.changes(TENANT, CHANNEL)).events)
            assert 0 < await client.ttl(f"{P}:content:old") <= 100


async def test_producers_of_the_former_version_go_on(server: RedisServer) -> None:
    """Their calls are answered by this version's functions, and those of former hubs are not."""
    async with admin(server.url) as client:
        await client.execute_command("FUNCTION", "LOAD", FORMER.read_text())
        async with open_broker(server.url) as broker:
            answer = await former(client, CHANNEL, "a", "processing_error", "1", "3", "1", "", '{"status":"error"}')
            assert answer[0] == 1
            assert (await publish_one(broker, TENANT, update("a", attempt=3, seq=2))).reason is Refusal.CLOSED
            assert await client.hget(f"{P}:counts:{CHANNEL}", "failed") == b"1"
            assert await client.execute_command("FCALL_RO", "statushub_version", 0) > 4
            for name in ("changes", "lookup", "due"):
                with pytest.raises(Exception, match="Function not found"):
                    await client.execute_command("FCALL", f"statushub_{name}", 1, P)
