"""The listing of a channel: what the hub has a state of, and the record's rows, merged into one order, by pages.

Both are read from the newest on. Of a content that both know its event has the place, and its row is merged into it. So
no content is on two pages, and what changes while they are read is among the changes since the first one's cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.status import Status
from statushub.hub.replicas.polls import PageRequest, Reading
from statushub.hub.sources.merge import event_moment, merged
from statushub.hub.sources.place import Place
from statushub.hub.sources.record import PAGE_ROWS, RecordReader, Totals, totals_of
from statushub.hub.sources.row import Row, position_of

READS: Final = 10
"""Most reads of the record for one page: where a thousand rows are of contents that the hub knows, a page is short."""

NO_ROWS: Final = Totals(total_processing=0, total_completed=0, total_failed=0)


class Hub(Protocol):
    """What the hub has states of."""

    async def read(self, tenant: str, channel: str, page: PageRequest, known: Cursor | None = None) -> Reading:
        """As `Polls.read`."""

    def follows(self, tenant: str, channel: str) -> bool:
        """Whether it hears the events of a channel."""

    def state(self, tenant: str, channel: str, content_id: str) -> Event | None:
        """The latest event of a channel's content; None where it has none, or is removed."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a channel, the latest first: at most as many contents as asked for, and maybe fewer before the last
    page. `next` is where the next one begins, None after the last; the rest is as in `Reading`."""

    cursor: Cursor
    contents: list[Status]
    totals: Totals
    next: Place | None
    age: float


class Listing:
    """The channels of a hub that has a record."""

    def __init__(self, hub: Hub, record: RecordReader) -> None:
        self._hub = hub
        self._record = record

    async def read(
        self, tenant: str, channel: str, place: Place, limit: int, *, counted: bool, known: Cursor | None = None
    ) -> Listed:
        """A page of at most `limit` contents, and at most `PAGE_ROWS`. `counted` asks for the totals; `known` is as
        `Polls.read` takes it. Raises what that does."""
        limit = min(limit, PAGE_ROWS)
        if not self._hub.follows(tenant, channel):
            self._record.forget(tenant, channel)
        request = PageRequest(limit=limit, after=place.after, counted=counted)
        reading = await self._hub.read(tenant, channel, request, known)
        if place.after is not None and place.after.epoch != reading.cursor.epoch:
            # A page after a void cursor is the first one.
            place = Place()
        page = _Page(self._hub, self._record, tenant, channel, place, reading)
        await page.fill(limit)
        return Listed(
            cursor=reading.cursor,
            contents=await page.contents(),
            totals=_sum(reading, await self._record.totals(tenant, channel) if counted else None),
            next=page.place,
            age=reading.age,
        )


class _Page:
    """A page while it is filled."""

    def __init__(
        self, hub: Hub, record: RecordReader, tenant: str, channel: str, place: Place, reading: Reading
    ) -> None:
        self._hub, self._record = hub, record
        self._tenant, self._channel = tenant, channel
        self._reading = reading
        self._before = place
        self._position, self._ended = place.position, place.ended
        self._away = False
        self._taken = 0
        self._entries: list[Event | Row] = []
        self._overlaid: dict[str, Row] = {}

    async def fill(self, limit: int) -> None:
        """Take events and rows, the later of the next ones first."""
        reads, rows, behind = 0, list[Row](), self._position
        while len(self._entries) < limit:
            if not rows and not (self._ended or self._away):
                if reads == READS:
                    return
                reads += 1
                page = await self._record.page(self._tenant, self._channel, self._position, PAGE_ROWS)
                if page is None:
                    self._away = True
                else:
                    rows, behind = page.rows[::-1], page.next
                    if not rows:
                        self._position, self._ended = behind or self._position, behind is None
                continue
            if not rows or self._hub.state(self._tenant, self._channel, rows[-1].id) is None:
                event = self._next_event()
                if event is not None and (not rows or event_moment(event) >= rows[-1].moment):
                    self._entries.append(event)
                    self._taken += 1
                    continue
                if not rows:
                    return
                self._entries.append(rows[-1])
            else:
                self._overlaid[rows[-1].id] = rows[-1]
            row = rows.pop()
            self._position = position_of(row.status.data)
            if not rows:
                self._position, self._ended = behind or self._position, behind is None

    async def contents(self) -> list[Status]:
        """What is on the page, each with its row."""
        left = [it.content_id for it in self._entries if isinstance(it, Event) and it.content_id not in self._overlaid]
        if left and not self._away:
            found = await self._record.find(self._tenant, left)
            self._overlaid.update({row.id: row for row in found if row is not None})
        return [
            merged(self._overlaid.get(it.content_id), it) if isinstance(it, Event) else merged(it, None)
            for it in self._entries
        ]

    @property
    def place(self) -> Place | None:
        """Where the next page begins."""
        events, epoch = self._reading.events, self._reading.cursor.epoch
        all_taken = self._taken == len(events) and self._reading.next is None
        if all_taken and (self._ended or self._away):
            return None
        cursor = self._before.cursor
        if all_taken:
            cursor = str(Cursor(epoch=epoch, offset=0))
        elif self._taken:
            cursor = str(Cursor(epoch=epoch, offset=events[self._taken - 1].offset))
        return Place(cursor=cursor, position=self._position, ended=self._ended)

    def _next_event(self) -> Event | None:
        events: Sequence[Event] = self._reading.events
        return events[self._taken] if self._taken < len(events) else None


def _sum(reading: Reading, recorded: Totals | None) -> Totals:
    known, live = recorded or NO_ROWS, totals_of(reading.totals)
    return Totals(
        total_processing=known.total_processing + live.total_processing,
        total_completed=known.total_completed + live.total_completed,
        total_failed=known.total_failed + live.total_failed,
    )
