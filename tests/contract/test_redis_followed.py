"""Followed tenants on Redis: the flag that publishers see, and servers that restart, forget, fail over or move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from statushub.hub.brokers.contract import FOLLOW_SECONDS
from statushub.hub.brokers.redis.broker import RedisBroker
from tests.support.listening import admin, listening, until_answer, update
from tests.support.redis_server import RedisServer, running_redis

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test's own, which it may kill."""
    with running_redis(tmp_path) as server:
        yield server


async def test_only_followed_tenants_are_announced_together(own_server: RedisServer) -> None:
    """Before a hub follows the tenant, and after the end of its flag, nothing is announced for all of the tenant."""
    async with listening(own_server.url) as (broker, recorder), RedisBroker(own_server.url) as publisher:
        await publisher.publish("t", [update("before")])
        assert own_server.command("HGET", "hub:{t}:clock", "followed") == ""
        await broker.follow("t")
        await publisher.publish("t", [update("heard")])
        until = int(own_server.command("HGET", "hub:{t}:clock", "followed"))
        now = int(own_server.command("TIME").split("\n")[0]) * 1000
        assert 0 < until - now <= FOLLOW_SECONDS * 1000 + 1000
        own_server.command("HSET", "hub:{t}:clock", "followed", str(now - 1))
        (missed,) = await publisher.publish("t", [update("after")])
        told = await broker.follow("t")
        await publisher.publish("t", [update("again")])
        await recorder.count(2)
        assert recorder.contents == ["heard", "again"]
        assert told.cursor == missed.cursor
        assert recorder.announcements[1].before == told.cursor.offset


@pytest.mark.parametrize("kept", [True, False], ids=["with-data", "without-data"])
async def test_a_followed_tenant_is_heard_after_a_restart(own_server: RedisServer, kept: bool) -> None:
    """When `restored` is reported, all of the tenant is announced again, before anything else is called."""
    async with listening(own_server.url) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        before = await broker.follow("t")
        own_server.kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        if not kept:
            own_server.forget()
        own_server.start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await broker.publish("t", [update("a", channel="c"), update("b", channel="born")])
        await recorder.count(2)
        assert recorder.contents == ["a", "b"]
        assert (await broker.follow("t")).cursor.epoch != before.cursor.epoch


async def test_a_server_that_forgets_is_told_again(own_server: RedisServer) -> None:
    """After FLUSHALL, which ends no connection, both `follow` and `subscribe` let announcements flow."""
    async with listening(own_server.url) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        before = await broker.follow("t")
        own_server.command("FLUSHALL")
        await broker.publish("t", [update("lost")])
        told = await broker.follow("t")
        assert told.cursor.epoch != before.cursor.epoch
        await broker.publish("t", [update("a", channel="born")])
        await recorder.count(1)
        own_server.command("FLUSHALL")
        await broker.subscribe("t", ["c"])
        await broker.publish("t", [update("b", channel="c")])
        await recorder.count(2)
        assert recorder.contents == ["a", "b"]
        assert recorder.reports == []


async def test_a_followed_tenant_has_one_subscription(own_server: RedisServer) -> None:
    """Its channels are unsubscribed meanwhile, those that are subscribed later are never, and all are in the end."""
    names = [f"c{n}" for n in range(1_200)]
    async with listening(own_server.url) as (broker, _), admin(own_server.url) as client:
        await broker.subscribe("t", names[:600])
        await broker.follow("t")
        await until_answer(client, "hub:{t}:events", "PUBSUB", "SHARDCHANNELS", "hub:{t}:events")
        await broker.subscribe("t", names[600:])
        await broker.follow("t")
        there = await client.execute_command("PUBSUB", "SHARDCHANNELS")
        assert there == [b"hub:{t}:events"]
        await broker.unfollow("t")
        await broker.ping()
        there = await client.execute_command("PUBSUB", "SHARDCHANNELS")
        assert sorted(there) == sorted(f"hub:{{t}}:events:{name}".encode() for name in names)


async def test_a_foreign_message_of_a_tenant_is_skipped(own_server: RedisServer) -> None:
    """What is no announcement neither ends the session nor hides the next one."""
    async with listening(own_server.url) as (broker, recorder):
        await broker.follow("t")
        for text in (
            "",
            "text",
            "c\t1\t0\te\t2\t3\ta\tt\n{}",
            "\t1\t0\te\t2\t1\ta\tt\n{}",
            "c\t-1\t0\te\t2\t1\ta\tt\n{}",
        ):
            own_server.command("SPUBLISH", "hub:{t}:events", text)
        await broker.publish("t", [update("a")])
        await recorder.count(1)
        assert recorder.contents == ["a"]
        assert recorder.reports == []
