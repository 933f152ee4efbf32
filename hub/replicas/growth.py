"""Growths: contents that grow by deltas, kept in parts.

A delta costs its own bytes. The whole state is composed for those that read it, once for all of them, and is kept only
as long as one of them has it. A reader who stands at one of the last moments of the content gets what came since.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from statushub.hub.model import delta
from statushub.hub.model.delta import Delta
from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event
from statushub.hub.model.growing import Growing, Mark
from statushub.hub.model.vocabulary import CONTENT_DELTA

MARKS: Final = 64
"""Moments of a content that are remembered: at 20 deltas a second those of three seconds, in which most broken streams
are resumed. Each takes some 300 bytes."""


_TIME: Final = re.compile(rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"')
_SECOND: Final = len('"2025-07-31T13:00:00')


class DeltaEvent(Event, frozen=True, kw_only=True, gc=False):
    """The event that announces a delta, with the delta that its data are."""

    change: Delta


class Composed(Event, frozen=True, kw_only=True, gc=True, weakref=True):
    """The whole state of a content that grows, as it was at one moment."""


class Grown(Event, frozen=True, kw_only=True, gc=False):
    """The latest event of a content that grows, which `said` announced. Its `data` are composed at each access."""

    growth: Growth
    said: Event

    @property  # type: ignore[misc]  # mypy knows fields that only other fields replace
    def data(self) -> bytes:
        return self.growth.data

    def whole(self) -> Event:
        """The event with its data, for a reader that keeps it."""
        return self.growth.whole()


class Growth:
    """A content as deltas make it from the event `base`. `offset` is that of the last one."""

    __slots__ = ("_about", "_composed", "_marks", "_merged", "_state", "offset")

    def __init__(self, base: Event) -> None:
        self.offset = base.offset
        self._about = replace(base, data=b"")
        self._state = Growing(base.data)
        # In their order.
        self._marks: dict[int, Mark] = {base.offset: self._state.mark()}
        # By the offset of the mark from which they lead here.
        self._merged: dict[int, Event] = {}
        self._composed: weakref.ref[Event] | None = None

    @property
    def size(self) -> int:
        """The bytes of the whole state, about."""
        return self._state.size

    @property
    def data(self) -> bytes:
        """The whole state."""
        return self._state.data()

    def grow(self, said: Event) -> Grown:
        """Take in a delta that follows. Raises `Invalid` where its data are none."""
        change = _delta_of(said)
        # Every reader has a state of this second by now, and another time would be a fifth of the frame.
        if _same_second(self._state.moment, change.moment):
            untimed = change.untimed()
            said = _with_delta(said, delta.encode(said.content_id, untimed), untimed)
        self._state.apply(change)
        self.offset = said.offset
        self._merged.clear()
        self._composed = None
        self._marks[said.offset] = self._state.mark()
        if len(self._marks) > MARKS:
            del self._marks[next(iter(self._marks))]
        about = self._about
        return Grown(
            channel=about.channel,
            content_id=about.content_id,
            offset=said.offset,
            type=about.type,
            data=b"",
            growth=self,
            said=said,
        )

    def whole(self) -> Event:
        """The event that has the whole state."""
        composed = None if self._composed is None else self._composed()
        if composed is None:
            about = self._about
            composed = Composed(
                channel=about.channel,
                content_id=about.content_id,
                offset=self.offset,
                type=about.type,
                data=self._state.data(),
            )
            self._composed = weakref.ref(composed)
        return composed

    def has_mark(self, offset: int) -> bool:
        """Whether the content's event at that offset is remembered."""
        return offset in self._marks

    def latest_mark(self, offset: int) -> int | None:
        """The offset of the latest event that is remembered, up to that offset."""
        return next((mark for mark in reversed(self._marks) if mark <= offset), None)

    def since(self, mark: int) -> Event:
        """What came since a moment that is remembered, as one delta."""
        event = self._merged.get(mark)
        if event is None:
            said = self._state.since(self._marks[mark])
            event = self._merged[mark] = _announcing(self._about, self.offset, mark, said)
        return event


def decoded(event: Event) -> Event:
    """The event with its delta, which is decoded here once for all that take it in; the event itself where its data are
    none: straight publishers may store any bytes."""
    if type(event) is DeltaEvent:
        return event
    try:
        change = delta.decode(event.data)
    except Invalid:
        return event
    return _with_delta(event, event.data, change)


def is_delta(event: Event) -> bool:
    """Whether the data of an event of the type `content_delta` are a delta."""
    return type(decoded(event)) is DeltaEvent


def _with_delta(event: Event, data: bytes, change: Delta) -> DeltaEvent:
    """The event with these data, which are this delta."""
    return DeltaEvent(
        channel=event.channel,
        content_id=event.content_id,
        offset=event.offset,
        type=event.type,
        data=data,
        after=event.after,
        change=change,
    )


def _delta_of(event: Event) -> Delta:
    """Raises `Invalid` where the data are none."""
    return event.change if type(event) is DeltaEvent else delta.decode(event.data)


def announced(events: Sequence[Event]) -> list[Event]:
    """Events in their order, for viewers that take deltas: those of a content that follow one another are one."""
    return [_joined(run) for run in _runs(events)]


def _same_second(former: bytes | None, later: bytes | None) -> bool:
    """Whether two values of `timestamp` are times of one second, as the model writes them."""
    if former is None or later is None or _TIME.fullmatch(later) is None:
        return False
    return _TIME.fullmatch(former) is not None and former[:_SECOND] == later[:_SECOND]


def _runs(events: Sequence[Event]) -> Iterator[list[Event]]:
    run: list[Event] = []
    for event in events:
        if run and not _follows(run[-1], event):
            yield run
            run = []
        run.append(event)
    if run:
        yield run


def _follows(former: Event, event: Event) -> bool:
    return type(former) is Grown and type(event) is Grown and former.growth is event.growth


def _joined(run: list[Event]) -> Event:
    first, last = run[0], run[-1]
    if type(first) is not Grown or type(last) is not Grown:
        return first
    if first is last and (data := first.said.data).startswith(b'{"'):
        # What was announced already says it all, but for the place on the clock.
        return replace(first.said, data=_placed(data, first.offset - first.said.after))
    said = Delta(sets={}, appends={})
    for event in run:
        if type(event) is Grown:
            said = delta.merged(said, _delta_of(event.said))
    return _announcing(last, last.offset, first.said.after, said)


def _announcing(about: Event, offset: int, after: int, said: Delta) -> Event:
    return Event(
        channel=about.channel,
        content_id=about.content_id,
        offset=offset,
        type=CONTENT_DELTA,
        data=_placed(delta.encode(about.content_id, said), offset - after),
        after=after,
    )


def _placed(data: bytes, back: int) -> bytes:
    """The data of a delta that say how far back the event is that it builds on."""
    return b'{"back":%d,%b' % (back, data[1:])
