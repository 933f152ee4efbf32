"""The embedded broker's journal: updates that have not reached their rows are as durable, and as visible, as rows."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from statushub.hub.brokers.contract import TOMBSTONE_SECONDS, ChannelPage, Snapshot
from statushub.hub.brokers.sqlite import channels, contents, journal
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.brokers.sqlite.store import Store
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.event import decode
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal
from tests.support.publications import CHANNEL, accepted, grown, publish_one, raw, update
from tests.support.rlimits import files_no_longer_than

pytestmark = pytest.mark.anyio

TENANT = "acme"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


def crashed(file: Path) -> Path:
    """What is on disk of the file of an open broker: a copy, as a crash in this moment would leave it."""
    folder = file.with_name("crashed")
    folder.mkdir()
    for path in (file, file.with_name(f"{file.name}-wal")):
        shutil.copy(path, folder)
    return folder / file.name


async def seen(broker: EmbeddedBroker) -> tuple[Snapshot, ChannelPage]:
    """All that readers see of the channel but the clock's epoch, which a copy of the file begins anew."""
    return await broker.changes(TENANT, CHANNEL), await broker.channels(TENANT, limit=99)


async def states(broker: EmbeddedBroker, channel: str = CHANNEL) -> dict[str, object]:
    """The progress of each content of the channel."""
    events = (await broker.changes(TENANT, channel)).events
    return {event.content_id: decode(event.data).get("progress") for event in events}


async def publish_each(broker: EmbeddedBroker, publications: Sequence[Publication]) -> None:
    for publication in publications:
        await accepted(broker, TENANT, publication)


async def test_updates_that_nobody_has_read_survive_a_crash(file: Path) -> None:
    """Each is there with its channel's counts, times and offset, and so is its fence."""
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a", seq=1), update("b", seq=1), update("c", seq=1)])
        await publish_each(broker, [update("a", seq=2, progress=20), update("b", "complete", seq=2)])
        await publish_each(broker, [update("a", seq=3, progress=30)])
        copy = crashed(file)
        snapshot, page = await seen(broker)
    async with EmbeddedBroker(copy) as broker:
        assert (await publish_one(broker, TENANT, update("a", seq=2))).reason is Refusal.SUPERSEDED
        assert (await publish_one(broker, TENANT, update("b", seq=3))).reason is Refusal.CLOSED
        after, listed = await seen(broker)
    assert (after.events, listed.entries) == (snapshot.events, page.entries)
    assert [entry.completed for entry in listed.entries] == [1]


async def test_a_closed_file_has_all_in_its_rows(file: Path) -> None:
    """Other programs may read the file of a broker that was closed."""
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a"), update("a", progress=20), update("a", progress=30)])
    with closing(sqlite3.connect(file)) as connection:
        [(data,)] = connection.execute("SELECT data FROM contents").fetchall()
        assert decode(data)["progress"] == 30
        assert connection.execute("SELECT count(*) FROM journal").fetchone() == (0,)


async def test_rows_may_be_renumbered_after_a_crash(file: Path) -> None:
    """Where VACUUM, or a dump that was read in, gave rows other numbers, each update still reaches its content."""
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update(content_id) for content_id in "abcd"])
        await broker.remove(TENANT, CHANNEL, ["a", "c"])
        await publish_each(broker, [update("b", progress=20), update("d", progress=40)])
        copy = crashed(file)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("UPDATE contents SET rowid = rowid + 9")
        connection.commit()
    async with EmbeddedBroker(copy) as broker:
        assert await states(broker) | {"a": None, "c": None} == {"a": None, "b": 20, "c": None, "d": 40}


async def test_a_failed_write_loses_no_update_before_it(file: Path) -> None:
    """After a rollback, which forgets what is kept in memory, the fence knows the last update."""
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a", seq=1), update("a", seq=2, progress=20)])
        with pytest.raises(UnicodeEncodeError):
            await broker.publish(TENANT, [update("a", seq=9, progress=90), raw("\ud800", b"{}")])
        assert (await publish_one(broker, TENANT, update("a", seq=1))).reason is Refusal.SUPERSEDED
        assert (await publish_one(broker, TENANT, update("a", seq=3, progress=30))).accepted
        assert await states(broker) == {"a": 30}


