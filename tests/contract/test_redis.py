"""The Redis broker beyond the contract: interruptions, functions, the pub/sub connection, permissions, TLS."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from redis.exceptions import ResponseError

from statushub import Producer
from statushub.hub.brokers.contract import TOMBSTONE_SECONDS
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.broker import PAGE_EVENTS, RedisBroker
from statushub.hub.brokers.redis.pubsub import PubSubConnection
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.brokers.redis.wants import Wants
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Announcement
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.retention import RETENTION_SECONDS
from statushub.hub.model.vocabulary import Phase
from tests.support.command import command
from tests.support.listening import admin, listening, until_answer, update
from tests.support.offsets import consecutive
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, running_redis

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

IMPATIENT = 1.0
"""A deadline, in seconds, for tests that wait for it."""


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server that the test may stop, empty and pause."""
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    """A tenant that only this test uses."""
    return str(request.node.name).split("[")[0][:64]


async def test_announcements_resume_after_the_server_was_killed(own_server: RedisServer) -> None:
    """The listener gets `lost` and `restored`, once each, and every channel is subscribed again."""
    async with listening(own_server.url) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        await broker.subscribe("t", ["d"])
        own_server.kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        own_server.start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await broker.publish("t", [update(channel="c"), update("b", channel="d")])
        await recorder.count(2)
        assert recorder.reports == ["lost", "restored"]


async def test_accepted_events_survive_a_kill_of_the_server(own_server: RedisServer) -> None:
    """A state survives SIGKILL, in a new epoch, because the latest offsets may have been lost."""
    async with listening(own_server.url) as (broker, recorder):
        (receipt,) = await broker.publish("t", [update()])
        own_server.kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        own_server.start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        snapshot = await broker.changes("t", "c")
        assert [event.content_id for event in snapshot.events] == ["a"]
        assert receipt.cursor is not None
        assert snapshot.cursor.epoch != receipt.cursor.epoch


async def test_a_silent_server_counts_as_lost(own_server: RedisServer) -> None:
    """A stopped process keeps its connections open; the deadline detects it, and its return is detected too."""
    async with listening(own_server.url, deadline=IMPATIENT) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        own_server.pause()
        await recorder.until(lambda: recorder.reports == ["lost"])
        with pytest.raises(BrokerUnavailable, match="does not answer in time"):
            await broker.lookup("t", ["a"])
        with pytest.raises(BrokerUnavailable, match="announcements are interrupted"):
            await broker.changes("t", "c")
        own_server.resume()
        await recorder.until(lambda: recorder.reports[-1] == "restored")
        await broker.publish("t", [update()])
        await recorder.count(1)


async def test_a_read_fails_in_time_when_the_server_stops(own_server: RedisServer) -> None:
    """Neither a command nor the wait for announcements outlives the deadline."""
    async with listening(own_server.url, deadline=IMPATIENT) as (broker, _):
        await broker.subscribe("t", ["c"])
        own_server.pause()
        with pytest.raises(BrokerUnavailable):
            await broker.changes("t", "c")
        with pytest.raises(BrokerUnavailable):
            await broker.ping()
        own_server.resume()


async def test_a_killed_subscription_is_made_again(own_server: RedisServer) -> None:
    """A subscriber that Redis closes, as it does with slow ones, reconnects."""
    async with listening(own_server.url) as (broker, recorder), admin(own_server.url) as client:
        await broker.subscribe("t", ["c"])
        assert await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await broker.publish("t", [update()])
        await recorder.count(1)


async def test_opening_without_a_server_succeeds(tmp_path: Path) -> None:
    """Calls fail meanwhile; subscriptions are remembered, and made when the server is back."""
    server = RedisServer(tmp_path)
    async with listening(server.url) as (broker, recorder):
        assert recorder.reports == ["lost"]
        with pytest.raises(BrokerUnavailable):
            await broker.subscribe("t", ["c"])
        for call in (broker.publish("t", [update()]), broker.lookup("t", ["a"]), broker.expire(), broker.ping()):
            with pytest.raises(BrokerUnavailable):
                await call
        server.start()
        try:
            await recorder.until(lambda: recorder.reports == ["lost", "restored"])
            await broker.publish("t", [update()])
            await recorder.count(1)
            await broker.ping()
        finally:
            server.kill()


