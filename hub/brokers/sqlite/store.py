"""The embedded broker's state: one SQLite connection, used by one thread. Every method blocks."""

from __future__ import annotations

import secrets
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from statushub.hub.brokers.contract import (
    CANCEL_GRACE,
    CANCEL_LEASE,
    LISTED_CANCELS,
    STALL_BATCH,
    SWEEP_GAP,
    TOMBSTONE_SECONDS,
    Cancel,
    Cancels,
    ChannelPage,
    Endings,
    Found,
    Offsets,
    Removal,
    Snapshot,
)
from statushub.hub.brokers.fence import Accepted, RemovedState, Repeat, evaluate, evaluate_removed
from statushub.hub.brokers.growth import Growth, names_of, records_of
from statushub.hub.brokers.listing import Listing
from statushub.hub.brokers.sqlite import index
from statushub.hub.brokers.sqlite.channels import ChannelRows
from statushub.hub.brokers.sqlite.contents import ContentRows, KeptCancel, Stored, Times
from statushub.hub.brokers.sqlite.file import open_file
from statushub.hub.brokers.sqlite.growth import GrowthRows
from statushub.hub.brokers.sqlite.journal import Journal
from statushub.hub.brokers.sqlite.mark import Mark
from statushub.hub.brokers.sqlite.sql import STATEMENTS, Values
from statushub.hub.model.cancel import CancelRequest, composed, decode, encode
from statushub.hub.model.cursor import Cursor, epoch_at, next_epoch
from statushub.hub.model.delta import Delta
from statushub.hub.model.errors import ConfigError
from statushub.hub.model.event import Announcement, Event, tombstone
from statushub.hub.model.limits import StorageLimits
from statushub.hub.model.publication import Publication, cancelled, stalled
from statushub.hub.model.receipt import CancelReceipt, CancelRefusal, Receipt, Refusal
from statushub.hub.model.vocabulary import Phase

NAME_BYTES: Final = 8
"""Of the random name of a file's life: enough that no two files share one."""

LISTED_CONTENTS: Final = 1_000
"""Contents of one read of a channel's ids: a millisecond, for which other calls wait."""


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


