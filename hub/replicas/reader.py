"""Readers: a position in the events of some channels of one tenant."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Final, Protocol

from statushub.hub.metrics import Counts
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.growth import Grown
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import Channels, Scope, ScopeHost

FRAME_BYTES: Final = 100
"""What an event takes on a connection beside its data, about: its id, its type, and what separates it."""

VOID: Final = ""
"""The epoch of a cursor that no clock ever issued: its holder is reset."""


class Resync(Enum):
    """What a reader found when it compared its cursor with its replicas."""

    WAIT = auto()
    """Nothing can be said now; it is told to catch up when it can."""
    BEHIND = auto()
    """The same, because the hub knows less than its cursor."""
    RESUME = auto()
    """Its cursor holds."""
    RESET = auto()
    """Its cursor was void, and now stands before everything."""

    @property
    def waits(self) -> bool:
        """Whether nothing can be read now."""
        return self in (Resync.WAIT, Resync.BEHIND)


class ReaderHost(ScopeHost, Protocol):
    """What a reader needs of the hub."""

    counts: Counts


class Reader(ABC):
    """Reads channels of one tenant from a cursor on. The offsets that it reads grow until it is reset."""

    __slots__ = ("began", "epoch", "host", "offset", "scope")

    def __init__(self, host: ReaderHost, scope: Scope | Sequence[Replica], since: Cursor | None) -> None:
        """`scope` may be the replicas of a fixed set of channels."""
        self.host = host
        self.scope: Scope = Channels(scope) if isinstance(scope, Sequence) else scope
        self.epoch = since.epoch if since else None
        self.offset = since.offset if since else 0
        self.began = 0
        """How far the clock had come when this reader began from nothing; 0 where it came with a cursor."""

    @property
    def position(self) -> int:
        """How far the tenant's clock is known here, for this reader's channels."""
        return self.scope.position

    @property
    def cursor(self) -> Cursor:
        """Where this reader stands."""
        return Cursor(epoch=self.epoch or VOID, offset=self.offset)

    @property
    def spans_channels(self) -> bool:
        return self.scope.spans_channels

    @abstractmethod
    def pause(self) -> None:
        """As `Subscriber.pause`."""

    @abstractmethod
    def catch_up(self) -> None:
        """As `Subscriber.catch_up`."""

    def invalidate(self) -> None:
        self.epoch = VOID

    def resync(self) -> Resync:
        """Bring the cursor into the replicas' epoch."""
        epoch = self.scope.epoch
        if epoch is None or not self.scope.readable(self.host):
            return Resync.WAIT
        if self.epoch == epoch and not self._below_floor():
            if self.offset <= self.position:
                return Resync.RESUME
            self.scope.verify(self.host)
            return Resync.WAIT
        if self.epoch and self.epoch != epoch and self.scope.expect(self.host, self.epoch):
            return Resync.BEHIND
        fresh = self.epoch is None
        self.epoch, self.offset, self.began = epoch, 0, self.position
        if fresh:
            return Resync.RESUME
        self.host.counts.resets += 1
        return Resync.RESET

    @property
    def finished(self) -> bool:
        """Whether it has read all that its replicas hold."""
        return self.offset >= self.position

    def backlog(self) -> Iterator[Event]:
        """What this reader has not read, in offset order; without what was removed before it began."""
        events, began = self.scope.after(self.offset), self.began
        if self.scope.grows:
            events = map(self.read, events)
        if self.offset < began and self.scope.has_removals:
            return (event for event in events if event.offset > began or not event.removed)
        return events

    def read(self, event: Event) -> Event:
        """What this reader gets of an event of its replicas: its whole state."""
        return event.whole() if type(event) is Grown else event

    def _below_floor(self) -> bool:
        """Whether a removal may have been forgotten that this reader has not read."""
        floor = self.scope.floor
        return self.offset < floor and (self.offset >= self.began or self.began < floor)

    def take(self, limit: float = math.inf) -> tuple[Resync, list[Event]]:
        """Resync, and read on: the events in offset order, none where the outcome is `WAIT`.

        Stops after about `limit` bytes; the rest comes with the next calls, as far as it still holds then, and
        `finished` tells that there is none.
        """
        outcome = self.resync()
        if outcome.waits:
            return outcome, []
        events: list[Event] = []
        if limit == math.inf:
            events += self.backlog()
            self.offset = max(self.offset, self.position)
            return outcome, events
        size = 0
        for event in self.backlog():
            events.append(event)
            size += len(event.data) + FRAME_BYTES
            if size >= limit:
                self.offset = event.offset
                return outcome, events
        self.offset = max(self.offset, self.position)
        return outcome, events