async def test_an_update_that_cannot_be_written_fails_itself(file: Path) -> None:
    """Text that is no Unicode is refused where it is published, not where rows are written later."""
    odd = Publication(channel=CHANNEL, content_id="a", type="\ud800", data=b"{}", phase=update("a").phase)
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a"), update("a", progress=20)])
        with pytest.raises(UnicodeEncodeError):
            await broker.publish(TENANT, [odd])
        await accepted(broker, TENANT, update("a", progress=30))
        assert await states(broker) == {"a": 30}


async def test_a_full_disk_hides_no_update_from_readers(file: Path) -> None:
    """Reads go on, and see the last update; a write that cannot be stored changes nothing."""
    async with EmbeddedBroker(file) as broker:
        await broker.publish(TENANT, [update(f"c{n}") for n in range(50)])
        await broker.publish(TENANT, [update(f"c{n}", progress=n) for n in range(50)])
        full = file.with_name(f"{file.name}-wal").stat().st_size
        expected = {f"c{n}": n for n in range(50)}
        with files_no_longer_than(full):
            assert await states(broker) == expected
            outcomes = [await refused_or_lost(broker, update("c7", progress=99)) for _ in range(3)]
            assert await states(broker) == expected
        assert outcomes == [True] * 3
        await accepted(broker, TENANT, update("c7", progress=8))
        assert await states(broker) == expected | {"c7": 8}
    async with EmbeddedBroker(file) as broker:
        assert await states(broker) == expected | {"c7": 8}


async def refused_or_lost(broker: EmbeddedBroker, publication: Publication) -> bool:
    try:
        await broker.publish(TENANT, [publication])
    except Exception:  # noqa: BLE001 - of any kind
        return True
    return False


@pytest.mark.parametrize("kind", ["delta", "cancel", "removal", "ending"])
async def test_what_changes_a_row_itself_comes_after_its_updates(file: Path, kind: str) -> None:
    """A delta, a request to cancel, a removal: no update that came before is written over it, also after a crash."""
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a", seq=1, text="x"), update("b", seq=1)])
        await publish_each(broker, [update("a", seq=2, text="xy"), update("b", seq=2, progress=2)])
        if kind == "delta":
            await accepted(broker, TENANT, grown("a", seq=3, text="z"))
        elif kind == "cancel":
            request = CancelRequest(by=None, at="2025-07-31T13:00:00.000Z", reason=None)
            assert (await broker.cancel(TENANT, CHANNEL, "a", request)).request == request
        elif kind == "removal":
            assert (await broker.remove(TENANT, CHANNEL, ["a"])).removed == ["a"]
        else:
            await accepted(broker, TENANT, update("a", "complete", seq=3))
        await accepted(broker, TENANT, update("b", seq=3, progress=3))
        copy = crashed(file)
        snapshot, page = await seen(broker)
    assert [event.content_id for event in snapshot.events] == ["a", "b"]
    async with EmbeddedBroker(copy) as broker:
        after, listed = await seen(broker)
    assert (after.events, listed.entries) == (snapshot.events, page.entries)


async def test_a_channel_that_is_forgotten_does_not_come_back(file: Path) -> None:
    """The journal holds its last change, which is older than its end."""
    async with EmbeddedBroker(file) as broker:
        await accepted(broker, TENANT, update("a"))
        await broker.remove(TENANT, CHANNEL, ["a"])
        await broker.expire(time.time() + 2 * TOMBSTONE_SECONDS)
        assert (await broker.channels(TENANT, limit=9)).entries == []
    async with EmbeddedBroker(file) as broker:
        assert (await broker.channels(TENANT, limit=9)).entries == []
        assert (await broker.offsets(TENANT, [CHANNEL])).offsets == [0]


