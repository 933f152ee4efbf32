"""The embedded broker's state: one SQLite connection, used by one thread. Everything here blocks."""

from __future__ import annotations

import secrets
import sqlite3
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from statushub.hub.brokers.contract import STALL_BATCH, SWEEP_GAP, Found, Offsets, Snapshot
from statushub.hub.brokers.fence import Accepted, FenceState, Repeat, evaluate
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerInUse, ConfigError, StatushubError
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.publication import Publication, stalled
from statushub.hub.model.receipt import Receipt, Refusal

SCHEMA_VERSION: Final = 1
"""Of schema.sql, kept in the file's `user_version`."""

APPLICATION_ID: Final = 0x53544855
"""Marks the file as ours ("STHU"), so that no other program's database is written into."""

LOCK_SECONDS: Final = 1.0
"""How long opening waits for the file: a predecessor that is just ending lets go of it within that."""

VANISHED_PER_EVENT: Final = 2
"""Vanished contents removed for each event stored: more than one, so the file cannot outgrow its retention."""

VANISHED_PER_SWEEP: Final = 1_000
"""Vanished contents removed by a sweep: bounds how long it holds the broker."""

EPOCH_CHARACTERS: Final = 8
"""Of 36 each: 2.8 * 10^12 epochs, of which a client ever meets a handful."""

_Value = str | bytes | int | float | None

_ALPHABET: Final = string.ascii_lowercase + string.digits

_SCHEMA: Final = files("statushub.hub.brokers.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")

_STANDING: Final = """
SELECT channel, attempt, seq, given, closed FROM content WHERE tenant = ? AND content_id = ? AND vanishes > ?
"""

_PREV: Final = "SELECT max(offset) FROM content WHERE tenant = ? AND channel = ?"

_STORE: Final = """
INSERT OR REPLACE INTO content (
    tenant, content_id, channel, attempt, seq, given, closed, offset, type, data, leased, deadline, vanishes
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_CHANGES: Final = """
SELECT channel, content_id, offset, type, data FROM content
WHERE tenant = ? AND channel = ? AND offset > ? AND vanishes > ? ORDER BY offset
"""

_LOOKUP: Final = """
SELECT channel, content_id, offset, type, data FROM content
WHERE tenant = ? AND content_id IN (SELECT value FROM json_each(?)) AND vanishes > ?
"""

_OFFSETS: Final = """
SELECT (SELECT coalesce(max(offset), 0) FROM content WHERE tenant = ? AND channel = value)
FROM json_each(?) ORDER BY key
"""

_STAND_STILL: Final = """
UPDATE content SET deadline = deadline + (:now - max(:swept, leased)) WHERE deadline IS NOT NULL AND leased < :now
"""

_SET_BACK: Final = """
UPDATE content SET deadline = deadline + (:now - :swept), leased = leased + (:now - :swept)
WHERE deadline IS NOT NULL AND (leased > :now OR leased < :now - :gap)
"""

_DUE: Final = """
SELECT tenant, attempt, seq, given, channel, content_id, offset, type, data FROM content WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (PARTITION BY tenant ORDER BY deadline) AS place
        FROM content WHERE deadline < ? AND vanishes > ?
    ) WHERE place <= ?
) ORDER BY deadline
"""

_SWEPT: Final = """
INSERT OR REPLACE INTO sweep SELECT 1, ? WHERE EXISTS (SELECT 1 FROM content WHERE deadline IS NOT NULL)
"""

_VANISH: Final = """
DELETE FROM content WHERE rowid IN (SELECT rowid FROM content WHERE vanishes <= ? ORDER BY vanishes LIMIT ?)
"""


class _Clock(msgspec.Struct):
    """A tenant's clock; it changes with every event."""

    epoch: str
    offset: int


