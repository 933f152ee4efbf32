"""Redis with failover: a master that Sentinel names, and the nodes of a cluster."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from msgspec.structs import replace
from redis.crc import key_slot

from statushub import Denied, SyncProducer
from statushub.hub.brokers.contract import Found
from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.brokers.redis.errors import reported
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import publication
from statushub.hub.model.vocabulary import COMPLETE
from statushub.producers.redis_transport import RedisTransport
from tests.support.command import command
from tests.support.frames import Frame
from tests.support.listening import PATIENCE_SECONDS, admin, listening, until_answer, update
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port, wait_for_port
from tests.support.proxy import Proxy
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.slow]

IMPATIENT = 1.0
"""A deadline, in seconds; Sentinel is asked for the master as often."""

SLOTS = 16384


@contextmanager
def running_sentinel(folder: Path, master: RedisServer) -> Iterator[int]:
    """A Sentinel that monitors `master` with a quorum of 1; yields its port."""
    port, settings = free_port(), folder / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
    )
    process = subprocess.Popen(["redis-server", str(settings), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


def publish_with_the_sdk(url: str, tenant: str) -> None:
    """Publish one event with a lease, from a program without an event loop."""
    with SyncProducer(url, tenant=tenant) as producer:
        assert producer.publish("of-the-sdk", channel="c", status="generating", lease=60).accepted


def publish_with_the_command_line(url: str, tenant: str) -> None:
    """Publish one event with `statushub publish --broker`."""
    ended = command("publish", "c", "of-the-command-line", "generating", "--broker", url, "--tenant", tenant)
    assert (ended.returncode, ended.stderr) == (0, "")


async def until_it_serves(broker: RedisBroker) -> None:
    """Return once a publication of tenant `t` is accepted: a failover takes a moment."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while True:
            with suppress(BrokerUnavailable):
                await broker.publish("t", [update("after")])
                return
            await anyio.sleep(0.02)


async def answered_between_losses(broker: RedisBroker, recorder: Recorder, tenant: str) -> bool:
    """Publish and read. Returns whether both were answered, and no connection broke meanwhile: as nodes learn of a
    failover one after the other, a hub may lose the broker more than once."""
    reports = len(recorder.reports)
    with suppress(BrokerUnavailable):
        await broker.publish(tenant, [update()])
        await broker.changes(tenant, "c")
        return len(recorder.reports) == reports
    return False


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer, str]]:
    """A master, its replica, and the URL of a Sentinel that monitors them."""
    folders = [tmp_path / name for name in ("master", "replica", "sentinel")]
    for folder in folders:
        folder.mkdir()
    with running_redis(folders[0]) as master:
        arguments = ("--replicaof", "127.0.0.1", str(master.port))
        with running_redis(folders[1], arguments=arguments) as replica, running_sentinel(folders[2], master) as port:
            yield master, replica, f"redis+sentinel://127.0.0.1:{port}/main/0"


def sentinel_of(url: str) -> str:
    return f"redis://{url.split('//')[1].split('/')[0]}"


async def until_watched(url: str, replica: RedisServer) -> None:
    async with admin(sentinel_of(url)) as sentinel, admin(replica.url) as client:
        await until_answer(client, "master_link_status:up", "INFO", "replication")
        await until_answer(sentinel, str(replica.port), "SENTINEL", "REPLICAS", "main")


async def test_sentinel_names_the_master(pair: tuple[RedisServer, RedisServer, str]) -> None:
    """Commands and the subscription go to the master."""
    master, _, url = pair
    async with listening(url) as (broker, recorder), admin(master.url) as client:
        await broker.subscribe("t", ["c"])
        await broker.publish("t", [update()])
        assert len((await broker.changes("t", "c")).events) == 1
        assert recorder.contents == ["a"]
        await broker.ping()
        assert b"hub:{t}:clock" in await client.keys()