async def test_a_broker_without_a_listener_opens_no_subscription(own_server: RedisServer) -> None:
    """A command line that publishes and exits opens no pub/sub connection; subscribing does nothing."""
    async with RedisBroker(own_server.url) as broker, admin(own_server.url) as client:
        await broker.subscribe("t", ["c"])
        await broker.unsubscribe("t", ["c"])
        await broker.publish("t", [update()])
        await broker.ping()
        assert len((await broker.changes("t", "c")).events) == 1
        assert await client.execute_command("CLIENT", "LIST", "TYPE", "pubsub") == b""


@pytest.mark.parametrize("command", [("FUNCTION", "FLUSH"), ("FLUSHALL",)])
async def test_lost_functions_are_loaded_again(own_server: RedisServer, command: tuple[str, ...]) -> None:
    """No call fails because the server has lost the library, or all of its data."""
    async with RedisBroker(own_server.url) as broker, admin(own_server.url) as client:
        for call in (
            lambda: broker.publish("t", [update(lease=1)]),
            lambda: broker.changes("t", "c"),
            lambda: broker.lookup("t", ["a"]),
            lambda: broker.expire(),
            lambda: broker.ping(),
        ):
            await client.execute_command(*command)
            await call()


async def test_a_sweep_loads_lost_functions(own_server: RedisServer) -> None:
    """A sweep is a pipeline, in which only the answers show that functions are missing."""
    async with RedisBroker(own_server.url) as broker, admin(own_server.url) as client:
        await broker.publish("t", [update(lease=1)])
        await client.execute_command("FUNCTION", "FLUSH")
        assert await broker.expire(4e9) == 1


async def test_a_restart_without_data_begins_a_new_epoch(own_server: RedisServer) -> None:
    """A server that lost its data serves again, and its cursors are of another epoch."""
    async with listening(own_server.url) as (broker, recorder):
        (before,) = await broker.publish("t", [update()])
        own_server.kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        own_server.forget()
        own_server.start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        snapshot = await broker.changes("t", "c", before.cursor)
        assert snapshot.events == []
        assert before.cursor is not None
        assert snapshot.cursor.epoch != before.cursor.epoch


@pytest.mark.parametrize(("version", "replaced"), [(0, True), (commands.MINOR + 1, False)])
async def test_an_older_library_is_replaced_and_a_newer_one_kept(
    own_server: RedisServer, version: int, replaced: bool
) -> None:
    """During an upgrade hubs of two versions share a server, and the newer library stays."""
    source = commands.LIBRARY.replace(f"MINOR = {commands.MINOR}", f"MINOR = {version}")
    async with admin(own_server.url) as client:
        await client.execute_command("FUNCTION", "LOAD", "REPLACE", source)
        async with RedisBroker(own_server.url):
            loaded = await client.execute_command("FCALL_RO", "statushub5_version", 0)
    assert loaded == (commands.MINOR if replaced else version)


async def test_changes_waits_for_announcements(redis_server: RedisServer, tenant: str) -> None:
    """While other clients publish, no snapshot is ahead of the listener."""
    async with (
        listening(redis_server.url) as (broker, recorder),
        RedisBroker(redis_server.url) as publisher,
        anyio.create_task_group() as tasks,
    ):
        await broker.subscribe(tenant, ["c"])

        async def publish() -> None:
            while True:
                await publisher.publish(tenant, [update(str(number)) for number in range(20)])

        for _ in range(3):
            tasks.start_soon(publish)
        start = (await broker.offsets(tenant, [])).cursor.offset
        for _ in range(100):
            snapshot = await broker.changes(tenant, "c")
            seen = recorder.offsets[-1] if recorder.announcements else start
            assert snapshot.cursor.offset <= seen
        tasks.cancel_scope.cancel()


async def test_twenty_thousand_announcements_arrive_in_order(redis_server: RedisServer, tenant: str) -> None:
    """None is lost, repeated or reordered, in whichever batches they arrive."""
    async with listening(redis_server.url) as (broker, recorder), RedisBroker(redis_server.url) as publisher:
        await broker.subscribe(tenant, ["c"])
        batch = [update(str(number % 7)) for number in range(1_000)]
        for _ in range(20):
            await publisher.publish(tenant, batch)
        snapshot = await broker.changes(tenant, "c")
        assert consecutive(recorder.offsets, 20_000)
        assert snapshot.cursor.offset == recorder.offsets[-1]
        assert [announcement.prev for announcement in recorder.announcements] == [0, *recorder.offsets[:-1]]


