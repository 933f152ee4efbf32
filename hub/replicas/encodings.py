"""Encoded events, kept for a while: what many readers read is encoded once for each format."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Final

from statushub.hub.model.event import Event
from statushub.hub.replicas.scheduler import STEP_EVENTS
from statushub.hub.wire.format import EventFormat

KEPT_BYTES: Final = 4 * 1024**2
"""Most bytes kept: the pages and catch-ups of a moment, some 10,000 events; the data themselves are in the replicas."""

OVERHEAD_BYTES: Final = 300
"""Of one kept event, beside its bytes: the key, the pair, and the event itself once it is superseded."""


class Encodings:
    """The encoded events of a hub. When they are too many, all are dropped, and those in use are encoded anew."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        # By the identity of the event, which the pair keeps alive.
        self._kept: dict[EventFormat, dict[int, tuple[Event, bytes]]] = {}

    def encode(self, format: EventFormat, epoch: str, events: Iterable[Event]) -> list[bytes]:
        """The events in `format`; `epoch` is that of their offsets."""
        if self._bytes > self._limit:
            self._kept.clear()
            self._bytes = 0
        kept = self._kept.setdefault(format, {})
        encoded: list[bytes] = []
        for event in events:
            pair = kept.get(id(event))
            if pair is None:
                pair = kept[id(event)] = event, format.event(epoch, event)
                self._bytes += len(pair[1]) + OVERHEAD_BYTES
            encoded.append(pair[1])
        return encoded

    def encoding(self, format: EventFormat, epoch: str, events: Sequence[Event]) -> Generator[None, None, list[bytes]]:
        """As `encode`, in steps."""
        encoded: list[bytes] = []
        for start in range(0, len(events), STEP_EVENTS):
            step = events[start : start + STEP_EVENTS]
            encoded += self.encode(format, epoch, step)
            yield
        return encoded