async def test_a_producer_publishes_through_sentinel(pair: tuple[RedisServer, RedisServer, str]) -> None:
    """The SDK publishes to the master that Sentinel names."""
    _, _, url = pair
    async with listening(url) as (broker, _):
        await asyncio.to_thread(publish_with_the_sdk, url, "t")
        await asyncio.to_thread(publish_with_the_command_line, url, "t")
        events = (await broker.changes("t", "c")).events
        assert [event.content_id for event in events] == ["of-the-sdk", "of-the-command-line"]


async def test_a_dead_master_is_replaced(pair: tuple[RedisServer, RedisServer, str]) -> None:
    """The replica's data are there, in a new epoch, and announcements come from it."""
    master, replica, url = pair
    await until_watched(url, replica)
    async with listening(url) as (broker, recorder), admin(replica.url) as client:
        await broker.subscribe("t", ["c"])
        (before,) = await broker.publish("t", [update("before")])
        await until_answer(client, "before", "ZRANGE", "hub:{t}:channel:c", 0, -1)
        master.kill()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await until_it_serves(broker)
        await recorder.until(lambda: recorder.contents[-1] == "after")
        snapshot = await broker.changes("t", "c")
        assert [event.content_id for event in snapshot.events] == ["before", "after"]
        assert before.cursor is not None
        assert snapshot.cursor.epoch != before.cursor.epoch


async def test_a_running_master_is_replaced(pair: tuple[RedisServer, RedisServer, str]) -> None:
    """A manual failover moves commands and announcements to the new master."""
    _, replica, url = pair
    await until_watched(url, replica)
    async with listening(url, deadline=IMPATIENT) as (broker, recorder), admin(sentinel_of(url)) as sentinel:
        await broker.subscribe("t", ["c"])
        # Refused until Sentinel has seen that the replica is synchronised.
        await until_answer(sentinel, "OK", "SENTINEL", "FAILOVER", "main")
        await recorder.until(lambda: "lost" in recorder.reports)
        await recorder.until(lambda: recorder.reports[-1] == "restored")
        await until_it_serves(broker)
        await recorder.until(lambda: "after" in recorder.contents)
        async with admin(replica.url) as client:
            assert await client.exists("hub:{t}:content:after")


async def test_a_master_cut_off_from_sentinel_is_left(
    pair: tuple[RedisServer, RedisServer, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A former master that still accepts writes is left for the one that Sentinel names."""
    _, _, url = pair
    with running_redis(tmp_path_factory.mktemp("other")) as other:
        async with listening(url, deadline=IMPATIENT) as (broker, recorder), admin(sentinel_of(url)) as sentinel:
            await broker.subscribe("t", ["c"])
            await sentinel.execute_command("SENTINEL", "REMOVE", "main")
            await sentinel.execute_command("SENTINEL", "MONITOR", "main", "127.0.0.1", other.port, 1)
            await recorder.until(lambda: recorder.reports[-2:] == ["lost", "restored"])
            async with RedisBroker(url) as publisher:
                await publisher.publish("t", [update("elsewhere")])
            await recorder.until(lambda: recorder.contents == ["elsewhere"])


async def test_calls_fail_without_a_sentinel() -> None:
    """Opening succeeds, and calls raise the reason."""
    async with listening(f"redis+sentinel://127.0.0.1:{free_port()}/main") as (broker, recorder):
        assert recorder.reports == ["lost"]
        with pytest.raises(BrokerUnavailable, match="No master found"):
            await broker.publish("t", [update()])


class ClusterOfThree:
    """A cluster of three masters with equal slots, and a replica of the first one."""

    def __init__(self, servers: list[RedisServer]) -> None:
        self.servers = servers
        self.masters = servers[:3]
        self.replica = servers[3]
        self.url = f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}"

    def tenant_of(self, master: int) -> str:
        """A tenant whose slot this master holds."""
        return next(f"t{n}" for n in range(SLOTS) if self.master_of(f"t{n}") == master)

    def master_of(self, tenant: str) -> int:
        return key_slot(tenant.encode()) * 3 // SLOTS

    async def join(self) -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(admin(server.url)) for server in self.servers]
            bounds = [-(-SLOTS * n // 3) for n in range(4)]
            for number, client in enumerate(clients[:3]):
                await client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            for server in self.servers[1:]:
                bus = int(server.arguments[server.arguments.index("--cluster-port") + 1])
                await clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
            for client in clients:
                await until_answer(client, "cluster_known_nodes:4", "CLUSTER", "INFO")
                await until_answer(client, "cluster_state:ok", "CLUSTER", "INFO")
            first = await clients[0].execute_command("CLUSTER", "MYID")
            await clients[3].execute_command("CLUSTER", "REPLICATE", first)
            await until_answer(clients[3], "master_link_status:up", "INFO", "replication")
            for client in clients[:3]:
                await until_answer(client, "slave", "CLUSTER", "NODES")

    async def move_slot(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move a slot with its keys, as redis-cli does."""
        async with admin(source.url) as old, admin(target.url) as new:
            old_id, new_id = [str(await client.execute_command("CLUSTER", "MYID"), "ascii") for client in (old, new)]
            await new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
            await old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
            keys = await old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1_000)
            if keys:
                await old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
            await new.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new_id)
            await old.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new_id)