async def test_publishers_share_one_clock(redis_server: RedisServer, tenant: str) -> None:
    """Events of two concurrent clients are announced in the order of the clock."""
    async with (
        listening(redis_server.url) as (broker, recorder),
        RedisBroker(redis_server.url) as other,
    ):
        await broker.subscribe(tenant, ["c"])
        await broker.subscribe(tenant, ["d"])
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(broker.publish, tenant, [update(f"a{number}", channel="c")])
                tasks.start_soon(other.publish, tenant, [update(f"b{number}", channel="d")])
        await recorder.count(400)
        assert consecutive(recorder.offsets, 400)


async def test_a_long_channel_is_read_whole(redis_server: RedisServer, tenant: str) -> None:
    """A channel of more contents than one page is read completely, once each, in offset order."""
    async with RedisBroker(redis_server.url) as broker:
        count = 2 * PAGE_EVENTS + 1
        receipts = await broker.publish(tenant, [update(str(number)) for number in range(count)])
        snapshot = await broker.changes(tenant, "c")
        assert [event.content_id for event in snapshot.events] == [str(number) for number in range(count)]
        since = receipts[PAGE_EVENTS - 2].cursor
        assert len((await broker.changes(tenant, "c", since)).events) == count - PAGE_EVENTS + 1


async def test_contents_that_change_while_a_long_channel_is_read_come_once(
    redis_server: RedisServer, tenant: str
) -> None:
    """A content that changes between two pages is neither repeated nor missing."""
    names = {str(number) for number in range(2 * PAGE_EVENTS + 1)}
    async with RedisBroker(redis_server.url) as broker, anyio.create_task_group() as tasks:
        await broker.publish(tenant, [update(name) for name in sorted(names)])

        async def publish() -> None:
            while True:
                for name in sorted(names):
                    await broker.publish(tenant, [update(name)])

        tasks.start_soon(publish)
        for _ in range(20):
            snapshot = await broker.changes(tenant, "c")
            offsets = [event.offset for event in snapshot.events]
            assert offsets == sorted(offsets)
            assert len(offsets) == len(names)
            assert {event.content_id for event in snapshot.events} == names
            assert offsets[-1] == snapshot.cursor.offset
        tasks.cancel_scope.cancel()


async def test_databases_are_isolated(redis_server: RedisServer, tenant: str) -> None:
    """Redis' pub/sub spans its databases; hubs on two of them share neither events nor announcements."""
    first, second = redis_server.url, redis_server.url.removesuffix("0") + "1"
    async with listening(first) as (one, heard_one), listening(second) as (two, heard_two):
        for broker in (one, two):
            await broker.subscribe(tenant, ["c"])
        await one.publish(tenant, [update("of-one")])
        await two.publish(tenant, [update("of-two"), update("of-two")])
        assert [event.content_id for event in (await one.changes(tenant, "c")).events] == ["of-one"]
        assert [event.content_id for event in (await two.changes(tenant, "c")).events] == ["of-two"]
        assert heard_one.contents == ["of-one"]
        assert heard_two.contents == ["of-two"] * 2


async def test_an_unsubscribed_channel_is_silent(redis_server: RedisServer, tenant: str) -> None:
    """After any sequence of subscribing and unsubscribing, the last call decides."""
    async with listening(redis_server.url) as (broker, recorder):
        for _ in range(2):
            await broker.subscribe(tenant, ["c"])
            await broker.subscribe(tenant, ["kept"])
            await broker.unsubscribe(tenant, ["c"])
            await broker.unsubscribe(tenant, ["c"])
        await broker.unsubscribe("unknown", ["c"])
        await broker.publish(tenant, [update("a"), update("b", channel="kept")])
        await broker.changes(tenant, "kept")
        assert recorder.contents == ["b"]
        await broker.subscribe(tenant, ["c"])
        await broker.publish(tenant, [update("a")])
        await broker.changes(tenant, "c")
        assert recorder.contents == ["b", "a"]
        assert recorder.reports == []


