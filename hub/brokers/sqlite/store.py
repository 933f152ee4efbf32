"""The embedded broker's state: one SQLite connection, used by one thread. Every method blocks."""

from __future__ import annotations

import secrets
import sqlite3
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from statushub.hub.brokers.contract import STALL_BATCH, SWEEP_GAP, Found, Offsets, Snapshot
from statushub.hub.brokers.fence import Accepted, FenceState, Repeat, evaluate
from statushub.hub.brokers.sqlite.file import open_file
from statushub.hub.brokers.sqlite.sql import STATEMENTS
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.publication import Publication, stalled
from statushub.hub.model.receipt import Receipt, Refusal

VANISHED_PER_EVENT: Final = 2
"""Vanished contents removed for each event stored: more than one, so the file cannot outgrow its retention."""

VANISHED_PER_SWEEP: Final = 1_000
"""Vanished contents removed by a sweep: bounds how long it holds the broker."""

EPOCH_CHARACTERS: Final = 8
"""Of 36 each: 2.8 * 10^12 epochs, of which a client ever sees a few."""

_Value = str | bytes | int | float | None

_ALPHABET: Final = string.ascii_lowercase + string.digits


class _Clock(msgspec.Struct):
    """A tenant's clock. It changes with every event."""

    epoch: str
    offset: int


class Store:
    """The state in the file at `path`, or only in memory for None; `retention` in seconds.

    Opening raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used. All
    methods raise `sqlite3.Error` where the disk fails.
    """

    def __init__(self, path: Path | None, retention: float) -> None:
        self._retention = retention
        self._connection = open_file(path)
        self._clocks: dict[str, _Clock] = {}
        self._ticked: set[str] = set()
        self._swept: float | None = next((row[0] for row in self._execute("last_sweep")), None)

    def close(self) -> None:
        """Close the file, which writes its log back into it and releases the lock."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written within is on disk when this ends, and nothing of it when this raises."""
        swept = self._swept
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._save_clocks()
            self._connection.execute("COMMIT")
        except BaseException:
            # The clocks in memory may be ahead of those on disk.
            self._clocks.clear()
            self._ticked.clear()
            self._swept = swept
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def publish(
        self, tenant: str, publications: Sequence[Publication], retention: float | None = None
    ) -> tuple[list[Receipt], list[Announcement]]:
        """Fence and store each publication, within a transaction."""
        receipts: list[Receipt] = []
        announcements: list[Announcement] = []
        clock, now = self._clock(tenant), time.time()
        for publication in publications:
            verdict = evaluate(self._fence_state(tenant, publication.content_id, now), publication)
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
        """As `Broker.changes`."""
        cursor = self._cursor(tenant)
        offset = since.offset if since is not None and since.epoch == cursor.epoch else 0
        rows = self._execute("changes", (tenant, channel, offset, time.time()))
        return Snapshot(cursor=cursor, events=[_event(row) for row in rows])

    def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """As `Broker.lookup`."""
        cursor = self._cursor(tenant)
        rows = self._execute("lookup", (tenant, msgspec.json.encode(content_ids).decode(), time.time()))
        events = {event.content_id: event for event in map(_event, rows)}
        return Found(cursor=cursor, events=[events.get(content_id) for content_id in content_ids])

    def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        """As `Broker.offsets`."""
        epoch = self._cursor(tenant).epoch
        rows = self._execute("offsets", (tenant, msgspec.json.encode(channels).decode()))
        return Offsets(epoch=epoch, offsets=[row[0] for row in rows])

    def expire(self, now: float | None) -> tuple[int, list[Announcement]]:
        """As `Broker.expire`, within a transaction; also removes contents that have vanished."""
        present = time.time()
        now = present if now is None else now
        if self._swept is not None and now - self._swept > SWEEP_GAP:
            self._execute("pause_leases", {"now": now, "swept": self._swept})
        elif self._swept is not None and now < self._swept:
            self._execute("set_leases_back", {"now": now, "swept": self._swept, "gap": SWEEP_GAP})
        due = self._execute("due", (now, present, STALL_BATCH)).fetchall()
        announcements = [
            self._store(tenant, stalled(_event(row)), Accepted(attempt=attempt, seq=seq, seq_offset=offset), present)
            for tenant, attempt, seq, offset, *row in due
        ]
        self._vanish(present, VANISHED_PER_SWEEP)
        self._execute("save_sweep", (now,))
        self._swept = now
        return len(announcements), announcements

    def _fence_state(self, tenant: str, content_id: str, now: float) -> FenceState | None:
        row = self._execute("fence_state", (tenant, content_id, now)).fetchone()
        if row is None:
            return None
        # The column is named `given`.
        channel, attempt, seq, seq_offset, closed = row
        return FenceState(channel=channel, attempt=attempt, seq=seq, seq_offset=seq_offset, closed=bool(closed))

    def _store(
        self, tenant: str, publication: Publication, accepted: Accepted, now: float, retention: float | None = None
    ) -> Announcement:
        clock = self._clock(tenant)
        prev = self._execute("channel_offset", (tenant, publication.channel)).fetchone()[0] or 0
        clock.offset += 1
        self._ticked.add(tenant)
        event = Event(
            channel=publication.channel,
            content_id=publication.content_id,
            offset=clock.offset,
            type=publication.type,
            data=publication.data,
        )
        # A lease on a content's last event would end it twice.
        lease = None if publication.terminal else publication.lease
        names = (tenant, event.content_id, event.channel)
        seq_offset = event.offset if accepted.seq_offset is None else accepted.seq_offset
        fence = (accepted.attempt, accepted.seq, seq_offset, publication.terminal)
        latest = (event.offset, event.type, event.data)
        times = (None, None) if lease is None else (now, now + lease)
        vanishes = now + (self._retention if retention is None else retention)
        self._execute("store", (*names, *fence, *latest, *times, vanishes))
        return Announcement(tenant=tenant, epoch=clock.epoch, prev=prev, event=event)

    def _vanish(self, now: float, most: int) -> None:
        if most:
            self._execute("remove_vanished", (now, most))

    def _cursor(self, tenant: str) -> Cursor:
        if tenant not in self._clocks:
            with self.transaction():
                self._clock(tenant)
        clock = self._clocks[tenant]
        return Cursor(epoch=clock.epoch, offset=clock.offset)

    def _clock(self, tenant: str) -> _Clock:
        """The tenant's clock; created, within a transaction, where there is none."""
        clock = self._clocks.get(tenant)
        if clock is None:
            row = self._execute("clock", (tenant,)).fetchone()
            clock = self._clocks[tenant] = _Clock(*row) if row else _Clock(_epoch(), 0)
            if row is None:
                self._ticked.add(tenant)
        return clock

    def _save_clocks(self) -> None:
        for tenant in self._ticked:
            clock = self._clocks[tenant]
            self._execute("save_clock", (tenant, clock.epoch, clock.offset))
        self._ticked.clear()

    def _execute(self, name: str, values: Sequence[_Value] | Mapping[str, _Value] = ()) -> sqlite3.Cursor:
        """Execute a statement of statements.sql."""
        return self._connection.execute(STATEMENTS[name], values)


def _event(row: Sequence[Any]) -> Event:
    channel, content_id, offset, type, data = row
    return Event(channel=channel, content_id=content_id, offset=offset, type=type, data=data)


def _epoch() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(EPOCH_CHARACTERS))
