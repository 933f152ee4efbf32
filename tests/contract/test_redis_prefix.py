"""A Redis that is shared with other programs: keys under a prefix, and users that may touch no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from statushub import Denied, SyncProducer
from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.errors import BrokerDenied
from tests.support.command import command
from tests.support.listening import listening, update
from tests.support.live import live_hub
from tests.support.redis_server import RedisServer, running_redis
from tests.support.script import held

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

HUB = (
    *("on", ">pw", "resetchannels", "~myapp:*", "&myapp:*", "+fcall", "+fcall_ro", "+function|load"),
    *("+function|delete", "+ssubscribe", "+sunsubscribe", "+ping", "+spublish", "+info", "+role", "+time", "+del"),
    *("+exists", "+hdel", "+hget", "+hincrby", "+hlen", "+hmget", "+hset", "+hsetnx", "+hstrlen", "+persist", "+pttl"),
    *("+zadd", "+zcard", "+zrange", "+zrem", "+zscore", "+zmscore", "+sadd", "+smembers", "+select"),
)
"""The rules of docs/deployment.md, for a prefix."""

WORKER = tuple(rule for rule in HUB if "function" not in rule and "subscribe" not in rule and rule != "+smembers")
"""The rules of a worker that publishes straight into Redis, where a hub has loaded the library."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path, appendonly=False) as server:
        server.command("ACL", "SETUSER", "hub", *HUB)
        server.command("ACL", "SETUSER", "worker", *WORKER)
        yield server


def address(server: RedisServer, user: str = "hub", prefix: str = "myapp") -> str:
    return f"redis://{user}:pw@127.0.0.1:{server.port}/0?prefix={prefix}"


async def test_every_key_begins_with_the_prefix(server: RedisServer) -> None:
    """Those of a hub, of its channels, and of a worker that publishes straight into Redis."""
    async with listening(address(server)) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        await broker.publish("t", [update(lease=1)])
        await recorder.count(1)
        with SyncProducer(address(server, "worker"), tenant="t") as producer:
            assert producer.publish("b", channel="c", status="generating").accepted
        await recorder.count(2)
        assert {event.content_id for event in (await broker.changes("t", "c")).events} == {"a", "b"}
        channels = server.command("PUBSUB", "SHARDCHANNELS").split()
    keys = server.command("KEYS", "*").split()
    assert len(keys) > 5
    assert all(key.startswith("myapp:hub") for key in (*keys, *channels)), keys


async def test_prefixes_share_a_server_and_its_library(server: RedisServer) -> None:
    """Contents of one prefix are unknown in another, and one library serves both."""
    plain = f"redis://127.0.0.1:{server.port}/0"
    async with (
        listening(f"{plain}?prefix=one") as (one, first),
        listening(f"{plain}?prefix=two") as (two, second),
        listening(plain) as (bare, third),
    ):
        for broker in (one, two, bare):
            await broker.subscribe("t", ["c"])
        await one.publish("t", [update("of-one")])
        await two.publish("t", [update("of-two")])
        assert [[event.content_id for event in (await it.changes("t", "c")).events] for it in (one, two, bare)] == [
            ["of-one"],
            ["of-two"],
            [],
        ]
        await second.count(1)
        assert (first.contents, second.contents, third.contents) == (["of-one"], ["of-two"], [])
    with Redis.from_url(plain) as client:
        assert len(client.function_list()) == 1


@pytest.mark.parametrize("user", ["hub", "worker"])
async def test_a_refusal_names_the_missing_right(server: RedisServer, user: str) -> None:
    """A key or a command that the user may not use is named, as the rule that would permit it."""
    async with listening(address(server)) as (broker, _):
        await broker.publish("t", [update()])
    with SyncProducer(address(server, user, "other")) as producer, pytest.raises(Denied, match="~PREFIX"):
        producer.publish("a", channel="c", status="idle")
    server.command("ACL", "SETUSER", user, "-fcall")
    permits = r"'fcall', which the rule \+fcall"
    with SyncProducer(address(server, user)) as producer, pytest.raises(Denied, match=permits):
        producer.publish("a", channel="c", status="idle")


@pytest.mark.parametrize("right", ["time", "spublish", "zadd"])
async def test_a_right_that_a_function_misses_is_named(server: RedisServer, right: str) -> None:
    """The server's answer from within a function is read, too."""
    async with listening(address(server)) as (broker, _):
        await broker.publish("t", [update()])
        server.command("ACL", "SETUSER", "hub", f"-{right}")
        with pytest.raises(BrokerDenied, match=f"'{right}'"):
            await broker.publish("t", [update("b")])


async def test_a_user_that_may_not_load_the_library_is_told(server: RedisServer) -> None:
    """Where no hub has loaded it, the worker's refusal names the right that is missing."""
    with SyncProducer(address(server, "worker")) as producer, pytest.raises(Denied, match=r"\+function\|load"):
        producer.publish("a", channel="c", status="idle")


async def test_a_forbidden_channel_names_its_rule(server: RedisServer) -> None:
    """A function may not announce where the user has no right to the channel."""
    async with listening(address(server)) as (broker, _):
        await broker.publish("t", [update()])
        server.command("ACL", "SETUSER", "hub", "resetchannels")
        with pytest.raises(BrokerDenied, match=r"channel|'spublish'"):
            await broker.publish("t", [update("b")])


async def test_a_blocked_function_command_is_not_an_old_server(tmp_path: Path) -> None:
    """A server that has functions, and does not let them be loaded, is not called too old."""
    with running_redis(tmp_path, appendonly=False, arguments=("--rename-command", "FUNCTION", "")) as server:
        async with RedisBroker(server.url) as broker:
            with pytest.raises(BrokerDenied, match="does not allow FUNCTION") as caught:
                await broker.publish("t", [update()])
    assert "Redis 7" not in caught.value.message


def test_the_command_line_and_the_hub_take_a_prefix(server: RedisServer) -> None:
    """`--broker` with a prefix publishes to the hub with the same one."""
    with live_hub(address(server)) as hub:
        ended = command("publish", "jobs", "c", "generating", "--broker", address(server, "worker"))
        assert (ended.returncode, ended.stderr) == (0, "")
        assert held(hub.base_url)["c"]["status"] == "generating"


async def test_an_idle_connection_is_not_trusted(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an idle time a call uses a new connection, in every topology."""
    monkeypatch.setattr("statushub.hub.brokers.redis.client.STALE_SECONDS", 0.0)
    topology = open_topology(parse_redis_url(f"redis://127.0.0.1:{server.port}"), 5)
    client = Client(topology)
    try:
        ids = {await client.execute("k", ("CLIENT", "ID")) for _ in range(3)}
        monkeypatch.setattr("statushub.hub.brokers.redis.client.STALE_SECONDS", 60.0)
        kept = {await client.execute("k", ("CLIENT", "ID")) for _ in range(3)}
    finally:
        await client.aclose()
    assert (len(ids), len(kept)) == (3, 1)


def test_a_connection_that_the_server_has_closed_is_replaced(server: RedisServer) -> None:
    """One event, published after the server dropped the idle connection, is published."""
    with SyncProducer(server.url, tenant="t", rate=5) as producer:
        for n in range(3):
            assert producer.publish(f"c{n}", channel="c", status="idle").accepted
            server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