async def test_a_channel_unsubscribed_while_the_server_is_away_stays_silent(own_server: RedisServer) -> None:
    """After an interruption only the channels that are still wanted are subscribed."""
    async with listening(own_server.url) as (broker, recorder), admin(own_server.url) as client:
        await broker.subscribe("t", ["c"])
        await broker.subscribe("t", ["kept"])
        own_server.kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        await broker.unsubscribe("t", ["c"])
        own_server.start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        assert await client.execute_command("PUBSUB", "SHARDCHANNELS") == [b"hub:{t}:events:kept"]


async def test_many_channels_are_resubscribed(own_server: RedisServer) -> None:
    """Channels of several tenants, more than one command takes, are all subscribed after an interruption."""
    async with listening(own_server.url) as (broker, recorder), admin(own_server.url) as client:
        async with anyio.create_task_group() as tasks:
            for number in range(1_200):
                tasks.start_soon(broker.subscribe, f"t{number % 2}", [f"c{number}"])
        await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        assert len(await client.execute_command("PUBSUB", "SHARDCHANNELS")) == 1_200


async def test_invalid_messages_are_skipped(
    redis_server: RedisServer, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages that are no announcements are logged once and skipped."""
    async with listening(redis_server.url) as (broker, recorder), admin(redis_server.url) as client:
        await broker.subscribe(tenant, ["c"])
        for message in (b"", b"hello\n{}", b"e\t1\t0\ta\tt", b"e\tx\t0\ta\tt\n{}", b"\xff\t1\t0\ta\tt\n{}"):
            await client.execute_command("SPUBLISH", f"hub:{{{tenant}}}:events:c", message)
        await broker.publish(tenant, [update()])
        await broker.changes(tenant, "c")
        assert recorder.contents == ["a"]
        assert caplog.text.count("are no announcements are skipped") == 1


async def test_broken_names_of_a_foreign_producer_are_skipped(redis_server: RedisServer, tenant: str) -> None:
    """A producer that calls the function itself may send broken UTF-8, which costs only that content."""
    key = f"hub:{{{tenant}}}"
    async with RedisBroker(redis_server.url) as broker, admin(redis_server.url) as client:
        event = ("c", b"\xff", "x", "0", "", "", "", "{}")
        await client.execute_command("FCALL", "statushub_publish", 1, key, "", *event)
        for place in range(3):
            bad = [*event[:place], "a\nb", *event[place + 1 :]]
            with pytest.raises(ResponseError, match="control characters"):
                await client.execute_command("FCALL", "statushub_publish", 1, key, "", *event, *bad)
        await broker.publish(tenant, [update("sound")])
        (stored,) = (await broker.changes(tenant, "c")).events
        assert stored.content_id == "sound"
        assert broker.skipped == 1


class Interloper:
    """A proxy between broker and server that can inject data, or swallow an answer."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.clients: list[asyncio.StreamWriter] = []
        self.swallows_an_answer = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pass_on, reader, server_writer)
                tasks.start_soon(self._pass_on, server_reader, writer, True)
        finally:
            writer.close()
            server_writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if answers and self.swallows_an_answer:
                    self.swallows_an_answer = False
                    break
                writer.write(data)
        writer.close()

    def say(self, data: bytes) -> None:
        for client in self.clients:
            if not client.is_closing():
                client.write(data)


async def test_a_server_that_breaks_the_protocol_is_disconnected(redis_server: RedisServer, tenant: str) -> None:
    """Data that cannot be parsed end the connection, and the next one works."""
    interloper = Interloper(redis_server.port)
    proxy = await asyncio.start_server(interloper.serve, "127.0.0.1", 0)
    async with proxy, listening(f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}") as (broker, recorder):
        await broker.subscribe(tenant, ["c"])
        interloper.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await broker.publish(tenant, [update()])
        await recorder.count(1)


