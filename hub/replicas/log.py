"""A channel's log: the latest event of each content in the clock's order, read from any place in either direction."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

import msgspec

from statushub.hub.model import status
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import Phase
from statushub.hub.replicas.growth import Grown

HOLES: Final = 64
"""Holes that are always tolerated; beyond that, a log is at most a third holes."""

SLICE: Final = 256
"""Events copied in one go while the log is read: so reading costs what is read, not what there is."""

PHASES: Final = tuple(Phase)
_REMOVED: Final = len(PHASES)
_CODES: Final = {phase: code for code, phase in enumerate(PHASES)}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Contents of a channel, newest first, with the phase of each, where the log was counted; `next` is the offset
    below which the next page begins, None where there is none."""

    events: list[Event]
    phases: list[Phase]
    next: int | None


class Log:
    """Events, each newer than all before it. What is superseded leaves a hole, which is closed later.

    Phases are counted on demand, each event once: a hub that is not asked for them reads no data.
    """

    __slots__ = ("_codes", "_events", "_holes", "_offsets", "_totals")

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._events: list[Event | None] = []
        self._holes = 0
        # Of the first events, their phases; and how many of them are in each.
        self._codes = bytearray()
        self._totals = [0] * (len(PHASES) + 1)

    def append(self, event: Event) -> None:
        """Add an event that is newer than all others."""
        self._offsets.append(event.offset)
        self._events.append(event)

    def replace(self, former: Event, event: Event) -> None:
        """Take out an event that is in the log, and add its content's next one, which is newer than all others."""
        offsets, events, codes = self._offsets, self._events, self._codes
        place = bisect_left(offsets, former.offset)
        events[place] = None
        offsets.append(event.offset)
        events.append(event)
        if place < len(codes):
            self._totals[codes[place]] -= 1
        self._holes += 1
        if self._holes > HOLES and self._holes * 3 > len(events):
            self._close_holes()

    def discard(self, event: Event) -> None:
        """Take out an event that is in the log."""
        place = bisect_left(self._offsets, event.offset)
        self._events[place] = None
        if place < len(self._codes):
            self._totals[self._codes[place]] -= 1
        self._holes += 1

    def after(self, offset: int) -> Iterator[Event]:
        """The events with a greater offset, in offset order; the log must not change until they are read."""
        place = bisect_right(self._offsets, offset)
        while place < len(self._events):
            for event in self._events[place : place + SLICE]:
                if event is not None:
                    yield event
            place += SLICE

    def page(self, below: int | None, limit: int) -> Page:
        """At most `limit` contents that are not removed, the newest first, with offsets lower than `below`."""
        events, codes = self._events, self._codes
        place = len(events) if below is None else bisect_left(self._offsets, below)
        places: list[int] = []
        while place > 0 and len(places) <= limit:
            start = max(place - SLICE, 0)
            places += [
                at for at in range(place - 1, start - 1, -1) if (it := events[at]) is not None and not it.removed
            ]
            place = start
        shown = [it for at in places[:limit] if (it := events[at]) is not None]
        return Page(
            events=shown,
            phases=[PHASES[codes[at]] for at in places[:limit] if at < len(codes)],
            next=shown[-1].offset if len(places) > limit else None,
        )

    @property
    def uncounted(self) -> int:
        """Events whose phases have not been counted."""
        return len(self._events) - len(self._codes)

    def count(self, limit: int) -> None:
        """Count the phases of at most `limit` more events."""
        counted = len(self._codes)
        for event in self._events[counted : counted + limit]:
            code = _REMOVED if event is None or event.removed else _CODES[_phase(event)]
            self._codes.append(code)
            if event is not None:
                self._totals[code] += 1

    def totals(self) -> dict[Phase, int]:
        """How many of the counted contents are in each phase."""
        return dict(zip(PHASES, self._totals, strict=False))

    def _close_holes(self) -> None:
        if self._codes:
            counted = zip(self._codes, self._events, strict=False)
            self._codes = bytearray([code for code, event in counted if event is not None])
        kept = [event for event in self._events if event is not None]
        self._offsets = [event.offset for event in kept]
        self._events = list[Event | None](kept)
        self._holes = 0


def _phase(event: Event) -> Phase:
    # Only what is processed grows, and its data would be composed.
    return Phase.PROCESSING if type(event) is Grown else status.phase(event)
