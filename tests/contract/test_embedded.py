"""The embedded broker beyond the contract: durability, a failing disk, group commit."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import TOMBSTONE_SECONDS
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.brokers.sqlite.store import Store
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Announcement
from statushub.hub.model.receipt import Refusal
from tests.support.offsets import consecutive
from tests.support.publications import CHANNEL, accepted, publish_one, raw, update
from tests.support.recorder import Recorder
from tests.support.rlimits import files_no_longer_than

pytestmark = pytest.mark.anyio

TENANT = "acme"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


def log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def rows(file: Path) -> int:
    """The number of contents in the file of a closed broker."""
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM contents").fetchone()[0])


async def test_published_events_survive_a_restart(file: Path) -> None:
    """Contents, fences, epoch and offset are unchanged."""
    async with EmbeddedBroker(file) as broker:
        assert broker.durable
        await accepted(broker, TENANT, update("a", "complete", attempt=3, seq=8))
        cursor = await accepted(broker, TENANT, update("b", attempt=2, seq=4))
        before = await broker.changes(TENANT, CHANNEL)
    async with EmbeddedBroker(file) as broker:
        assert await broker.changes(TENANT, CHANNEL) == before
        assert (await publish_one(broker, TENANT, update("a", attempt=3, seq=9))).reason is Refusal.CLOSED
        assert await accepted(broker, TENANT, update("b", attempt=2, seq=4)) == cursor
        after = await accepted(broker, TENANT, update("b", attempt=2, seq=5))
        assert after == Cursor(epoch=cursor.epoch, offset=cursor.offset + 1)


async def test_a_broker_in_memory_is_not_durable() -> None:
    """A broker in memory begins empty, with another epoch, and reports that it is not durable."""
    cursors = []
    for _ in range(2):
        async with EmbeddedBroker(None) as broker:
            assert not broker.durable
            assert (await broker.lookup(TENANT, ["a"])).events == [None]
            cursors.append(await accepted(broker, TENANT, update("a")))
    assert cursors[0].epoch != cursors[1].epoch


async def test_an_unread_clock_keeps_its_epoch(file: Path) -> None:
    """A cursor from reading an empty channel is valid after a restart."""
    async with EmbeddedBroker(file) as broker:
        cursor = (await broker.changes(TENANT, CHANNEL)).cursor
    async with EmbeddedBroker(file) as broker:
        assert (await broker.lookup(TENANT, [])).cursor == cursor


async def test_acknowledged_events_survive_a_kill(file: Path) -> None:
    """After SIGKILL every acknowledged event is stored under its cursor."""
    url = f"sqlite:///{file}"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.acknowledge", url], stdout=subprocess.PIPE, text=True
    ) as publisher:
        assert publisher.stdout is not None
        lines = [publisher.stdout.readline() for _ in range(500)]
        publisher.kill()
        # The last line may have been cut short by the kill.
        lines += [line for line in publisher.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    acknowledged = [line.split() for line in lines]
    async with open_broker(url) as broker:
        for tenant in {tenant for tenant, _, _ in acknowledged}:
            mine = {content_id: Cursor.parse(cursor) for owner, content_id, cursor in acknowledged if owner == tenant}
            found = await broker.lookup(tenant, list(mine))
            assert [event and event.offset for event in found.events] == [cursor.offset for cursor in mine.values()]
            assert {cursor.epoch for cursor in mine.values()} == {found.cursor.epoch}


def test_a_commit_waits_for_the_disk(file: Path) -> None:
    """The log is synced with each commit (sqlite.org/pragma.html#pragma_synchronous): a power cut loses none."""
    with closing(Store(file, retention=60)) as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_an_announced_event_is_on_disk(file: Path, tmp_path: Path) -> None:
    """A copy of the file made during the announcement holds the event."""
    copy = tmp_path / "copy"
    copy.mkdir()

    class Copier(Recorder):
        def announced(self, batch: Sequence[Announcement]) -> None:
            for path in (file, log_of(file)):
                shutil.copy(path, copy)
            super().announced(batch)

    listener = Copier()
    broker = EmbeddedBroker(file)
    broker.listen(listener)
    async with broker:
        await broker.subscribe(TENANT, [CHANNEL])
        await accepted(broker, TENANT, update("a"))
    async with EmbeddedBroker(copy / file.name) as broker:
        assert (await broker.changes(TENANT, CHANNEL)).events == listener.events


async def test_late_damage_is_broker_unavailable(file: Path) -> None:
    """Damage deep in the file fails only the read that meets it."""
    async with EmbeddedBroker(file) as broker:
        await broker.publish(TENANT, [update(f"c{n}") for n in range(500)])
    content = file.read_bytes()
    file.write_bytes(content[: 16 * 4096] + b"\xa5" * (len(content) - 16 * 4096))
    async with EmbeddedBroker(file) as broker:
        with pytest.raises(BrokerUnavailable, match="malformed"):
            await broker.changes(TENANT, CHANNEL)
        await broker.ping()


async def test_a_full_disk_refuses_and_recovers(file: Path) -> None:
    """An event that cannot be written is neither acknowledged, announced nor counted; later ones are accepted."""
    listener = Recorder()
    broker = EmbeddedBroker(file)
    broker.listen(listener)
    async with broker:
        await broker.subscribe(TENANT, [CHANNEL])
        first = await accepted(broker, TENANT, update("a", progress=1))
        big = [raw(f"big{n}", b"x" * 60_000) for n in range(20)]
        with files_no_longer_than(log_of(file).stat().st_size + 100_000):
            calls = [broker.publish(TENANT, [update("a", progress=2), publication]) for publication in big]
            outcomes = await asyncio.gather(*calls, broker.publish(TENANT, big), return_exceptions=True)
            await broker.ping()
        assert isinstance(outcomes[-1], BrokerUnavailable)
        stored = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert all(isinstance(outcome, list | BrokerUnavailable) for outcome in outcomes)
        after = await accepted(broker, TENANT, update("b"))
        assert after == Cursor(epoch=first.epoch, offset=first.offset + 2 * len(stored) + 1)
        assert listener.offsets == list(range(first.offset, after.offset + 1))
        before = await broker.changes(TENANT, CHANNEL)
    async with EmbeddedBroker(file) as broker:
        assert await broker.changes(TENANT, CHANNEL) == before


async def test_a_faulty_call_fails_no_other(file: Path) -> None:
    """Of writes in one transaction, only the one that cannot be stored fails."""
    unencodable = raw("\ud800", b"{}")
    async with EmbeddedBroker(file) as broker:
        batches = [[update(f"c{n}")] for n in range(40)]
        batches[20] = [update("in vain"), unencodable]
        outcomes = await asyncio.gather(*(broker.publish(TENANT, batch) for batch in batches), return_exceptions=True)
        assert isinstance(outcomes[20], UnicodeEncodeError)
        assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)] == [20]
        snapshot = await broker.changes(TENANT, CHANNEL)
        assert consecutive([event.offset for event in snapshot.events], 39)
        assert "in vain" not in [event.content_id for event in snapshot.events]