async def test_a_publication_is_sent_once(redis_server: RedisServer, tenant: str) -> None:
    """A publish whose answer is lost is not repeated: without a seq it would be a second event."""
    interloper = Interloper(redis_server.port)
    proxy = await asyncio.start_server(interloper.serve, "127.0.0.1", 0)
    async with proxy, RedisBroker(f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}") as broker:
        [first] = await broker.publish(tenant, [update()])
        assert first.cursor is not None
        interloper.swallows_an_answer = True
        with pytest.raises(BrokerUnavailable):
            await broker.publish(tenant, [update()])
        assert (await broker.changes(tenant, "c")).cursor.offset == first.cursor.offset + 1


async def test_a_lease_ends_a_content_whatever_its_data(own_server: RedisServer, tenant: str) -> None:
    """Two concurrent sweeps end each content once, also one whose data are not JSON."""
    async with RedisBroker(own_server.url) as broker, RedisBroker(own_server.url) as other:
        broken = Publication(channel="c", content_id="broken", type="x", data=b"\xff", phase=Phase.PROCESSING, lease=1)
        await broker.publish(tenant, [update("whole", lease=1), broken])
        ended = await asyncio.gather(broker.expire(4e9), other.expire(4e9))
        assert sum(ended) == 2
        found = await broker.lookup(tenant, ["whole", "broken"])
        assert [b'"error_code":"stalled"' in event.data for event in found.events if event] == [True, True]


async def test_one_tenants_failure_does_not_stop_the_sweep(own_server: RedisServer) -> None:
    """Where one tenant's leases cannot be read, the others are swept, and the failure is raised."""
    async with RedisBroker(own_server.url) as broker, admin(own_server.url) as client:
        await broker.publish("bad", [update("a", lease=1)])
        await broker.publish("good", [update("b", lease=1)])
        await client.set("hub:{bad}:leases", "no sorted set")
        with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
            await broker.expire(4e9)
        (event,) = (await broker.lookup("good", ["b"])).events
        assert event is not None
        assert b"stalled" in event.data


async def test_each_publication_has_a_receipt(redis_server: RedisServer, tenant: str) -> None:
    """No publications give no receipts; more than one call takes give one each, in order."""
    async with RedisBroker(redis_server.url) as broker:
        assert await broker.publish(tenant, []) == []
        receipts = await broker.publish(tenant, [update(str(number)) for number in range(1_000)])
        assert consecutive([receipt.cursor.offset if receipt.cursor else None for receipt in receipts], 1_000)


async def test_a_password_is_used_and_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The right one opens commands and announcements; a wrong one is reported without being shown."""
    caplog.set_level(logging.DEBUG, "statushub.hub")
    with running_redis(tmp_path, arguments=("--requirepass", "s3cret/&")) as server:
        async with listening(f"redis://:s3cret%2F%26@127.0.0.1:{server.port}/0") as (broker, recorder):
            await broker.subscribe("t", ["c"])
            await broker.publish("t", [update()])
            await recorder.count(1)
        async with listening(f"redis://:wr0ng@127.0.0.1:{server.port}/0") as (broker, recorder):
            assert recorder.reports == ["lost"]
            with pytest.raises(BrokerUnavailable, match="refuses the user name or the password") as caught:
                await broker.publish("t", [update()])
    assert "refuses the user name or the password" in caplog.text
    assert not any(secret in caplog.text + str(caught.value) for secret in ("s3cret", "wr0ng"))


async def test_a_missing_permission_is_named(own_server: RedisServer) -> None:
    """The error says that the user's permissions are not sufficient."""
    async with admin(own_server.url) as client:
        await client.execute_command("ACL", "SETUSER", "weak", "on", ">pw", "+ping", "+info", "~*")
        async with RedisBroker(f"redis://weak:pw@127.0.0.1:{own_server.port}") as broker:
            with pytest.raises(BrokerUnavailable, match="does not permit this user"):
                await broker.publish("t", [update()])