@contextmanager
def running_cluster(folder: Path) -> Iterator[ClusterOfThree]:
    """A cluster for the time of the block: it takes three seconds to accept writes."""
    with ExitStack() as stack:
        servers = []
        for number in range(4):
            home = folder / str(number)
            home.mkdir()
            arguments = [
                *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
                *("--cluster-node-timeout", "2000"),
            ]
            servers.append(stack.enter_context(running_redis(home, arguments=tuple(arguments))))
        made = ClusterOfThree(servers)
        asyncio.run(made.join())
        yield made


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfThree]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def cluster(shared_cluster: ClusterOfThree) -> ClusterOfThree:
    """An empty cluster. A test leaves its nodes running, and its slots and roles as they were."""
    for master in shared_cluster.masters:
        if master.process is None:
            master.start()
        master.command("FLUSHALL")
        master.command("FUNCTION", "FLUSH")
    return shared_cluster


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ClusterOfThree]:
    """A cluster in which a test may change the roles of nodes."""
    with running_cluster(tmp_path) as made:
        yield made


async def test_each_tenant_is_served_by_its_node(cluster: ClusterOfThree) -> None:
    """One broker serves tenants on every node."""
    async with listening(cluster.url) as (broker, recorder):
        tenants = [cluster.tenant_of(number) for number in range(3)]
        for tenant in tenants:
            await broker.subscribe(tenant, ["c"])
            await broker.subscribe(tenant, ["d"])
        for tenant in tenants:
            await broker.publish(tenant, [update(lease=1), update("b", channel="d")])
            assert len((await broker.changes(tenant, "c")).events) == 1
            assert recorder.contents[-2:] == ["a", "b"]
            assert recorder.announcements[-1].tenant == tenant
            assert [event and event.channel for event in (await broker.lookup(tenant, ["b", "a"])).events] == ["d", "c"]
        assert await broker.expire(time.time() + 60) == 3
        await broker.ping()
        await broker.unsubscribe(tenants[0], ["c"])
        assert recorder.reports == []


async def test_a_nodes_lost_functions_are_loaded_again(cluster: ClusterOfThree) -> None:
    """Functions belong to each node; they are loaded into the node that lacks them."""
    async with RedisBroker(cluster.url) as broker:
        for number, master in enumerate(cluster.masters):
            async with admin(master.url) as client:
                await client.execute_command("FUNCTION", "FLUSH")
            await broker.publish(cluster.tenant_of(number), [update(lease=1)])
        for master in cluster.masters:
            async with admin(master.url) as client:
                await client.execute_command("FUNCTION", "FLUSH")
        assert await broker.expire(time.time() + 60) == 3