async def test_what_was_not_stored_is_not_remembered(file: Path) -> None:
    """After writes that failed together, the fence, the announcements and the index know what is on disk."""
    unencodable = raw("\ud800", b"{}")
    listener = Recorder()
    broker = EmbeddedBroker(file)
    broker.listen(listener)
    async with broker:
        await broker.subscribe(TENANT, [CHANNEL])
        first = await accepted(broker, TENANT, update("a", seq=1))
        with pytest.raises(UnicodeEncodeError):
            await broker.publish(TENANT, [update("a", seq=9), update("b"), unencodable])
        second = await accepted(broker, TENANT, update("a", seq=2))
        assert [event.offset for event in (await broker.changes(TENANT, CHANNEL)).events] == [second.offset]
        assert [it.prev for it in listener.announcements] == [0, first.offset]
        [entry] = (await broker.channels(TENANT, limit=9)).entries
        assert entry.processing == 1


async def test_waiting_writes_share_a_commit(tmp_path: Path) -> None:
    """Queued writes share a transaction: the log grows by less than with one transaction each."""
    publications = [update(f"c{n}") for n in range(60)]
    long = [update(f"long{n}") for n in range(1_000)]
    async with EmbeddedBroker(tmp_path / "together.db") as broker:
        calls = [broker.publish(TENANT, [publication]) for publication in publications]
        await asyncio.gather(broker.publish(TENANT, long), *calls)
        together = log_of(tmp_path / "together.db").stat().st_size
    async with EmbeddedBroker(tmp_path / "apart.db") as broker:
        await broker.publish(TENANT, long)
        for publication in publications:
            await broker.publish(TENANT, [publication])
        apart = log_of(tmp_path / "apart.db").stat().st_size
    assert together < apart


