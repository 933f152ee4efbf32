"""The clock never goes back: what may have lost events begins a later epoch, above every offset that was used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.brokers.sqlite.mark import SUFFIX
from statushub.hub.model.cursor import Cursor, epoch_at, epoch_precedes
from statushub.hub.model.event import decode
from tests.support.listening import admin, until_answer
from tests.support.ports import free_port
from tests.support.publications import CHANNEL, accepted, grown, update
from tests.support.redis_server import RedisServer, running_redis

pytestmark = pytest.mark.anyio

TENANT = "acme"
CLOCK = f"hub:{{{TENANT}}}:clock"


async def clock(broker: Broker) -> Cursor:
    return (await broker.offsets(TENANT, [])).cursor


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.mark.redis
async def test_a_demoted_and_promoted_master_begins_an_epoch(server: RedisServer) -> None:
    """Its run id is the same; what it acknowledged before it was demoted may be lost."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        before = await accepted(broker, TENANT, update("a"))
        await client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        await client.execute_command("REPLICAOF", "NO", "ONE")
        after = await clock(broker)
    assert epoch_precedes(before.epoch, after.epoch)
    assert after.offset >= before.offset


@pytest.mark.redis
async def test_a_promoted_replica_begins_an_epoch(server: RedisServer, tmp_path: Path) -> None:
    """The replica's clock is the master's until it is promoted."""
    (tmp_path / "replica").mkdir()
    arguments = ("--replicaof", "127.0.0.1", str(server.port))
    with running_redis(tmp_path / "replica", arguments=arguments) as replica:
        async with open_broker(server.url) as broker, admin(replica.url) as client:
            before = await accepted(broker, TENANT, update("a"))
            await until_answer(client, "a", "ZRANGE", f"hub:{{{TENANT}}}:channel:{CHANNEL}", 0, -1)
            await client.execute_command("REPLICAOF", "NO", "ONE")
        async with open_broker(replica.url) as promoted:
            after = await clock(promoted)
            assert epoch_precedes(before.epoch, after.epoch)
            assert (await promoted.changes(TENANT, CHANNEL, before)).whole


@pytest.mark.redis
async def test_a_master_s_first_replica_begins_no_epoch(server: RedisServer, tmp_path: Path) -> None:
    """The master takes a new replication id then, and has lost nothing; a demotion after that begins one."""
    (tmp_path / "replica").mkdir()
    async with open_broker(server.url) as broker, admin(server.url) as client:
        before = await accepted(broker, TENANT, update("a"))
        arguments = ("--replicaof", "127.0.0.1", str(server.port))
        with running_redis(tmp_path / "replica", arguments=arguments) as replica:
            async with admin(replica.url) as follower:
                await until_answer(follower, "master_link_status:up", "INFO", "replication")
            assert (await clock(broker)).epoch == before.epoch
        assert (await accepted(broker, TENANT, update("a"))).epoch == before.epoch
        await client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        await client.execute_command("REPLICAOF", "NO", "ONE")
        assert epoch_precedes(before.epoch, (await clock(broker)).epoch)


