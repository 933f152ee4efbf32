"""The embedded broker's state: one SQLite connection, used by one thread. Every method blocks."""

from __future__ import annotations

import secrets
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from statushub.hub.brokers.contract import STALL_BATCH, SWEEP_GAP, TOMBSTONE_SECONDS, Found, Offsets, Snapshot
from statushub.hub.brokers.fence import Accepted, FenceState, Repeat, evaluate
from statushub.hub.brokers.sqlite.file import open_file
from statushub.hub.brokers.sqlite.mark import Mark
from statushub.hub.brokers.sqlite.sql import STATEMENTS
from statushub.hub.model.cursor import Cursor, epoch_at, next_epoch
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.event import Announcement, Event, tombstone
from statushub.hub.model.limits import StorageLimits
from statushub.hub.model.publication import Publication, stalled
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.vocabulary import Phase

NAME_BYTES: Final = 8
"""Of the random name of a file's life: enough that no two files share one."""

_Value = str | bytes | int | float | None


class _Clock(msgspec.Struct):
    """A tenant's clock and what the tenant stores. It changes with every event. `now` is in milliseconds."""

    epoch: str
    offset: int
    now: int = 0
    contents: int = 0
    bytes: int = 0
    floor: int = 0


class _Life(msgspec.Struct):
    """The file's life; see schema.sql."""

    name: str
    transactions: int = 0
    swept: float | None = None
    pause: float = 0.0


class _Channel(msgspec.Struct):
    """A channel: the offset of its latest event, what it has, and its floor."""

    offset: int = 0
    contents: int = 0
    tombstones: int = 0
    floor: int = 0


class _Stored(msgspec.Struct, frozen=True):
    """A content before an event: what the fence knows, its type, its size, and whether it has a lease."""

    fence: FenceState
    size: int
    leased: bool