async def test_a_producer_publishes_into_a_cluster(cluster: ClusterOfThree) -> None:
    """The SDK publishes to the node of each tenant."""
    async with listening(cluster.url) as (broker, _):
        for number in range(3):
            tenant = cluster.tenant_of(number)
            await asyncio.to_thread(publish_with_the_sdk, cluster.url, tenant)
            await asyncio.to_thread(publish_with_the_command_line, cluster.url, tenant)
            events = (await broker.changes(tenant, "c")).events
            assert [event.content_id for event in events] == ["of-the-sdk", "of-the-command-line"]


async def test_a_cluster_with_a_prefix_and_stale_connections(
    cluster: ClusterOfThree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call over a new connection, each key under the prefix, each tenant on its node."""
    monkeypatch.setattr("statushub.hub.brokers.redis.client.STALE_SECONDS", 0.0)
    async with listening(f"{cluster.url}?prefix=myapp") as (broker, recorder):
        for number in range(3):
            tenant = cluster.tenant_of(number)
            await broker.subscribe(tenant, ["c"])
            await broker.publish(tenant, [update(f"a{number}")])
            await recorder.count(number + 1)
    keys = [key for master in cluster.masters for key in master.command("KEYS", "*").split()]
    assert all(key.startswith("myapp:hub") for key in keys)


async def test_a_wrong_password_for_a_cluster_is_denied(cluster: ClusterOfThree) -> None:
    """A wrong password is no outage, although the cluster client wraps the nodes' errors."""
    url = cluster.url.replace("//", "//worker:guess@")
    for master in cluster.masters:
        master.command("ACL", "SETUSER", "worker", "on", ">secret", "~*", "&*", "+@all")
    async with aclosing(RedisTransport(url, tenant="t")) as transport:
        with pytest.raises(Denied, match="refuses the user name or the password") as caught:
            await transport.send([update()])
    assert "guess" not in caught.value.message


async def test_a_tenant_that_moves_is_followed(cluster: ClusterOfThree) -> None:
    """After its slot moved to another node, state and announcements come from there."""
    tenant = cluster.tenant_of(0)
    # The deadline does not pass: the server's answer tells that the slot has moved.
    async with listening(cluster.url, deadline=PATIENCE_SECONDS) as (broker, recorder):
        await broker.subscribe(tenant, ["c"])
        await broker.publish(tenant, [update("before")])
        await recorder.count(1)
        await cluster.move_slot(key_slot(tenant.encode()), cluster.masters[0], cluster.masters[1])
        await recorder.until(lambda: recorder.reports[-2:] == ["lost", "restored"])
        await broker.publish(tenant, [update("after")])
        await recorder.count(2)
        snapshot = await broker.changes(tenant, "c")
        assert [event.content_id for event in snapshot.events] == ["before", "after"]
        for by_name in (False, True):
            page = await broker.channels(tenant, by_name=by_name, limit=1)
            assert [(it.channel, it.offset, it.processing) for it in page.entries] == [("c", snapshot.cursor.offset, 2)]
        await cluster.move_slot(key_slot(tenant.encode()), cluster.masters[1], cluster.masters[0])


async def test_a_node_that_returns_is_subscribed_again(cluster: ClusterOfThree) -> None:
    """Tenants of a node without a replica are announced again when the node is back."""
    tenant = cluster.tenant_of(2)
    async with listening(cluster.url) as (broker, recorder):
        await broker.subscribe(tenant, ["c"])
        cluster.masters[2].kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        with pytest.raises(BrokerUnavailable):
            await broker.publish(tenant, [update()])
        cluster.masters[2].start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await broker.publish(tenant, [update()])
        await recorder.count(1)


async def test_a_subscription_that_failed_is_made_when_its_node_returns(cluster: ClusterOfThree) -> None:
    """Subscribing on a node that is away raises, and is made up for when the node is back."""
    away = (cluster.master_of(DEFAULT_TENANT) + 1) % 3
    tenant = cluster.tenant_of(away)
    async with listening(cluster.url, deadline=IMPATIENT) as (broker, recorder):
        cluster.masters[away].kill()
        with pytest.raises(BrokerUnavailable):
            await broker.subscribe(tenant, ["c"])
        await recorder.until(lambda: recorder.reports == ["lost"])
        cluster.masters[away].start()
        await recorder.until(lambda: recorder.reports[-1] == "restored")
        await broker.publish(tenant, [update()])
        await recorder.count(1)


async def test_a_manual_failover_is_followed(own_cluster: ClusterOfThree) -> None:
    """No read is answered by the new master while announcements still come from the old one."""
    tenant = own_cluster.tenant_of(0)
    async with listening(own_cluster.url, deadline=IMPATIENT) as (broker, recorder):
        await broker.subscribe(tenant, ["c"])
        async with admin(own_cluster.replica.url) as client:
            await client.execute_command("CLUSTER", "FAILOVER")
            await until_answer(client, "role:master", "INFO", "replication")
        await recorder.until(lambda: recorder.reports[-2:] == ["lost", "restored"])
        with anyio.fail_after(PATIENCE_SECONDS):
            while not await answered_between_losses(broker, recorder, tenant):
                await anyio.sleep(0.02)
        assert recorder.contents[-1:] == ["a"]


async def test_a_dead_node_is_replaced(own_cluster: ClusterOfThree) -> None:
    """The replica of a dead node takes over, and the broker finds it."""
    tenant = own_cluster.tenant_of(0)
    async with listening(own_cluster.url, deadline=IMPATIENT) as (broker, recorder):
        await broker.subscribe(tenant, ["c"])
        own_cluster.masters[0].kill()
        # Without the node timeout, after which the nodes would elect it.
        own_cluster.replica.command("CLUSTER", "FAILOVER", "TAKEOVER")
        await recorder.until(lambda: recorder.reports[-2:] == ["lost", "restored"])
        await broker.publish(tenant, [update()])
        await recorder.count(1)


async def test_opening_without_a_cluster_succeeds(tmp_path: Path) -> None:
    """Calls raise that no node can be reached."""
    async with listening(f"redis+cluster://127.0.0.1:{free_port()}") as (broker, recorder):
        assert recorder.reports == ["lost"]
        with pytest.raises(BrokerUnavailable):
            await broker.publish("t", [update()])


@asynccontextmanager
async def moved_address(master: RedisServer, replica: RedisServer) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """An address that leads to the master, and a function that promotes the replica and redirects the address.

    The old master becomes a replica, and keeps its connections open.
    """
    await until_synced(replica)
    async with Proxy(("127.0.0.1", master.port), random.Random(0)) as proxy:

        def move() -> None:
            replica.command("REPLICAOF", "NO", "ONE")
            proxy.target = ("127.0.0.1", replica.port)
            master.command("REPLICAOF", "127.0.0.1", str(replica.port))

        yield f"redis://127.0.0.1:{proxy.port}/0", move


async def until_synced(replica: RedisServer) -> None:
    async with admin(replica.url) as client:
        await until_answer(client, "master_link_status:up", "INFO", "replication")


async def test_an_address_that_leads_to_another_master(pair: tuple[RedisServer, RedisServer, str]) -> None:
    """A hub closes all connections to the old master, which is a replica now."""
    async with moved_address(*pair[:2]) as (url, move), listening(url) as (broker, listener):
        await broker.subscribe("t", ["c"])
        await asyncio.gather(*(broker.publish("t", [update("before")]) for _ in range(20)))
        move()
        await until_it_serves(broker)
        with anyio.fail_after(PATIENCE_SECONDS):
            while listener.contents[-1:] != ["after"]:
                await until_it_serves(broker)


async def test_a_producer_follows_the_address_to_another_master(pair: tuple[RedisServer, RedisServer, str]) -> None:
    """The SDK does the same as a hub."""
    async with moved_address(*pair[:2]) as (url, move):
        transport = RedisTransport(url, tenant="t")
        try:
            await transport.send([update("before")])
            move()
            with pytest.raises(BrokerUnavailable, match="read-only replica"):
                await transport.send([update("after")])
            [receipt] = await transport.send([update("after")])
            assert receipt.accepted
        finally:
            await transport.aclose()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])