class Store:
    """The state in the file at `path`, or only in memory for None; `retention` and `default_lease` in seconds.

    Opening raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used. All
    methods raise `sqlite3.Error` where the disk fails.
    """

    def __init__(
        self,
        path: Path | None,
        retention: float,
        limits: StorageLimits = StorageLimits(),
        default_lease: float = 0.0,
    ) -> None:
        self._retention = retention
        self._default_lease = default_lease
        self._limits = limits
        self._connection = open_file(path)
        self._rows = GrowthRows(self._execute)
        self._journal = Journal(self._execute)
        self._channels = ChannelRows(self._execute, self._journal)
        self._contents = ContentRows(self._execute, self._journal)
        self._clocks: dict[str, _Clock] = {}
        self._ticked: set[str] = set()
        self._mark = None if path is None else self._open_mark(path)
        row = self._execute("life").fetchone()
        self._life = _Life(secrets.token_hex(NAME_BYTES)) if row is None else _Life(*row)
        self._saved = msgspec.structs.replace(self._life)
        self._journal.recover()
        if self._mark is not None and not self._mark.proves(self._life.name, self._life.transactions):
            self._begin_epochs()

    def close(self) -> None:
        """Close the file, which writes its log back into it and releases the lock."""
        with suppress(sqlite3.Error), self._folded():  # the next to open it finds the journal
            pass
        self._connection.close()
        if self._mark is not None:
            self._mark.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything written within is on disk when this ends, and nothing of it when this raises."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._journal.begin()
            yield
            self._channels.flush()
            self._journal.flush()
            self._save_clocks()
            self._save_life()
            self._connection.execute("COMMIT")
        except BaseException:
            # What is in memory may be ahead of what is on disk.
            self._clocks.clear()
            self._ticked.clear()
            self._channels.forget()
            self._contents.forget()
            self._journal.undone(forgotten=True)
            self._life = msgspec.structs.replace(self._saved)
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._journal.committed()
        self._saved = msgspec.structs.replace(self._life)
        if self._mark is not None:
            self._mark.write(self._life.name, self._life.transactions)

    @contextmanager
    def _folded(self) -> Iterator[None]:
        """Within, all rows are as the journal says."""
        if self._connection.in_transaction:
            self._journal.fold()
            yield
        elif self._journal.holds:
            with self._folding():
                yield
        else:
            yield

    @contextmanager
    def _folding(self) -> Iterator[None]:
        """Fold the journal in a transaction of its own. Where the disk is full that holds only within: reads go on."""
        # The journal is on disk, and so no read waits for the disk; a later commit takes this one along.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._journal.fold()
            yield
            with suppress(sqlite3.Error):  # the disk is full; the next read folds again
                self._connection.execute("COMMIT")
                self._journal.committed()
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._journal.undone(forgotten=False)
            self._connection.execute("PRAGMA synchronous = FULL")

    def publish(
        self, tenant: str, publications: Sequence[Publication], retention: float | None = None
    ) -> tuple[list[Receipt], list[Announcement]]:
        """Fence and store each publication, within a transaction."""
        receipts: list[Receipt] = []
        announcements: list[Announcement] = []
        clock, now = self._clock(tenant), time.time()
        clock.now = max(clock.now, int(now * 1000))
        for publication in publications:
            stored = self._contents.find(tenant, publication.content_id)
            removed = None if stored else self._removed(tenant, publication.content_id)
            verdict: Accepted | Repeat | Refusal
            if removed is None:
                verdict = evaluate(stored.fence if stored else None, publication, clock.now)
            else:
                verdict = evaluate_removed(removed, publication, clock.now)
            if isinstance(verdict, Accepted):
                outcome = self._take(tenant, publication, stored, verdict, now, retention)
                if isinstance(outcome, Refusal):
                    verdict = outcome
                else:
                    announcements.append(outcome)
            if isinstance(verdict, Refusal):
                receipts.append(_refused(verdict, stored))
                continue
            offset = verdict.offset if isinstance(verdict, Repeat) else clock.offset
            cursor = Cursor(epoch=clock.epoch, offset=offset)
            kept = _kept(stored, verdict.attempt, publication)
            cancel = None if kept is None else decode(kept.request)
            receipts.append(Receipt(cursor=cursor, attempt=verdict.attempt, cancel=cancel))
        return receipts, announcements

    def remove(self, tenant: str, channel: str, content_ids: Sequence[str]) -> tuple[Removal, list[Announcement]]:
        """As `Broker.remove`, within a transaction."""
        announcements: list[Announcement] = []
        clock, now = self._clock(tenant), time.time()
        clock.now = max(clock.now, int(now * 1000))
        self._ticked.add(tenant)
        for content_id in dict.fromkeys(content_ids):
            stored = self._contents.find(tenant, content_id)
            if stored is None or stored.fence.channel != channel:
                continue
            announcements.append(self._bury(tenant, channel, content_id, stored, now))
            fence = stored.fence
            kept = (fence.attempt, fence.seq, fence.run, " ".join(fence.runs), clock.now)
            self._execute("save_removal", (tenant, content_id, clock.offset, *kept))
        removed = [announcement.event.content_id for announcement in announcements]
        return Removal(cursor=_cursor(clock), removed=removed), announcements

    def cancel(
        self, tenant: str, channel: str, content_id: str, request: CancelRequest
    ) -> tuple[CancelReceipt, list[Announcement]]:
        """As `Broker.cancel`, within a transaction."""
        stored, clock = self._contents.find(tenant, content_id), self._clock(tenant)
        if stored is None or stored.fence.channel != channel:
            return CancelReceipt(reason=CancelRefusal.UNKNOWN), []
        if stored.fence.closed:
            return CancelReceipt(reason=CancelRefusal.ENDED), []
        if stored.cancel is not None:
            cursor = Cursor(epoch=clock.epoch, offset=stored.cancel.offset)
            return CancelReceipt(cursor=cursor, request=decode(stored.cancel.request)), []
        held, now = self._channels.find(tenant, channel), time.time()
        prev, offset = held.offset, self._advance(tenant)
        lease = CANCEL_LEASE if stored.lease is None else min(stored.lease, CANCEL_LEASE)
        deadline = self._lease_time(now) + lease + CANCEL_GRACE
        self._contents.cancel(tenant, content_id, KeptCancel(encode(request), offset, deadline))
        held.enter(offset, now, None, None)
        self._channels.save(tenant, channel, held)
        [event] = self.lookup(tenant, [content_id]).events
        if event is None:
            raise RuntimeError(f"{content_id!r} is not stored")
        return CancelReceipt(cursor=_cursor(clock), request=request), [_announcement(tenant, clock, prev, event)]

    def cancels(self, tenant: str) -> Cancels:
        """As `Broker.cancels`."""
        # The journal holds no content that is to be cancelled.
        cursor = _cursor(self._readable_clock(tenant))
        found: list[Cancel] = []
        for channel, content_id, attempt, offset, data in self._execute("cancels", (tenant, LISTED_CANCELS)):
            if (request := decode(data)) is not None:
                found.append(
                    Cancel(channel=channel, content_id=content_id, attempt=attempt, offset=offset, request=request)
                )
        return Cancels(cursor=cursor, cancels=found)

    def listed(self, tenant: str, channel: str, after: int) -> list[tuple[str, int]]:
        """The next contents of the channel with offsets over `after`, with their offsets."""
        with self._folded():
            return self._execute("listed", (tenant, channel, after, LISTED_CONTENTS)).fetchall()

    def changes(self, tenant: str, channel: str, since: Cursor | None) -> Snapshot:
        """As `Broker.changes`."""
        clock = self._readable_clock(tenant)
        with self._folded():
            held = self._channels.find(tenant, channel)
            floor = held.floor if held.offset else clock.floor
            whole = since is None or since.epoch != clock.epoch or since.offset < floor
            offset = 0 if whole or since is None else since.offset
            rows = self._execute("changes", {"tenant": tenant, "channel": channel, "since": offset})
            events = [self._event(tenant, row) for row in rows]
        return Snapshot(cursor=_cursor(clock), events=events, floor=floor, whole=whole)

    def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """As `Broker.lookup`."""
        cursor = _cursor(self._readable_clock(tenant))
        wanted = (tenant, msgspec.json.encode(content_ids).decode())
        with self._folded():
            rows = [*self._execute("lookup_tombstones", wanted), *self._execute("lookup", wanted)]
            events = {event.content_id: event for event in [self._event(tenant, row) for row in rows]}
        return Found(cursor=cursor, events=[events.get(content_id) for content_id in content_ids])

    def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        """As `Broker.offsets`."""
        clock = self._readable_clock(tenant)
        if not channels:
            return Offsets(cursor=_cursor(clock), offsets=[], floor=clock.floor)
        with self._folded():
            rows = self._execute("offsets", (tenant, msgspec.json.encode(channels).decode())).fetchall()
        return Offsets(cursor=_cursor(clock), offsets=[row[0] for row in rows], floor=clock.floor)

    def tenants(self) -> list[str]:
        """As `Broker.tenants`."""
        return [tenant for tenant, _ in self._execute("epochs")]

    def channels(self, tenant: str, listing: Listing) -> ChannelPage:
        """As `Broker.channels`."""
        clock = self._readable_clock(tenant)
        with self._folded():
            rows: list[index.Row] = self._execute(*index.statement(tenant, listing)).fetchall()
        taken, next = listing.cut(rows)
        return ChannelPage(cursor=_cursor(clock), entries=index.entries(taken), next=next)

    def expire(self, now: float | None) -> tuple[Endings, list[Announcement]]:
        """As `Broker.expire`, within a transaction; tells what it ended."""
        now = time.time() if now is None else now
        life = self._life
        if life.swept is not None and not 0 <= now - life.swept <= SWEEP_GAP:
            life.pause += now - life.swept
        life.swept = now
        lease_time = now - life.pause
        if self._journal.overdue(lease_time, now) or self._execute("overdue", (lease_time, now)).fetchone()[0]:
            self._journal.fold()
        announcements: list[Announcement] = []
        endings = Endings()
        for name, ending in (("due", stalled), ("cancelled", cancelled)):
            for tenant, *row in self._execute(name, (lease_time, STALL_BATCH)).fetchall():
                event = self._event(tenant, row)
                announcements.append(self._end(tenant, ending(event), now))
            if ending is stalled:
                endings.stalled = len(announcements)
        endings.cancelled = len(announcements) - endings.stalled
        announcements += self._remove_ended(now)
        self._forget_tombstones(now)
        return endings, announcements

    def _removed(self, tenant: str, content_id: str) -> RemovedState | None:
        row = self._execute("removal", (tenant, content_id)).fetchone()
        if row is None:
            return None
        attempt, seq, run, runs, removed = row
        return RemovedState(attempt=attempt, seq=seq, run=run, runs=tuple(runs.split()), removed=removed)

    def _end(self, tenant: str, ending: Publication, now: float) -> Announcement:
        """End a stored content; the rest of its fence is unchanged."""
        stored = self._contents.find(tenant, ending.content_id)
        if stored is None:
            raise RuntimeError(f"{ending.content_id!r} is not stored")
        fence = stored.fence
        verdict = Accepted(
            attempt=fence.attempt,
            seq=fence.seq,
            seq_offset=fence.seq_offset,
            run=fence.run,
            runs=fence.runs,
            began=fence.began,
        )
        return self._store(tenant, ending, stored, verdict, now)

    def _take(
        self,
        tenant: str,
        publication: Publication,
        stored: Stored | None,
        accepted: Accepted,
        now: float,
        retention: float | None,
    ) -> Announcement | Refusal:
        """Store what the fence has accepted, within the limits."""
        if publication.delta is not None and stored is not None:
            return self._grow(tenant, publication, publication.delta, stored, accepted, now, retention)
        refusal = self._over_quota(tenant, publication, stored)
        return refusal or self._store(tenant, publication, stored, accepted, now, retention)

    def _grow(
        self,
        tenant: str,
        publication: Publication,
        delta: Delta,
        stored: Stored,
        accepted: Accepted,
        now: float,
        retention: float | None,
    ) -> Announcement | Refusal:
        """Store a delta: what it costs does not depend on how far the content has grown."""
        growth, records = stored.growth or Growth(), records_of(delta)
        grown = growth.by(records)
        if grown is None:
            return Refusal.TOO_LARGE
        after, change = grown
        clock = self._clock(tenant)
        if clock.bytes + after.size - growth.size > self._limits.bytes:
            return Refusal.QUOTA_EXCEEDED
        channel, content_id = self._channels.find(tenant, publication.channel), publication.content_id
        prev, offset = channel.offset, self._advance(tenant)
        clock.bytes += after.size - growth.size
        self._contents.grow(tenant, content_id, accepted, offset, self._times(publication, now, retention), after)
        self._rows.grow(tenant, content_id, offset, change, records)
        channel.enter(offset, now, None, None)
        self._channels.save(tenant, publication.channel, channel)
        event = Event(
            channel=publication.channel,
            content_id=content_id,
            offset=offset,
            type=publication.type,
            data=publication.data,
            after=stored.offset,
        )
        return _announcement(tenant, clock, prev, event)

    def _over_quota(self, tenant: str, publication: Publication, stored: Stored | None) -> Refusal | None:
        if stored is not None and publication.terminal:
            return None
        clock, limits = self._clock(tenant), self._limits
        grown = clock.bytes + len(publication.data) - (stored.size if stored else 0)
        full = stored is None and (
            clock.contents >= limits.contents
            or self._channels.find(tenant, publication.channel).contents >= limits.channel_contents
        )
        return Refusal.QUOTA_EXCEEDED if full or grown > limits.bytes else None

    def _store(
        self,
        tenant: str,
        publication: Publication,
        stored: Stored | None,
        accepted: Accepted,
        now: float,
        retention: float | None = None,
    ) -> Announcement:
        clock = self._clock(tenant)
        channel = self._channels.find(tenant, publication.channel)
        prev = channel.offset
        offset = self._advance(tenant)
        kept = _kept(stored, accepted.attempt, publication)
        growth = self._left(tenant, publication, stored, accepted, offset)
        data = publication.data
        if growth is not None:
            data = self._rows.state(tenant, publication.content_id, data)
        event = Event(
            channel=publication.channel,
            content_id=publication.content_id,
            offset=offset,
            type=publication.type,
            data=data if kept is None else composed(data, kept.request),
        )
        if stored is None:
            clock.contents += 1
            if not prev:
                channel.floor = clock.floor
            key = (tenant, event.channel, event.content_id)
            channel.tombstones -= self._execute("delete_tombstone", key).rowcount
            self._execute("delete_removal", (tenant, event.content_id))
        clock.bytes += len(publication.data) + (growth.size if growth else 0) - (stored.size if stored else 0)
        times = self._times(publication, now, retention)
        self._contents.write(tenant, publication, accepted, offset, times, before=stored, growth=growth, cancel=kept)
        channel.enter(offset, now, stored.phase if stored else None, publication.phase)
        self._channels.save(tenant, event.channel, channel)
        return _announcement(tenant, clock, prev, event)

    def _left(
        self, tenant: str, publication: Publication, stored: Stored | None, accepted: Accepted, offset: int
    ) -> Growth | None:
        """What a whole event, which is not yet stored, leaves of how the content has grown."""
        if stored is None or stored.growth is None:
            return None
        if accepted.attempt != stored.fence.attempt:
            self._rows.clear(tenant, publication.content_id)
            return None
        named = names_of(publication.data)
        return self._rows.keep(tenant, publication.content_id, offset, stored.growth, named)

    def _event(self, tenant: str, row: Sequence[Any]) -> Event:
        channel, content_id, offset, type, data, grown, cancel = row
        if type is None:
            return tombstone(channel, content_id, offset)
        if grown is not None:
            data = self._rows.state(tenant, content_id, data)
        if cancel is not None:
            data = composed(data, cancel)
        # Interned, because many contents share them.
        return Event(
            channel=sys.intern(channel), content_id=content_id, offset=offset, type=sys.intern(type), data=data
        )

    def _times(self, publication: Publication, now: float, retention: float | None) -> Times:
        """Until when an event holds that comes now."""
        ends = now + (self._retention if retention is None else retention)
        lease = self._default_lease if publication.lease is None else publication.lease
        if publication.phase is not Phase.PROCESSING or not lease:
            return Times(ends, None, None)
        return Times(ends, lease, self._lease_time(now) + lease)

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
            announcements.append(self._bury(tenant, name, content_id, self._contents.find(tenant, content_id), now))
        return announcements

    def _bury(self, tenant: str, name: str, content_id: str, stored: Stored | None, now: float) -> Announcement:
        """Put a tombstone in the content's place."""
        clock, channel = self._clock(tenant), self._channels.find(tenant, name)
        prev = channel.offset
        event = tombstone(name, content_id, self._advance(tenant))
        self._contents.delete(tenant, content_id)
        if stored is not None and stored.growth is not None:
            self._rows.clear(tenant, content_id)
        self._execute("save_tombstone", (tenant, name, content_id, event.offset, now + TOMBSTONE_SECONDS))
        clock.contents -= 1
        clock.bytes -= stored.size if stored else 0
        channel.enter(event.offset, now, stored.phase if stored else None, None)
        channel.tombstones += 1
        self._channels.save(tenant, name, channel)
        return _announcement(tenant, clock, prev, event)

    def _forget_tombstones(self, now: float) -> None:
        """Forget the tombstones that are old enough, and raise the floors."""
        for tenant, name, content_id, offset in self._execute("ended_tombstones", (now, STALL_BATCH)).fetchall():
            self._execute("delete_tombstone", (tenant, name, content_id))
            self._execute("forget_removal", (tenant, content_id, offset))
            channel = self._channels.find(tenant, name)
            channel.tombstones -= 1
            channel.floor = max(channel.floor, offset)
            if channel.contents or channel.tombstones:
                self._channels.save(tenant, name, channel)
            else:
                clock = self._clock(tenant)
                clock.floor = max(clock.floor, channel.floor)
                self._ticked.add(tenant)
                self._channels.delete(tenant, name)

    def _advance(self, tenant: str) -> int:
        clock = self._clock(tenant)
        clock.offset += 1
        self._ticked.add(tenant)
        return clock.offset

    def _readable_clock(self, tenant: str) -> _Clock:
        """The tenant's clock; created, outside a transaction, where there is none."""
        clock = self._known_clock(tenant)
        if clock is not None:
            return clock
        with self.transaction():
            self._clock(tenant)
        return self._clocks[tenant]

    def _clock(self, tenant: str) -> _Clock:
        """The tenant's clock; created, within a transaction, where there is none."""
        clock = self._known_clock(tenant)
        if clock is None:
            now = time.time_ns() // 1000
            # A new clock begins above every offset that was ever used.
            clock = self._clocks[tenant] = _Clock(epoch_at(now), now)
            self._ticked.add(tenant)
        return clock

    def _known_clock(self, tenant: str) -> _Clock | None:
        clock = self._clocks.get(tenant)
        if clock is None and (row := self._execute("clock", (tenant,)).fetchone()) is not None:
            clock = self._clocks[tenant] = _Clock(*row)
        return clock

    def _save_clocks(self) -> None:
        for tenant in self._ticked:
            self._execute("save_clock", (tenant, *msgspec.structs.astuple(self._clocks[tenant])))

    def _save_life(self) -> None:
        """Count the transaction. Without leases nothing stands still, and an idle hub need not write to its disk."""
        if self._ticked or (self._life != self._saved and self._leased()):
            self._ticked.clear()
            self._life.transactions += 1
            self._execute("save_life", msgspec.structs.astuple(self._life))

    def _leased(self) -> bool:
        """Whether any content has a lease, or is to be cancelled."""
        if self._journal.leased:
            return True
        if not self._execute("leases").fetchone()[0]:
            return False
        self._journal.fold()  # a lease that is over may still be in a row
        return bool(self._execute("leases").fetchone()[0])

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

    def _execute(self, name: str, values: Values = ()) -> sqlite3.Cursor:
        """Execute a statement of statements.sql."""
        return self._connection.execute(STATEMENTS[name], values)


def _cursor(clock: _Clock) -> Cursor:
    return Cursor(epoch=clock.epoch, offset=clock.offset)


def _announcement(tenant: str, clock: _Clock, prev: int, event: Event) -> Announcement:
    """Of the event to which the clock has just advanced, from the offset before."""
    return Announcement(
        tenant=tenant, epoch=clock.epoch, prev=prev, event=event, before=event.offset - 1, floor=clock.floor
    )


def _kept(stored: Stored | None, attempt: int, publication: Publication) -> KeptCancel | None:
    """The request to cancel that stays in force with this publication of the attempt."""
    if stored is None or stored.cancel is None or attempt != stored.fence.attempt or publication.terminal:
        return None
    return stored.cancel


def _refused(reason: Refusal, stored: Stored | None) -> Receipt:
    if stored is None:
        return Receipt(reason=reason)
    return Receipt(
        reason=reason,
        channel=stored.fence.channel if reason is Refusal.WRONG_CHANNEL else None,
        seq=stored.fence.seq if reason is Refusal.GAP else None,
    )