class Store:
    """The state in the file at `path`, or in memory alone; `retention` in seconds.

    Opening raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be
    used. Everything else raises `sqlite3.Error` where the disk fails.
    """

    def __init__(self, path: Path | None, retention: float) -> None:
        self._retention = retention
        self._connection = _open(path)
        self._clocks: dict[str, _Clock] = {}
        self._ticked: set[str] = set()
        self._swept: float | None = next((row[0] for row in self._execute("SELECT swept FROM sweep")), None)

    def close(self) -> None:
        """Close the file, which folds its log into it and lets go of it."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is on disk when this ends; nothing of it when it raises."""
        swept = self._swept
        try:
            self._execute("BEGIN IMMEDIATE")
            yield
            self._save_clocks()
            self._execute("COMMIT")
        except BaseException:
            # What memory holds of the clocks never came to be.
            self._clocks.clear()
            self._ticked.clear()
            self._swept = swept
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
            raise

    def publish(
        self, tenant: str, publications: Sequence[Publication], retention: float | None = None
    ) -> tuple[list[Receipt], list[Announcement]]:
        """Fence and store each publication, within a transaction."""
        receipts: list[Receipt] = []
        announcements: list[Announcement] = []
        clock, now = self._clock(tenant), time.time()
        for publication in publications:
            verdict = evaluate(self._standing(tenant, publication.content_id, now), publication)
            if isinstance(verdict, Refusal):
                receipts.append(Receipt(reason=verdict))
                continue
            if isinstance(verdict, Accepted):
                announcements.append(self._store(tenant, publication, verdict, now, retention))
            offset = verdict.offset if isinstance(verdict, Repeat) else clock.offset
            receipts.append(Receipt(cursor=Cursor(epoch=clock.epoch, offset=offset)))
        self._vanish(now, VANISHED_PER_EVENT * len(announcements))
        return receipts, announcements

    def changes(self, tenant: str, channel: str, since: Cursor | None) -> Snapshot:
        """What `Broker.changes` promises."""
        cursor = self._cursor(tenant)
        offset = since.offset if since is not None and since.epoch == cursor.epoch else 0
        rows = self._execute(_CHANGES, (tenant, channel, offset, time.time()))
        return Snapshot(cursor=cursor, events=[_event(row) for row in rows])

    def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """What `Broker.lookup` promises."""
        cursor = self._cursor(tenant)
        rows = self._execute(_LOOKUP, (tenant, msgspec.json.encode(content_ids).decode(), time.time()))
        events = {event.content_id: event for event in map(_event, rows)}
        return Found(cursor=cursor, events=[events.get(content_id) for content_id in content_ids])

    def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        """What `Broker.offsets` promises."""
        epoch = self._cursor(tenant).epoch
        rows = self._execute(_OFFSETS, (tenant, msgspec.json.encode(channels).decode()))
        return Offsets(epoch=epoch, offsets=[row[0] for row in rows])

    def expire(self, now: float | None) -> tuple[int, list[Announcement]]:
        """What `Broker.expire` promises, within a transaction; and make room of what has vanished."""
        present = time.time()
        now = present if now is None else now
        if self._swept is not None and now - self._swept > SWEEP_GAP:
            self._execute(_STAND_STILL, {"now": now, "swept": self._swept})
        elif self._swept is not None and now < self._swept:
            # The clock was set back, and leases that were set before go with it.
            self._execute(_SET_BACK, {"now": now, "swept": self._swept, "gap": SWEEP_GAP})
        due = self._execute(_DUE, (now, present, STALL_BATCH)).fetchall()
        announcements = [
            self._store(tenant, stalled(_event(row)), Accepted(attempt=attempt, seq=seq, given=given), present)
            for tenant, attempt, seq, given, *row in due
        ]
        self._vanish(present, VANISHED_PER_SWEEP)
        # Without leases nothing stands still, and an idle hub need not touch its disk every second.
        self._execute(_SWEPT, (now,))
        self._swept = now
        return len(announcements), announcements

    def _standing(self, tenant: str, content_id: str, now: float) -> FenceState | None:
        row = self._execute(_STANDING, (tenant, content_id, now)).fetchone()
        if row is None:
            return None
        channel, attempt, seq, given, closed = row
        return FenceState(channel=channel, attempt=attempt, seq=seq, given=given, closed=bool(closed))

    def _store(
        self, tenant: str, publication: Publication, accepted: Accepted, now: float, retention: float | None = None
    ) -> Announcement:
        clock = self._clock(tenant)
        prev = self._execute(_PREV, (tenant, publication.channel)).fetchone()[0] or 0
        clock.offset += 1
        self._ticked.add(tenant)
        event = Event(
            channel=publication.channel,
            content_id=publication.content_id,
            offset=clock.offset,
            type=publication.type,
            data=publication.data,
        )
        # A content that has ended has nobody to report: a lease on its last event would end it twice.
        lease = None if publication.terminal else publication.lease
        place = (tenant, event.content_id, event.channel)
        given = event.offset if accepted.given is None else accepted.given
        fence = (accepted.attempt, accepted.seq, given, publication.terminal)
        times = (None, None) if lease is None else (now, now + lease)
        said = (event.offset, event.type, event.data)
        vanishes = now + (self._retention if retention is None else retention)
        self._execute(_STORE, (*place, *fence, *said, *times, vanishes))
        return Announcement(tenant=tenant, epoch=clock.epoch, prev=prev, event=event)

    def _vanish(self, now: float, most: int) -> None:
        if most:
            self._execute(_VANISH, (now, most))

    def _cursor(self, tenant: str) -> Cursor:
        if tenant not in self._clocks:
            with self.transaction():
                self._clock(tenant)
        clock = self._clocks[tenant]
        return Cursor(epoch=clock.epoch, offset=clock.offset)

    def _clock(self, tenant: str) -> _Clock:
        """The tenant's clock; it is wound up, within a transaction, where there is none."""
        clock = self._clocks.get(tenant)
        if clock is None:
            row = self._execute("SELECT epoch, offset FROM clock WHERE tenant = ?", (tenant,)).fetchone()
            clock = self._clocks[tenant] = _Clock(*row) if row else _Clock(_epoch(), 0)
            if row is None:
                self._ticked.add(tenant)
        return clock

    def _save_clocks(self) -> None:
        for tenant in self._ticked:
            clock = self._clocks[tenant]
            self._execute("INSERT OR REPLACE INTO clock VALUES (?, ?, ?)", (tenant, clock.epoch, clock.offset))
        self._ticked.clear()

    def _execute(self, statement: str, values: Sequence[_Value] | Mapping[str, _Value] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)


def _open(path: Path | None) -> sqlite3.Connection:
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"the folder of {path} does not exist", field="broker")
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=LOCK_SECONDS)
        _prepare(connection, path)
    except (sqlite3.Error, ConfigError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise _refusal(path, error) from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    """Take the file for ourselves and lay out the tables where it is new."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN EXCLUSIVE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if not empty and mark != APPLICATION_ID:
        raise ConfigError(f"{path} is another program's database", field="broker")
    if version > SCHEMA_VERSION:
        raise ConfigError(f"{path} was written by a newer Statushub; this one cannot read it", field="broker")
    if empty:
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _refusal(path: Path | None, error: sqlite3.Error) -> StatushubError:
    # Extended codes say more in their higher bytes (sqlite.org/rescode.html).
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return BrokerInUse(f"{path} is in use by another process; one hub at a time can hold it", field="broker")
    return ConfigError(f"{path} cannot be used as the broker's file: {error}", field="broker")


def _event(row: Sequence[Any]) -> Event:
    channel, content_id, offset, type, data = row
    return Event(channel=channel, content_id=content_id, offset=offset, type=type, data=data)


def _epoch() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(EPOCH_CHARACTERS))