async def test_a_write_to_a_closed_connection_is_broker_unavailable() -> None:
    """uvloop raises RuntimeError for a write to a closed connection, which is translated like other errors."""
    async with await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with suppress(ConnectionError):
            await reader.read()
        writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(BrokerUnavailable, match="redis closed the connection"), reported("redis"):
            writer.writelines([b"PING\r\n"])


async def reshard(source: RedisServer, target: RedisServer) -> None:
    """Move the lowest slot of a node to another, with redis-cli."""
    ids = [server.command("CLUSTER", "MYID") for server in (source, target)]
    arguments = ["--cluster-from", ids[0], "--cluster-to", ids[1], "--cluster-slots", "1", "--cluster-yes"]
    command = ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{source.port}", *arguments]
    done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stdout.decode()[-2_000:]


class Load:
    """Producers that end one content after the other, and repeat what was not acknowledged. With `births` into new
    channels all the time, else into three."""

    def __init__(self, tenant: str, *, births: bool = False) -> None:
        self.tenant = tenant
        self.births = births
        self.acknowledged: set[str] = set()
        self.going = True

    def more(self, number: int) -> Callable[[], bool]:
        """Whether so many more contents than now have ended."""
        wanted = len(self.acknowledged) + number
        return lambda: len(self.acknowledged) >= wanted

    async def run(self, url: str, name: str) -> None:
        async with RedisBroker(url, deadline=1.0) as broker:
            number = 0
            while self.going:
                contents = [f"{name}-{number}-{n}" for n in range(3)]
                channels = [f"ch{n}/{name}/{number // 2}" if self.births else f"ch{n}" for n in range(3)]
                number += 1
                for status in ("generating", "complete"):
                    batch = [
                        publication(channel=channel, content_id=it, data={"status": status}, run=name, lease=600)
                        for channel, it in zip(channels, contents, strict=True)
                    ]
                    batch = [replace(it, seq=1 if status == "generating" else 2) for it in batch]
                    while True:
                        with suppress(BrokerUnavailable):
                            receipts = await broker.publish(self.tenant, batch)
                            break
                        await anyio.sleep(0.02)
                    assert all(receipt.accepted for receipt in receipts), receipts
                self.acknowledged.update(contents)


