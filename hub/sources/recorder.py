"""The recorder: writes states of the hub back into the record.

Each round reads what each tenant's clock has since the last one, and writes it. Nothing is queued: what is to be
written is what the broker has, also after the hub was killed or the database was away. No call waits for it.

Marks follow some seconds later, and a hub goes back to them where the database was away: it may have lost what it wrote
last. What it has not lost is found to be there already.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Protocol, Self

import anyio
import anyio.lowlevel
from cachetools import LRUCache

from statushub.hub.brokers.contract import PAGE_CHANNELS, ChannelPage, Found, Offsets, Snapshot
from statushub.hub.metrics import Writes
from statushub.hub.model import status
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Event
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.states import Outcome, RecordWriter, State, state_of
from statushub.hub.sources.term import Ended, Term
from statushub.hub.sources.term import Store as TermStore

BATCH: Final = 100
"""Contents that are written in one transaction: some tens of milliseconds of the database."""

STEP: Final = 500
"""Events that are looked at before others have the event loop: a millisecond."""

SETTLED: Final = 20_000
"""Contents of which is known that their latest state was written: rounds meet some of them twice."""

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0
"""The first and the longest pause after the database did not take a batch."""

SURE_SECONDS: Final = 10.0
"""After which what was written is counted on: databases that do not wait for their disks, or for their replicas, lose
what they wrote in the last seconds before a crash."""

OWN_TENANTS: Final = "."
"""What the names of the hubs' own tenants begin with."""

logger = logging.getLogger(__name__)

Written = Callable[[str, Sequence[State]], None]
"""Is told which states of a tenant were written."""


class Store(TermStore, Protocol):
    """What the hub has states of: a broker."""

    async def tenants(self) -> list[str]:
        """As `Broker.tenants`."""

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        """As `Broker.offsets`."""

    async def channels(self, tenant: str, *, after: str | None, since: int, limit: int) -> ChannelPage:
        """As `Broker.channels`, the latest first."""

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        """As `Broker.changes`."""

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        """As `Broker.lookup`."""