@pytest.mark.parametrize("limit", ["rows", "bytes", "kept contents", "kept channels"])
async def test_the_journal_has_an_end(file: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Where it is full, or memory is, updates reach their rows: none is lost, and the journal stays short."""
    module, name, most = {
        "rows": (journal, "MOST_ROWS", 10),
        "bytes": (journal, "MOST_BYTES", 2_000),
        "kept contents": (contents, "KEPT", 10),
        "kept channels": (channels, "KEPT", 3),
    }[limit]
    monkeypatch.setattr(module, name, most)
    names = [f"{CHANNEL}{n}" for n in range(8)]
    async with EmbeddedBroker(file) as broker:
        for progress in range(1, 6):
            for n in range(40):
                await accepted(broker, TENANT, update(f"c{n}", channel=names[n % 8], progress=progress, seq=progress))
        copy = crashed(file)
        expected = [await states(broker, name) for name in names]
        counts = [entry.processing for entry in (await broker.channels(TENANT, limit=99)).entries]
    assert expected == [{f"c{n}": 5 for n in range(at, 40, 8)} for at in range(8)]
    assert counts == [5] * 8
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM journal").fetchone()[0] < 100
    async with EmbeddedBroker(copy) as broker:
        assert [await states(broker, name) for name in names] == expected


@pytest.mark.parametrize(("lease", "ended"), [(20, 1), (3_600, 0)], ids=["shorter", "longer"])
async def test_a_sweep_knows_the_leases_of_updates(file: Path, lease: float, ended: int) -> None:
    """A lease that an update shortened ends the content, and one that it prolonged does not."""
    start = time.time()
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a", lease=3_600 + 20 - lease), update("a", lease=lease)])
        assert sum([await broker.expire(start + 4 * n) for n in range(10)]) == ended


@pytest.mark.parametrize(("retention", "left"), [(1, 0), (3_600, 1)], ids=["shorter", "longer"])
async def test_a_sweep_knows_the_retention_of_updates(file: Path, retention: float, left: int) -> None:
    """A retention that an update shortened removes the content, and one that it prolonged does not."""
    async with EmbeddedBroker(file, retention=3_600 + 1 - retention) as broker:
        await accepted(broker, TENANT, update("a"))
        await broker.publish(TENANT, [update("a")], retention=retention)
        await broker.expire(time.time() + 120)
        [entry] = (await broker.channels(TENANT, limit=9)).entries
    assert entry.processing == left


async def test_an_idle_hub_whose_leases_are_over_writes_nothing(file: Path) -> None:
    """Nor does a sweep write for a lease that has ended in the journal only, but once."""
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a", lease=60), update("a", "complete")])
        await broker.expire(time.time())
        before = file.with_name(f"{file.name}-wal").read_bytes()
        for n in range(20):
            await broker.expire(time.time() + n)
        assert file.with_name(f"{file.name}-wal").read_bytes() == before


async def test_a_lease_in_the_journal_stands_still_while_the_hub_is_down(file: Path) -> None:
    """Sweeps store their time where only an update has a lease."""
    start = time.time()
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a", lease=0), update("a", lease=60)])
        assert await broker.expire(start) == 0
    async with EmbeddedBroker(file) as broker:
        assert await broker.expire(start + 3_600) == 0


def test_updates_are_written_to_rows_once(file: Path) -> None:
    """A content is stored a hundred times, and its row is written when it is read."""
    with closing(Store(file, retention=60)) as store:
        for progress in range(100):
            with store.transaction():
                store.publish(TENANT, [update("a", progress=progress)])
        [(stored,)] = store._connection.execute("SELECT data FROM contents").fetchall()
        assert decode(stored)["progress"] == 0
        [event] = store.changes(TENANT, CHANNEL, None).events
        assert decode(event.data)["progress"] == 99
        [(stored,)] = store._connection.execute("SELECT data FROM contents").fetchall()
        assert stored == event.data


def test_a_read_that_folds_leaves_commits_durable(file: Path) -> None:
    """Only the fold itself does not wait for the disk."""
    with closing(Store(file, retention=60)) as store:
        for progress in range(3):
            with store.transaction():
                store.publish(TENANT, [update("a", progress=progress)])
        assert store.changes(TENANT, CHANNEL, None).events
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_a_file_without_a_journal_is_taken_over(file: Path) -> None:
    """A file of the layout before has its contents, and gets a journal."""
    async with EmbeddedBroker(file) as broker:
        await publish_each(broker, [update("a", seq=1), update("a", seq=2, progress=20)])
        before = await seen(broker)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE journal")
        connection.execute("PRAGMA user_version = 4")
        connection.commit()
    async with EmbeddedBroker(file) as broker:
        assert await seen(broker) == before
        await accepted(broker, TENANT, update("a", seq=3, progress=30))
        assert await states(broker) == {"a": 30}