class Viewer:
    """The latest state of each content, as a hub shows it; a reset does not take back what was shown."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.went_back: list[str] = []

    async def run(self, hub: Hub, tenant: str, channel: str) -> None:
        async with aclosing(hub.follow(tenant, channel)) as events:
            async for event in events:
                if self.shown.get(event.content_id) == COMPLETE and event.type != COMPLETE:
                    self.went_back.append(event.content_id)
                self.shown[event.content_id] = event.type


class PatternViewer:
    """As `Viewer`, of a stream of a pattern, which it resumes where it ends."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.shown: dict[str, str] = {}
        self.faults: list[str] = []
        self.ready = 0
        self._headers = headers
        self._cursor = ""

    def run(self, hub: LiveHub, match: str, ends: Callable[[], bool]) -> None:
        """Read until `ends`."""
        while not ends():
            path = f"/api/events?match={match}&lastEventId={self._cursor}"
            with suppress(OSError, EOFError), open_stream(hub.base_url, path, self._headers) as stream:
                while not ends():
                    self._take(stream.frame())

    def _take(self, frame: Frame) -> None:
        if frame.event == "reset":
            self._cursor = ""
        self.ready += frame.event == "ready"
        if not frame.id:
            return
        if self._cursor and not Cursor.parse(self._cursor).precedes(Cursor.parse(frame.id)):
            self.faults.append(f"{frame.id} after {self._cursor}")
        self._cursor = frame.id
        content = frame.json["content_id"]
        if self.shown.get(content) == COMPLETE and frame.event != COMPLETE:
            self.faults.append(f"{content} went back")
        self.shown[content] = frame.event or ""


