"""A content's latest event, encoded at most once for each format in use."""

from __future__ import annotations

import time

from statushub.hub.model.event import Event
from statushub.hub.wire.format import EventFormat


class Row:
    """A content's latest event.

    The first format in use has slots of its own. Most contents are only ever encoded in one, and a dictionary for
    each would cost 200 bytes.
    """

    __slots__ = ("_encoded", "_format", "_others", "event", "offset")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.offset = event.offset
        self._format: EventFormat | None = None
        self._encoded = b""
        self._others: dict[EventFormat, bytes] | None = None

    def encoded(self, format: EventFormat, epoch: str) -> bytes:
        """The event in `format`; `epoch` is that of its offset."""
        if self._format is None:
            self._format = format
            self._encoded = encoded = format.event(epoch, self.event)
            return encoded
        if self._format is format:
            return self._encoded
        if self._others is None:
            self._others = {}
        if format not in self._others:
            self._others[format] = format.event(epoch, self.event)
        return self._others[format]


class Entry(Row):
    """A row of a replica. `applied` is when its event was applied, on the monotonic clock."""

    __slots__ = ("applied",)

    def __init__(self, event: Event) -> None:
        # Repeats the parent's lines: a call less for each event.
        self.event = event
        self.offset = event.offset
        self._format = None
        self._encoded = b""
        self._others = None
        self.applied = time.monotonic()