async def test_closing_finishes_queued_writes(file: Path) -> None:
    """Publishes in progress when the broker is closed are stored, announced and answered."""
    listener = Recorder()
    async with asyncio.TaskGroup() as group:
        broker = EmbeddedBroker(file)
        broker.listen(listener)
        async with broker:
            await broker.subscribe(TENANT, [CHANNEL])
            calls = [group.create_task(broker.publish(TENANT, [update(f"c{n}")])) for n in range(200)]
            await asyncio.sleep(0)
        assert len(listener.events) == 200
    assert all(receipt.accepted for call in calls for receipt in call.result())
    assert rows(file) == 200


async def test_a_closed_broker_refuses(file: Path) -> None:
    """A call to a closed broker raises immediately."""
    async with EmbeddedBroker(file) as broker:
        pass
    with pytest.raises(BrokerUnavailable, match="closed"):
        await broker.ping()


async def test_lease_time_does_not_pass_while_the_hub_is_down(file: Path) -> None:
    """A restart an hour later does not stall the contents of living workers."""
    start = time.time()
    async with EmbeddedBroker(file) as broker:
        await accepted(broker, TENANT, update("a", lease=60))
        assert await broker.expire(start) == 0
    async with EmbeddedBroker(file) as broker:
        assert await broker.expire(start + 3_600) == 0
        assert sum([await broker.expire(start + 3_600 + 4 * n) for n in range(1, 20)]) == 1


async def test_a_failed_sweep_moves_no_lease(file: Path) -> None:
    """After a sweep that could not be stored, the next one prolongs leases by the whole gap."""
    start = time.time()
    async with EmbeddedBroker(file) as broker:
        await broker.publish(TENANT, [update(f"c{n}", lease=60) for n in range(200)])
        assert await broker.expire(start) == 0
        with files_no_longer_than(log_of(file).stat().st_size), pytest.raises(BrokerUnavailable):
            await broker.expire(start + 3_600)
        assert await broker.expire(start + 3_601) == 0
        assert sum([await broker.expire(start + 3_601 + 4 * n) for n in range(1, 20)]) == 200


async def test_an_idle_hub_writes_nothing(file: Path) -> None:
    """A sweep without leases does not touch the disk."""
    async with EmbeddedBroker(file) as broker:
        await accepted(broker, TENANT, update("a"))
        before = log_of(file).read_bytes()
        for n in range(20):
            await broker.expire(time.time() + n)
        assert log_of(file).read_bytes() == before


async def test_a_sweep_deletes_contents_whose_retention_has_ended(file: Path) -> None:
    """Their rows leave the file, and after a day their tombstones, too."""
    async with EmbeddedBroker(file, retention=1) as broker:
        await broker.publish(TENANT, [update(f"c{n}") for n in range(500)])
        await broker.expire(time.time() + 2)
        await broker.expire(time.time() + 2 * TOMBSTONE_SECONDS)
        assert (await broker.changes(TENANT, CHANNEL)).events == []
    assert rows(file) == 0
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM tombstones").fetchone() == (0,)