class Recorder:
    """Writes what happens at a broker into a record, where no other hub does. An async context manager, which opens and
    closes what writes."""

    writes: Writes

    def __init__(
        self,
        store: Store,
        writer: RecordWriter,
        *,
        everything: bool,
        shared: bool,
        interval: float,
        written: Written | None = None,
    ) -> None:
        """With `everything` all states are written, the latest of each round; otherwise endings. `shared` is as in
        `Broker`, and a round begins every `interval` seconds."""
        self.writes = Writes()
        self._store = store
        self._writer = writer
        self._everything = everything
        self._interval = interval
        self._written = written
        self._term = Term(store, shared=shared, interval=interval)
        # How far each tenant was written, and when; the first of these are yet to become marks.
        self._reached: dict[str, deque[tuple[float, Cursor]]] = {}
        # How often the database was lost, and how many states it has left to the next round.
        self._losses = self._left = 0
        self._settled: LRUCache[tuple[str, str], tuple[str, int]] = LRUCache(SETTLED)
        self._backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._away = False
        # When the round began after which nothing was left, or the term.
        self._current_at = self._measured_at = time.monotonic()

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._writer.__aexit__(kind, error, trace)

    async def run(self) -> None:
        """Write until cancelled. Raises nothing."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._term.run)
            while True:
                began = time.monotonic()
                await self._round()
                await anyio.sleep(max(began + self._interval - time.monotonic(), 0))

    async def _round(self) -> None:
        if not self._term.held:
            self._reached.clear()
            self._current_at = time.monotonic()
            self._measure(0)
            return
        try:
            began, left = time.monotonic(), self._left
            for tenant in await self._tenants():
                await self._record(tenant)
        except BrokerUnavailable as error:
            logger.debug("the record waits for the broker: %s", error.message)
        except Ended:
            self._reached.clear()
            logger.info("another hub writes the record now")
        except Exception:
            logger.exception("the record cannot be written; retrying")
        else:
            if left == self._left:
                self._current_at = began
            self._measure(self._left - left)

    async def _tenants(self) -> Sequence[str]:
        if self._writer.tenants is not None:
            return self._writer.tenants
        return [tenant for tenant in await self._store.tenants() if not tenant.startswith(OWN_TENANTS)]

    async def _since(self, tenant: str) -> tuple[Cursor, int]:
        """The tenant's clock, and the offset on it up to which the record has everything; 0 where nothing is known."""
        clock = (await self._store.offsets(tenant, [])).cursor
        reached = self._reached.get(tenant)
        mark = reached[-1][1] if reached else await self._term.mark(tenant)
        known = mark is not None and mark.epoch == clock.epoch and mark.offset <= clock.offset
        return clock, mark.offset if mark is not None and known else 0

    async def _record(self, tenant: str) -> None:
        """Write what a tenant has since its mark."""
        await self._move_mark(tenant)
        clock, since = await self._since(tenant)
        if clock.offset == since:
            return
        before = self._losses, self._left
        after, place = None, Cursor(epoch=clock.epoch, offset=since) if since else None
        first: Cursor | None = None
        while first is None or after is not None:
            page = await self._store.channels(tenant, after=after, since=since, limit=PAGE_CHANNELS)
            # What comes later than the first page was read is left to the next round.
            first = first or page.cursor
            if page.cursor.epoch != first.epoch:
                return
            for entry in page.entries:
                snapshot = await self._store.changes(tenant, entry.channel, place)
                await self._write_all(tenant, snapshot)
            after = page.next
        if before == (self._losses, self._left):
            self._reached.setdefault(tenant, deque()).append((time.monotonic(), first))

    async def _move_mark(self, tenant: str) -> None:
        """Let the mark follow to where the database has surely been written."""
        reached, mark = self._reached.get(tenant), None
        while reached and reached[0][0] < time.monotonic() - SURE_SECONDS:
            mark = reached[0][1]
            if len(reached) == 1:
                # It stays: the next round begins there.
                break
            reached.popleft()
        if mark is None or mark == await self._term.mark(tenant):
            return
        if await self._is_still_there():
            self._term.check()
            await self._term.save(tenant, mark)
        else:
            self._lost()

    async def _is_still_there(self) -> bool:
        """Whether the database has not gone since it was written last."""
        losses = self._writer.losses
        try:
            await self._writer.ping()
        except SourceUnavailable:
            return False
        return losses == self._writer.losses

    def _lost(self) -> None:
        """The database may have lost what was written last: begin again at the marks."""
        self._losses += 1
        self._reached.clear()
        self._settled.clear()

    async def _write_all(self, tenant: str, snapshot: Snapshot) -> None:
        epoch, batch = snapshot.cursor.epoch, list[Event]()
        for start in range(0, len(snapshot.events), STEP):
            batch += self._wanted(tenant, epoch, snapshot.events[start : start + STEP])
            while len(batch) >= BATCH:
                await self._write(tenant, epoch, batch[:BATCH])
                del batch[:BATCH]
            await anyio.lowlevel.checkpoint()
        if batch:
            await self._write(tenant, epoch, batch)

    def _wanted(self, tenant: str, epoch: str, events: Iterable[Event]) -> list[Event]:
        """Those that are to be written."""
        return [
            event
            for event in events
            if not event.removed
            and (self._everything or status.phase(event).terminal)
            and self._settled.get((tenant, event.content_id)) != (epoch, event.offset)
        ]

    async def _write(self, tenant: str, epoch: str, events: Sequence[Event]) -> None:
        """Write these, once the database takes them."""
        while events:
            self._term.check()
            states, began = [state_of(event, datetime.now(UTC)) for event in events], time.monotonic()
            losses = self._writer.losses
            try:
                outcomes = await self._writer.write(tenant, states)
            except SourceUnavailable as error:
                self._lost()
                await self._wait(error.message)
                # What was to be written may be outdated by then.
                found = await self._store.lookup(tenant, [event.content_id for event in events])
                channel, epoch = events[0].channel, found.cursor.epoch
                events = self._wanted(tenant, epoch, [it for it in found.events if it and it.channel == channel])
                continue
            if losses != self._writer.losses:
                self._lost()
            self.writes.seconds.observe(time.monotonic() - began)
            self.writes.results.update(outcomes)
            for event, outcome in zip(events, outcomes, strict=True):
                if outcome is Outcome.LOCKED:
                    self._left += 1
                else:
                    self._settled[tenant, event.content_id] = epoch, event.offset
            if self._written is not None and Outcome.WRITTEN in outcomes:
                self._written(tenant, states)
            self._came_back()
            if time.monotonic() - self._measured_at > LONGEST_PAUSE_SECONDS:
                # A first round may take minutes.
                self._measure(await self._pending())
            return

    async def _wait(self, reason: str) -> None:
        self.writes.failures += 1
        if not self._away:
            self._away = True
            logger.warning("the record is not written until the database takes it: %s", reason)
        self._measure(await self._pending())
        await anyio.sleep(self._backoff.next())

    def _came_back(self) -> None:
        self._backoff.reset()
        if self._away:
            self._away = False
            logger.info("%s: the record is written again", self._writer.where)

    async def _pending(self) -> int:
        """How many events of all tenants may not be in the record; of a tenant without a mark, how many contents."""
        pending = 0
        for tenant in await self._tenants():
            clock, since = await self._since(tenant)
            if since:
                pending += clock.offset - since
            else:
                page = await self._store.channels(tenant, after=None, since=0, limit=PAGE_CHANNELS)
                pending += sum(
                    entry.pending + entry.processing + entry.completed + entry.failed + entry.idle
                    for entry in page.entries
                )
        return pending

    def _measure(self, pending: int) -> None:
        self._measured_at = time.monotonic()
        self.writes.pending = pending
        self.writes.behind = time.monotonic() - self._current_at if pending else 0.0