async def test_the_documented_permissions_suffice(own_server: RedisServer) -> None:
    """The permissions in docs/deployment.md are sufficient for functions, subscription and sweep."""
    rules = (
        *("on", ">pw", "resetchannels", "~hub*", "&hub*"),
        *("+fcall", "+fcall_ro", "+function|load", "+function|delete", "+ssubscribe", "+sunsubscribe", "+ping"),
        *("+spublish", "+info", "+time", "+del", "+exists", "+hdel", "+hget", "+hincrby", "+hlen", "+hmget", "+hset"),
        *("+hsetnx", "+hstrlen", "+persist", "+pttl", "+zadd", "+zcard", "+zrange", "+zrem", "+zscore", "+zmscore"),
        *("+append", "+get", "+set", "+strlen", "+sadd", "+smembers"),
    )
    async with admin(own_server.url) as client:
        await client.execute_command("ACL", "SETUSER", "hub", *rules)
        async with listening(f"redis://hub:pw@127.0.0.1:{own_server.port}") as (broker, recorder):
            await broker.subscribe("t", ["c"])
            await broker.publish("t", [update(lease=1), update("b")])
            assert await broker.expire(time.time() + 60) == 1
            assert len((await broker.changes("t", "c")).events) == 2
            assert len((await broker.lookup("t", ["a", "b"])).events) == 2
            growing: dict[str, Any] = {"channel": "c", "content_id": "b"}
            await broker.publish(
                "t",
                [
                    publication(**growing, seq=1, data={"status": "generating"}),
                    publication(**growing, seq=2, delta={"follows": 1, "append": {"text": "a"}}),
                    publication(**growing, seq=3, delta={"follows": 2, "append": {"text": "b"}}),
                ],
            )
            await recorder.count(6)
            assert recorder.contents == ["a", "b", "a", "b", "b", "b"]
            await broker.expire(time.time() + RETENTION_SECONDS + 60)
            await broker.expire(time.time() + RETENTION_SECONDS + 2 * TOMBSTONE_SECONDS)
            assert (await broker.changes("t", "c")).events == []
            await broker.unsubscribe("t", ["c"])
            await broker.ping()
            assert recorder.reports == []


async def test_a_forbidden_channel_is_reported(own_server: RedisServer) -> None:
    """Where the server refuses a subscription, subscribing raises its reason."""
    async with admin(own_server.url) as client:
        await client.execute_command("ACL", "SETUSER", "hub", "on", ">pw", "~*", "resetchannels", "+@all")
        async with listening(f"redis://hub:pw@127.0.0.1:{own_server.port}") as (broker, _):
            with pytest.raises(BrokerUnavailable, match="NOPERM"):
                await broker.subscribe("t", ["c"])