class Store:
    """The state in the file at `path`, or only in memory for None; `retention` in seconds.

    Opening raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used. All
    methods raise `sqlite3.Error` where the disk fails.
    """

    def __init__(self, path: Path | None, retention: float, limits: StorageLimits = StorageLimits()) -> None:
        self._retention = retention
        self._limits = limits
        self._connection = open_file(path)
        self._clocks: dict[str, _Clock] = {}
        self._ticked: set[str] = set()
        self._mark = None if path is None else self._open_mark(path)
        row = self._execute("life").fetchone()
        self._life = _Life(secrets.token_hex(NAME_BYTES)) if row is None else _Life(*row)
        self._saved = msgspec.structs.replace(self._life)
        if self._mark is not None and not self._mark.proves(self._life.name, self._life.transactions):
            self._begin_epochs()

    def close(self) -> None:
        """Close the file, which writes its log back into it and releases the lock."""
        self._connection.close()
        if self._mark is not None:
            self._mark.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written within is on disk when this ends, and nothing of it when this raises."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._save_clocks()
            self._save_life()
            self._connection.execute("COMMIT")
        except BaseException:
            # The clocks in memory may be ahead of those on disk.
            self._clocks.clear()
            self._ticked.clear()
            self._life = msgspec.structs.replace(self._saved)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._saved = msgspec.structs.replace(self._life)
        if self._mark is not None:
            self._mark.write(self._life.name, self._life.transactions)

    def publish(
        self, tenant: str, publications: Sequence[Publication], retention: float | None = None
    ) -> tuple[list[Receipt], list[Announcement]]:
        """Fence and store each publication, within a transaction."""
        receipts: list[Receipt] = []
        announcements: list[Announcement] = []
        clock, now = self._clock(tenant), time.time()
        clock.now = max(clock.now, int(now * 1000))
        for publication in publications:
            stored = self._stored(tenant, publication.content_id)
            verdict = evaluate(stored.fence if stored else None, publication, clock.now)
            if isinstance(verdict, Accepted):
                refusal = self._over_quota(tenant, publication, stored)
                if refusal is not None:
                    receipts.append(Receipt(reason=refusal))
                    continue
                announcements.append(self._store(tenant, publication, stored, verdict, now, retention))
            if isinstance(verdict, Refusal):
                receipts.append(Receipt(reason=verdict))
                continue
            offset = verdict.offset if isinstance(verdict, Repeat) else clock.offset
            cursor = Cursor(epoch=clock.epoch, offset=offset)
            receipts.append(Receipt(cursor=cursor, attempt=verdict.attempt))
        return receipts, announcements

    def changes(self, tenant: str, channel: str, since: Cursor | None) -> Snapshot:
        """As `Broker.changes`."""
        clock = self._readable_clock(tenant)
        held = self._channel(tenant, channel)
        floor = held.floor if held.offset else clock.floor
        whole = since is None or since.epoch != clock.epoch or since.offset < floor
        offset = 0 if whole or since is None else since.offset
        rows = self._execute("changes", {"tenant": tenant, "channel": channel, "since": offset})
        return Snapshot(cursor=_cursor(clock), events=[_event(row) for row in rows], floor=floor, whole=whole)

    def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """As `Broker.lookup`."""
        cursor = _cursor(self._readable_clock(tenant))
        wanted = (tenant, msgspec.json.encode(content_ids).decode())
        rows = [*self._execute("lookup_tombstones", wanted), *self._execute("lookup", wanted)]
        events = {event.content_id: event for event in map(_event, rows)}
        return Found(cursor=cursor, events=[events.get(content_id) for content_id in content_ids])

    def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        """As `Broker.offsets`."""
        clock = self._readable_clock(tenant)
        rows = self._execute("offsets", (tenant, msgspec.json.encode(channels).decode()))
        return Offsets(cursor=_cursor(clock), offsets=[row[0] for row in rows], floor=clock.floor)

    def expire(self, now: float | None) -> tuple[int, list[Announcement]]:
        """As `Broker.expire`, within a transaction."""
        now = time.time() if now is None else now
        life = self._life
        if life.swept is not None and not 0 <= now - life.swept <= SWEEP_GAP:
            life.pause += now - life.swept
        life.swept = now
        announcements: list[Announcement] = []
        for tenant, *row in self._execute("due", (now - life.pause, STALL_BATCH)).fetchall():
            event = _event(row)
            stored = self._stored(tenant, event.content_id)
            if stored is not None:
                fence = stored.fence
                verdict = Accepted(
                    attempt=fence.attempt,
                    seq=fence.seq,
                    seq_offset=fence.seq_offset,
                    run=fence.run,
                    runs=fence.runs,
                    began=fence.began,
                )
                announcements.append(self._store(tenant, stalled(event), stored, verdict, time.time()))
        ended = len(announcements)
        announcements += self._remove_ended(now)
        self._forget_tombstones(now)
        return ended, announcements

    def _over_quota(self, tenant: str, publication: Publication, stored: _Stored | None) -> Refusal | None:
        if stored is not None and publication.terminal:
            return None
        clock, limits = self._clock(tenant), self._limits
        grown = clock.bytes + len(publication.data) - (stored.size if stored else 0)
        full = stored is None and (
            clock.contents >= limits.contents
            or self._channel(tenant, publication.channel).contents >= limits.channel_contents
        )
        return Refusal.QUOTA_EXCEEDED if full or grown > limits.bytes else None

    def _stored(self, tenant: str, content_id: str) -> _Stored | None:
        row = self._execute("content", (tenant, content_id)).fetchone()
        if row is None:
            return None
        channel, attempt, run, runs, began, seq, seq_offset, phase, _, _, size, deadline = row
        fence = FenceState(
            channel=channel,
            attempt=attempt,
            run=run,
            runs=tuple(runs.split()),
            began=began,
            seq=seq,
            seq_offset=seq_offset,
            closed=Phase(phase).terminal,
        )
        return _Stored(fence, size, deadline is not None)

    def _store(
        self,
        tenant: str,
        publication: Publication,
        stored: _Stored | None,
        accepted: Accepted,
        now: float,
        retention: float | None = None,
    ) -> Announcement:
        clock = self._clock(tenant)
        channel = self._channel(tenant, publication.channel)
        prev = channel.offset
        offset = self._advance(tenant)
        event = Event(
            channel=publication.channel,
            content_id=publication.content_id,
            offset=offset,
            type=publication.type,
            data=publication.data,
        )
        if stored is None:
            clock.contents += 1
            channel.contents += 1
            if not prev:
                channel.floor = clock.floor
            key = (tenant, event.channel, event.content_id)
            channel.tombstones -= self._execute("delete_tombstone", key).rowcount
        clock.bytes += len(event.data) - (stored.size if stored else 0)
        lease = publication.lease if publication.phase is Phase.PROCESSING else None
        ends = now + (self._retention if retention is None else retention)
        self._execute(
            "store",
            (
                *(tenant, event.content_id, event.channel),
                *(accepted.attempt, accepted.run, " ".join(accepted.runs), accepted.began),
                *(accepted.seq, offset if accepted.seq_offset is None else accepted.seq_offset),
                *(publication.phase.value, offset, event.type, event.data),
                *(self._lease_time(now) + lease if lease else None, ends),
            ),
        )
        channel.offset = offset
        self._save_channel(tenant, event.channel, channel)
        return Announcement(tenant=tenant, epoch=clock.epoch, prev=prev, event=event)

    def _lease_time(self, now: float) -> float:
        """The time by which leases run. It stands still where the last sweep is long ago, or in the future."""
        swept = self._life.swept
        if swept is not None and not 0 <= now - swept <= SWEEP_GAP:
            now = swept
        return now - self._life.pause

    def _remove_ended(self, now: float) -> list[Announcement]:
        """Remove the contents whose retention has ended, and store and announce their tombstones."""
        announcements = []
        for tenant, name, content_id in self._execute("ended", (now, STALL_BATCH)).fetchall():
            stored = self._stored(tenant, content_id)
            clock, channel = self._clock(tenant), self._channel(tenant, name)
            prev = channel.offset
            event = tombstone(name, content_id, self._advance(tenant))
            self._execute("delete_content", (tenant, content_id))
            self._execute("save_tombstone", (tenant, name, content_id, event.offset, now + TOMBSTONE_SECONDS))
            clock.contents -= 1
            clock.bytes -= stored.size if stored else 0
            channel.offset = event.offset
            channel.contents -= 1
            channel.tombstones += 1
            self._save_channel(tenant, name, channel)
            announcements.append(Announcement(tenant=tenant, epoch=clock.epoch, prev=prev, event=event))
        return announcements

    def _forget_tombstones(self, now: float) -> None:
        """Forget the tombstones that are old enough, and raise the floors."""
        for tenant, name, content_id, offset in self._execute("ended_tombstones", (now, STALL_BATCH)).fetchall():
            self._execute("delete_tombstone", (tenant, name, content_id))
            channel = self._channel(tenant, name)
            channel.tombstones -= 1
            channel.floor = max(channel.floor, offset)
            if channel.contents or channel.tombstones:
                self._save_channel(tenant, name, channel)
            else:
                clock = self._clock(tenant)
                clock.floor = max(clock.floor, channel.floor)
                self._ticked.add(tenant)
                self._execute("delete_channel", (tenant, name))

    def _advance(self, tenant: str) -> int:
        clock = self._clock(tenant)
        clock.offset += 1
        self._ticked.add(tenant)
        return clock.offset

    def _channel(self, tenant: str, name: str) -> _Channel:
        row = self._execute("channel", (tenant, name)).fetchone()
        return _Channel() if row is None else _Channel(*row)

    def _save_channel(self, tenant: str, name: str, channel: _Channel) -> None:
        self._execute("save_channel", (tenant, name, *msgspec.structs.astuple(channel)))

    def _readable_clock(self, tenant: str) -> _Clock:
        """The tenant's clock; created, outside a transaction, where there is none."""
        if tenant not in self._clocks:
            with self.transaction():
                self._clock(tenant)
        return self._clocks[tenant]

    def _clock(self, tenant: str) -> _Clock:
        """The tenant's clock; created, within a transaction, where there is none."""
        clock = self._clocks.get(tenant)
        if clock is None:
            row = self._execute("clock", (tenant,)).fetchone()
            now = time.time_ns() // 1000
            # A new clock begins above every offset that was ever used.
            clock = self._clocks[tenant] = _Clock(*row) if row else _Clock(epoch_at(now), now)
            if row is None:
                self._ticked.add(tenant)
        return clock

    def _save_clocks(self) -> None:
        for tenant in self._ticked:
            self._execute("save_clock", (tenant, *msgspec.structs.astuple(self._clocks[tenant])))

    def _save_life(self) -> None:
        """Count the transaction. Without leases nothing stands still, and an idle hub need not write to its disk."""
        if self._ticked or (self._life != self._saved and self._execute("leases").fetchone()[0]):
            self._ticked.clear()
            self._life.transactions += 1
            self._execute("save_life", msgspec.structs.astuple(self._life))

    def _open_mark(self, path: Path) -> Mark:
        try:
            return Mark(path)
        except OSError as error:
            self._connection.close()
            raise ConfigError(f"the file beside {path} cannot be used: {error.strerror}", field="broker") from error

    def _begin_epochs(self) -> None:
        """The file is new here, restored or copied: offsets may have been used that it does not know."""
        self._life.name = secrets.token_hex(NAME_BYTES)
        with self.transaction():
            now = time.time_ns() // 1000
            for tenant, epoch in self._execute("epochs").fetchall():
                self._execute("set_epoch", (next_epoch(epoch, now), tenant))
            self._life.transactions += 1
            self._execute("save_life", msgspec.structs.astuple(self._life))

    def _execute(self, name: str, values: Sequence[_Value] | Mapping[str, _Value] = ()) -> sqlite3.Cursor:
        """Execute a statement of statements.sql."""
        return self._connection.execute(STATEMENTS[name], values)


def _cursor(clock: _Clock) -> Cursor:
    return Cursor(epoch=clock.epoch, offset=clock.offset)


def _event(row: Sequence[Any]) -> Event:
    channel, content_id, offset, type, data = row
    if type is None:
        return tombstone(channel, content_id, offset)
    # Interned, because many contents share them.
    return Event(channel=sys.intern(channel), content_id=content_id, offset=offset, type=sys.intern(type), data=data)
