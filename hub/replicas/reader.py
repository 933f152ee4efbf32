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
from statushub.hub.replicas.replica import Replica, merged

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


class ReaderHost(Protocol):
    """What a reader needs of the hub."""

    counts: Counts

    def live(self, replicas: Sequence[Replica]) -> bool:
        """Whether announcements keep all of these true, on one epoch."""

    def readable(self, replicas: Sequence[Replica]) -> bool:
        """Whether these stand at one moment of the clock."""

    def verify(self, replica: Replica) -> None:
        """Find out whether cursors ahead of this replica are ahead of the clock, and void."""

    def expect(self, replica: Replica, epoch: str) -> bool:
        """Look for another epoch of the replica's clock than the known one; False where it is void."""


class Reader(ABC):
    """Reads replicas of one tenant from a cursor on. The offsets that it reads grow until it is reset."""

    __slots__ = ("began", "epoch", "host", "offset", "replicas")

    def __init__(self, host: ReaderHost, replicas: Sequence[Replica], since: Cursor | None) -> None:
        self.host = host
        self.replicas = replicas
        self.epoch = since.epoch if since else None
        self.offset = since.offset if since else 0
        self.began = 0
        """How far the clock had come when this reader began from nothing; 0 where it came with a cursor."""

    @property
    def position(self) -> int:
        """How far the tenant's clock is known here, for this reader's channels."""
        return max(replica.last for replica in self.replicas)

    @property
    def cursor(self) -> Cursor:
        """Where this reader stands."""
        return Cursor(epoch=self.epoch or VOID, offset=self.offset)

    @property
    def spans_channels(self) -> bool:
        return len(self.replicas) > 1

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
        epoch = self.replicas[0].epoch
        if epoch is None or not self.host.readable(self.replicas):
            return Resync.WAIT
        if self.epoch == epoch and not self._below_floor():
            if self.offset <= self.position:
                return Resync.RESUME
            self.host.verify(self.replicas[0])
            return Resync.WAIT
        if self.epoch and self.epoch != epoch and self.host.expect(self.replicas[0], self.epoch):
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
        events, began = merged(self.replicas, self.offset), self.began
        if self.offset < began and any(replica.has_removals for replica in self.replicas):
            return (event for event in events if event.offset > began or not event.removed)
        return events

    def _below_floor(self) -> bool:
        """Whether a removal may have been forgotten that this reader has not read."""
        floor = max(replica.floor for replica in self.replicas)
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