@pytest.mark.redis
@pytest.mark.parametrize("lost", [["DEL", CLOCK], ["HDEL", CLOCK, "offset"], ["HDEL", CLOCK, "epoch"], ["FLUSHALL"]])
async def test_a_lost_clock_begins_above_everything(server: RedisServer, lost: list[str]) -> None:
    """No offset is used again, whatever was lost with the clock."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        before = await accepted(broker, TENANT, update("a"))
        await client.execute_command(*lost)
        after = await accepted(broker, TENANT, update("b"))
    assert after.offset > before.offset
    assert epoch_precedes(before.epoch, after.epoch)


@pytest.mark.redis
@pytest.mark.parametrize("stored", ["", "0", "zzzzzzzzzzz", "zzzzzzzzzzzzzzzzzzzz", "no-base!", epoch_at(2**52)])
async def test_any_stored_epoch_is_followed_by_a_valid_one(server: RedisServer, stored: str) -> None:
    """A clock that another version or a foreign hand wrote is taken over."""
    async with open_broker(server.url) as broker, admin(server.url) as client:
        await client.execute_command("HSET", CLOCK, "epoch", stored, "offset", "7", "run_id", "former")
        after = await accepted(broker, TENANT, update("a"))
        assert after.offset == 8
        assert await accepted(broker, TENANT, update("a")) == Cursor(epoch=after.epoch, offset=9)
    if stored == epoch_at(2**52):
        assert epoch_precedes(stored, after.epoch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "hub.db"


def copied(source: Path, target: Path) -> None:
    """Copy every file of a folder into a new one."""
    shutil.copytree(source, target)


async def written(file: Path, *content_ids: str) -> Cursor:
    async with EmbeddedBroker(file) as broker:
        for content_id in content_ids:
            await accepted(broker, TENANT, update(content_id, "complete"))
        return await clock(broker)


def age(folder: Path) -> None:
    """Let the files have been written a minute later than they were."""
    for path in folder.iterdir():
        later = path.stat().st_mtime + 60
        os.utime(path, (later, later))


def put_all_back(folder: Path, copy: Path) -> None:
    """As a backup tool does: every file anew."""
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    age(folder)


def put_database_back(folder: Path, copy: Path) -> None:
    """As `cp` does: over the database alone."""
    (folder / "hub.db").write_bytes((copy / "hub.db").read_bytes())


def put_both_back(folder: Path, copy: Path) -> None:
    """As `cp` does: over every file."""
    for path in copy.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    age(folder)


def lose_mark(folder: Path, copy: Path) -> None:
    """The copy is moved to a place without a mark."""
    put_database_back(folder, copy)
    (folder / f"hub.db{SUFFIX}").unlink()


def break_mark(folder: Path, copy: Path) -> None:
    """The mark is cut short."""
    put_database_back(folder, copy)
    (folder / f"hub.db{SUFFIX}").write_bytes(b"odd")


@pytest.mark.parametrize("restore", [put_all_back, put_both_back, put_database_back, lose_mark, break_mark])
async def test_a_restored_file_begins_an_epoch(
    file: Path, tmp_path: Path, restore: Callable[[Path, Path], None]
) -> None:
    """The old cursor is void, and no offset is used again for something else in its epoch."""
    await written(file, "a")
    copied(file.parent, tmp_path / "copy")
    lost = await written(file, "b", "c")
    restore(file.parent, tmp_path / "copy")
    async with EmbeddedBroker(file) as broker:
        assert epoch_precedes(lost.epoch, (await clock(broker)).epoch)
        snapshot = await broker.changes(TENANT, CHANNEL, lost)
        assert snapshot.whole
        assert [event.content_id for event in snapshot.events] == ["a"]


async def test_a_file_that_is_used_elsewhere_begins_an_epoch(file: Path, tmp_path: Path) -> None:
    """A copy and its original never share an epoch once both are written to."""
    await written(file, "a")
    copied(file.parent, tmp_path / "copy")
    there = await written(tmp_path / "copy" / "hub.db", "b")
    here = await written(file, "b")
    assert there.epoch != here.epoch


async def test_a_plain_restart_keeps_the_epoch(file: Path) -> None:
    """However often the hub restarts."""
    cursors = [await written(file, name) for name in ("a", "b", "c")]
    assert len({cursor.epoch for cursor in cursors}) == 1


WRITER = """
import sys, anyio
from pathlib import Path
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from tests.support.publications import update
async def main():
    async with EmbeddedBroker(Path(sys.argv[1])) as broker:
        for n in range(1000):
            [receipt] = await broker.publish("acme", [update(f"c{n}")])
            print(receipt.cursor, flush=True)