async def test_a_replica_is_refused(own_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A replica announces later than its master answers, and accepts no publications."""
    arguments = ("--replicaof", "127.0.0.1", str(own_server.port))
    with running_redis(tmp_path_factory.mktemp("replica"), arguments=arguments) as replica:
        async with RedisBroker(own_server.url), admin(replica.url) as client:
            await until_answer(client, "statushub", "FUNCTION", "LIST")
        async with listening(replica.url) as (broker, recorder):
            assert recorder.reports == ["lost"]
            with pytest.raises(BrokerUnavailable, match="replica"):
                await broker.ping()
            with pytest.raises(BrokerUnavailable, match=r"read-only replica|loading"):
                await broker.publish("t", [update()])


async def test_a_demoted_master_ends_the_session(
    own_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A server that answers READONLY is no longer subscribed to, until it is promoted again."""
    with running_redis(tmp_path_factory.mktemp("master")) as master:
        async with listening(own_server.url) as (broker, recorder), admin(own_server.url) as client:
            await broker.subscribe("t", ["c"])
            await client.execute_command("REPLICAOF", "127.0.0.1", str(master.port))
            with pytest.raises(BrokerUnavailable):
                await broker.publish("t", [update()])
            await recorder.until(lambda: recorder.reports == ["lost"])
            await client.execute_command("REPLICAOF", "NO", "ONE")
            await recorder.until(lambda: recorder.reports == ["lost", "restored"])
            await broker.publish("t", [update()])
            await recorder.count(1)


async def test_a_full_server_is_named_and_still_read(own_server: RedisServer) -> None:
    """A server without memory accepts nothing, but can be read."""
    async with RedisBroker(own_server.url) as broker, admin(own_server.url) as client:
        await broker.publish("t", [update()])
        await client.execute_command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(BrokerUnavailable, match="no memory left"):
            await broker.publish("t", [update("b")])
        assert len((await broker.changes("t", "c")).events) == 1
        assert (await broker.lookup("t", ["a"])).events != [None]


async def test_a_server_without_functions_is_too_old(tmp_path: Path) -> None:
    """A Redis before 7 has no functions; the message names the version that is needed."""
    arguments = ("--rename-command", "FCALL", "", "--rename-command", "FCALL_RO", "")
    with running_redis(tmp_path, arguments=arguments) as server:
        async with listening(server.url) as (broker, recorder):
            assert recorder.reports == ["lost"]
            with pytest.raises(BrokerUnavailable, match="Redis 7 or Valkey is needed"):
                await broker.publish("t", [update()])


async def test_a_unix_socket_works(tmp_path: Path) -> None:
    """Commands and announcements work over a Unix socket."""
    path = tmp_path / "redis.sock"
    with running_redis(tmp_path, arguments=("--unixsocket", str(path))):
        async with listening(f"unix://{path}?db=2") as (broker, recorder):
            await broker.subscribe("t", ["c"])
            await broker.publish("t", [update()])
            await recorder.count(1)


async def test_tls_works(tmp_path: Path) -> None:
    """Commands and announcements work over TLS, and an untrusted certificate is refused."""
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    arguments = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running_redis(tmp_path, arguments=(*arguments, "--tls-auth-clients", "no")) as server:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        async with listening(url) as (broker, recorder):
            await broker.subscribe("t", ["c"])
            await broker.publish("t", [update()])
            async with Producer(url, tenant="t") as producer:
                assert (await producer.publish("of-the-sdk", channel="c", status="idle")).accepted
            said = ("publish", "c", "of-the-command-line", "idle", "--broker", url, "--tenant", "t")
            assert (await anyio.to_thread.run_sync(lambda: command(*said))).returncode == 0
            await recorder.count(3)
            server.kill()
            await recorder.until(lambda: recorder.reports == ["lost"])
            server.start()
            await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        async with RedisBroker(f"rediss://127.0.0.1:{port}/0") as broker:
            with pytest.raises(BrokerUnavailable, match=r"(?i)certificate"):
                await broker.publish("t", [update()])


async def test_cancelled_calls_leave_the_broker_usable(redis_server: RedisServer, tenant: str) -> None:
    """Calls that are cancelled halfway do not affect later ones."""
    async with listening(redis_server.url) as (broker, recorder):
        for _ in range(50):
            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(broker.changes, tenant, f"c{number}")
                    tasks.start_soon(broker.subscribe, tenant, [f"c{number}"])
                await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        await broker.publish(tenant, [update(channel="c0")])
        await broker.changes(tenant, "c0")
        assert len(recorder.announcements) == 1
        assert recorder.reports == []


async def test_an_error_in_the_callers_block_is_not_wrapped(redis_server: RedisServer) -> None:
    """An exception of the block is not put into an exception group."""
    with pytest.raises(ZeroDivisionError):
        async with listening(redis_server.url):
            raise ZeroDivisionError


@pytest.mark.parametrize(("busy_rate", "coalesced"), [(0, True), (1_000_000_000, False)])
async def test_only_a_busy_connection_coalesces_reads(
    own_server: RedisServer, tenant: str, busy_rate: int, coalesced: bool
) -> None:
    """Above a rate the connection pauses between reads, and loses no announcement."""
    topology = open_topology(parse_redis_url(own_server.url), 5.0)
    received: list[int] = []
    reading: set[bool] = set()
    name = commands.events(commands.prefix(topology.root, tenant), "c")

    def announced(batch: Sequence[Announcement]) -> None:
        received.extend(announcement.event.offset for announcement in batch)
        writer = opened._writer
        reading.add(writer is not None and cast(asyncio.Transport, writer.transport).is_reading())

    opened = topology.connection("")
    wants = Wants(topology.root)
    wants.add(tenant, ["c"])
    connection = PubSubConnection(
        wants,
        announced=announced,
        lost=lambda _: None,
        deadline=5.0,
        busy_rate=busy_rate,
        rate_seconds=0.0,
    )
    async with aclosing(topology), RedisBroker(own_server.url) as publisher:
        await connection.connect(opened)
        async with aclosing(connection):
            connection.subscribe([name])
            await connection.barrier()
            for number in range(5):
                await publisher.publish(tenant, [update(f"c{number}-{i}") for i in range(100)])
            await connection.barrier()
    assert consecutive(received, 500)
    assert (False in reading) is coalesced