def unfinished(contents: Sequence[str], found: Found) -> list[str]:
    """The contents whose ending is not there."""
    return [it for it, event in zip(contents, found.events, strict=True) if not event or event.type != COMPLETE]


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(2 * PATIENCE_SECONDS):
        while not condition():
            await anyio.sleep(0.02)


async def test_a_slot_that_moves_under_load_loses_nothing(own_cluster: ClusterOfThree) -> None:
    """Resharding with redis-cli ends well; every acknowledged ending is stored and shown, and none goes back.

    Then a master is killed and its replica promoted. What has reached the replica by then is kept.
    """
    tenant = next(f"t{n}" for n in itertools.count() if key_slot(f"t{n}".encode()) == 0)
    load, viewer, broker = Load(tenant), Viewer(), RedisBroker(own_cluster.url, deadline=1.0)
    first, second = own_cluster.masters[:2]
    hub = Hub(broker)
    async with broker, hub, anyio.create_task_group() as viewers:
        for n in range(3):
            viewers.start_soon(viewer.run, hub, tenant, f"ch{n}")
        async with anyio.create_task_group() as producers:
            for name in ("one", "two", "three"):
                producers.start_soon(load.run, own_cluster.url, name)
            for source, target in ((first, second), (second, first)):
                await until(load.more(600))
                await reshard(source, target)
            await until(load.more(300))
            load.going = False
        contents = sorted(load.acknowledged)
        found = await broker.lookup(tenant, contents)
        assert [
            it for it, event in zip(contents, found.events, strict=True) if not event or event.type != COMPLETE
        ] == []
        await until(lambda: all(viewer.shown.get(it) == COMPLETE for it in contents))
        assert viewer.went_back == []

        async with admin(own_cluster.replica.url) as replica:
            assert first.command("WAIT", "1", "10000") == "1"
            first.kill()
            await until_answer(replica, "role:master", "INFO", "replication")
        with anyio.fail_after(2 * PATIENCE_SECONDS):
            while True:
                with suppress(BrokerUnavailable):
                    found = await broker.lookup(tenant, contents)
                    break
                await anyio.sleep(0.1)
        assert [
            it for it, event in zip(contents, found.events, strict=True) if not event or event.type != COMPLETE
        ] == []
        load.going = True
        async with anyio.create_task_group() as producers:
            producers.start_soon(load.run, own_cluster.url, "four")
            await until(load.more(60))
            load.going = False
        await until(lambda: all(viewer.shown.get(it) == COMPLETE for it in load.acknowledged))
        assert viewer.went_back == []
        viewers.cancel_scope.cancel()


async def test_a_followed_tenant_whose_slot_moves_loses_nothing(own_cluster: ClusterOfThree) -> None:
    """A stream of a pattern shows every acknowledged ending, of channels that are born while the slot moves, too; ids
    grow from reset to reset."""
    tenant = next(f"t{n}" for n in itertools.count() if key_slot(f"t{n}".encode()) == 0)
    load, viewer = Load(tenant, births=True), PatternViewer(bearer(tenant=tenant))
    first, second = own_cluster.masters[:2]
    ends = threading.Event()
    with live_hub(own_cluster.url, http=HandoverProtocol, secret=SECRET, max_channels_match=100_000) as hub:
        async with anyio.create_task_group() as viewers:
            viewers.start_soon(anyio.to_thread.run_sync, viewer.run, hub, "ch*/**", ends.is_set)
            try:
                await until(lambda: viewer.ready)
                async with anyio.create_task_group() as producers:
                    for name in ("one", "two", "three"):
                        producers.start_soon(load.run, own_cluster.url, name)
                    for source, target in ((first, second), (second, first)):
                        await until(load.more(300))
                        await reshard(source, target)
                    await until(load.more(150))
                    load.going = False
                await until(lambda: all(viewer.shown.get(it) == COMPLETE for it in load.acknowledged))
            finally:
                ends.set()
    assert viewer.faults == []