anyio.run(main)
"""


async def test_a_killed_hub_keeps_the_epoch(file: Path) -> None:
    """A process that ends without closing its file has lost nothing."""
    command = [sys.executable, "-c", WRITER, str(file)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    async with await anyio.open_process(command, stdin=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        said = b""
        while said.count(b"\n") < 20:
            said += await process.stdout.receive()
        process.kill()
    last = Cursor.parse(said.decode().split("\n")[18])
    async with EmbeddedBroker(file) as broker:
        now = await clock(broker)
    assert now.epoch == last.epoch
    assert now.offset >= last.offset


LAYOUT_1 = """
CREATE TABLE clock (tenant TEXT NOT NULL PRIMARY KEY, epoch TEXT NOT NULL, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sweep (only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1), swept REAL NOT NULL);
CREATE TABLE content (
    tenant TEXT NOT NULL, content_id TEXT NOT NULL, channel TEXT NOT NULL, attempt INTEGER NOT NULL, seq INTEGER,
    given INTEGER, closed INTEGER NOT NULL, offset INTEGER NOT NULL, type TEXT NOT NULL, data BLOB NOT NULL,
    leased REAL, deadline REAL, vanishes REAL NOT NULL, PRIMARY KEY (tenant, content_id)
);
CREATE INDEX content_by_offset ON content (tenant, channel, offset);
CREATE INDEX content_by_deadline ON content (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX content_by_vanishing ON content (vanishes);
INSERT INTO clock VALUES ('acme', 'k3f9a2bc', 7);
INSERT INTO sweep VALUES (1, 1000000000.0);
INSERT INTO content VALUES
    ('acme', 'done', 'films', 5, 2, 6, 1, 6, 'processing_complete', '{"status":"complete"}', NULL, NULL, 9e9),
    ('acme', 'open', 'films', 1, 4, 7, 0, 7, 'content_status_update', '{"status":"generating"}', 1e9, 1e9 + 60, 9e9);
PRAGMA application_id = 0x53544855;
PRAGMA user_version = 1;
"""


async def test_a_file_of_the_former_layout_is_taken_over(file: Path) -> None:
    """Contents, fences and leases are there, in a new epoch."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(LAYOUT_1)
    async with EmbeddedBroker(file) as broker:
        snapshot = await broker.changes(TENANT, CHANNEL)
        assert [(event.content_id, event.offset) for event in snapshot.events] == [("done", 6), ("open", 7)]
        assert epoch_precedes("k3f9a2bc", snapshot.cursor.epoch)
        [closed] = await broker.publish(TENANT, [update("done", attempt=5, seq=3)])
        assert closed.reason == "closed"
        [repeat] = await broker.publish(TENANT, [update("open", attempt=1, seq=4)])
        assert repeat.cursor is not None
        assert repeat.cursor.offset == 7
        [later] = await broker.publish(TENANT, [update("done", run="r")])
        assert later.attempt == 6
        [entry] = (await broker.channels(TENANT, limit=10)).entries
        assert (entry.processing, entry.completed) == (2, 0)
        assert await broker.expire(1e9 + 30) == 0
    async with EmbeddedBroker(file) as broker:
        assert (await clock(broker)).epoch == snapshot.cursor.epoch


LAYOUT_2 = """
CREATE TABLE clocks (
    tenant TEXT NOT NULL PRIMARY KEY, epoch TEXT NOT NULL, offset INTEGER NOT NULL, now INTEGER NOT NULL,
    contents INTEGER NOT NULL, bytes INTEGER NOT NULL, floor INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE life (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1), name TEXT NOT NULL, transactions INTEGER NOT NULL,
    swept REAL, pause REAL NOT NULL
);
CREATE TABLE contents (
    tenant TEXT NOT NULL, content_id TEXT NOT NULL, channel TEXT NOT NULL, attempt INTEGER NOT NULL, run TEXT,
    runs TEXT NOT NULL, began INTEGER NOT NULL, seq INTEGER, seq_offset INTEGER, phase TEXT NOT NULL,
    offset INTEGER NOT NULL, type TEXT NOT NULL, data BLOB NOT NULL, deadline REAL, ends REAL NOT NULL,
    PRIMARY KEY (tenant, content_id)
);
CREATE TABLE channels (
    tenant TEXT NOT NULL, channel TEXT NOT NULL, offset INTEGER NOT NULL, contents INTEGER NOT NULL,
    tombstones INTEGER NOT NULL, floor INTEGER NOT NULL, PRIMARY KEY (tenant, channel)
) WITHOUT ROWID;
CREATE TABLE tombstones (
    tenant TEXT NOT NULL, channel TEXT NOT NULL, content_id TEXT NOT NULL, offset INTEGER NOT NULL, ends REAL NOT NULL,
    PRIMARY KEY (tenant, channel, content_id)
);
INSERT INTO clocks VALUES ('acme', 'k3f9a2bc', 9, 0, 2, 4, 0);
INSERT INTO contents VALUES
    ('acme', 'a', 'films', 1, NULL, '', 0, NULL, NULL, 'pending', 6, 'x', '{}', NULL, 9e9),
    ('acme', 'b', 'films', 1, NULL, '', 0, NULL, NULL, 'idle', 7, 'x', '{}', NULL, 9e9);
INSERT INTO channels VALUES ('acme', 'films', 7, 2, 0, 0), ('acme', 'books', 9, 0, 1, 8);
INSERT INTO tombstones VALUES ('acme', 'books', 'c', 9, 9e9);
PRAGMA application_id = 0x53544855;
PRAGMA user_version = 2;
"""


async def test_channels_of_layout_2_are_counted(file: Path) -> None:
    """By the phases of their contents; when they changed is not known, and is the time of this."""
    before = time.time()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(LAYOUT_2)
    async with EmbeddedBroker(file) as broker:
        books, films = (await broker.channels(TENANT, limit=10)).entries
        assert (books.channel, books.offset, books.pending, books.idle) == ("books", 9, 0, 0)
        assert (films.channel, films.offset, films.pending, films.processing, films.idle) == ("films", 7, 1, 0, 1)
        assert before - 0.002 <= films.updated_at <= time.time()
        await accepted(broker, TENANT, update("a", "complete"))
        assert (await broker.channels(TENANT, limit=1)).entries[0].completed == 1
        assert (await broker.changes(TENANT, "books")).floor == 8


async def test_contents_of_layout_3_can_grow(file: Path) -> None:
    """They are as they were, and take deltas."""
    async with EmbeddedBroker(file) as broker:
        await broker.publish(TENANT, [update("a", seq=1, text="Once")])
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "DROP TABLE growth; DROP TABLE journal; ALTER TABLE contents DROP COLUMN grown; PRAGMA user_version = 3;"
        )
    async with EmbeddedBroker(file) as broker:
        [receipt] = await broker.publish(TENANT, [grown("a", seq=2, text=" upon")])
        assert receipt.accepted
        [event] = (await broker.changes(TENANT, CHANNEL)).events
        assert decode(event.data)["text"] == "Once upon"
