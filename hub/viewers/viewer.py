"""Viewers: those that open streams, sockets and long polls tell of channels, and where each stands.

No viewer has a queue. A viewer that is *live* gets each event as it comes. One that cannot be written to, because
its socket is full or a replica of its is not live, is *behind*: it remembers how far it got, gets nothing, and later
catches up from the replicas' state, which skips what has been superseded meanwhile. The ids that a viewer is sent
grow until a `reset`.

A content that grows reaches a viewer whose format takes deltas as deltas, and any other as whole states. Those come
only as often as `pacing` allows: until then the viewer is *held*, which is being behind for a while.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.filtered import Filtered
from statushub.hub.replicas.growth import Composed, Grown, Growth
from statushub.hub.replicas.reader import Reader, Resync
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import Scope
from statushub.hub.replicas.selection import Selection
from statushub.hub.viewers.pacing import LONGEST_SECONDS, interval
from statushub.hub.viewers.session import Host
from statushub.hub.wire.format import WireFormat

CATCH_UP_BYTES: Final = 64 * 1024
"""Bytes written in one step while catching up; then it is checked whether the socket still takes them."""

EARLY_SECONDS: Final = 0.01
"""How much too early a timer of an event loop may be, which counts milliseconds."""


class State(Enum):
    """What a viewer can be given."""

    BEHIND = auto()
    """Nothing until it catches up; its socket has room."""
    STALLED = auto()
    """Nothing: its socket is full."""
    LIVE = auto()
    """Each event as it is applied."""
    CLOSED = auto()
    """Nothing more: its end was said."""


class Viewer(Reader):
    """A reader at the other end of a connection: it is sent `format`, and has a heartbeat each `heartbeat` seconds."""

    __slots__ = ("complete", "format", "heartbeat", "held_until", "limited", "partial", "ready", "shown_at", "state")

    host: Host
    format: WireFormat

    def __init__(
        self,
        host: Host,
        scope: Scope | Sequence[Replica],
        since: Cursor | None,
        format: WireFormat,
        *,
        heartbeat: float | None = None,
        state: State = State.BEHIND,
    ) -> None:
        """`heartbeat` is the hub's interval where it is None."""
        super().__init__(host, scope, since)
        self.format = format
        self.state = state
        self.ready = False
        # Whether it was told that there are more channels than it follows.
        self.limited = False
        # The offset at which it was last known to have the latest state of each content: a cursor that it came with
        # may stand within a catch-up that was cut off, of which later parts were skipped.
        self.complete = -1
        # Whether it is in the middle of a catch-up.
        self.partial = False
        # When it was last sent whole states of contents that grow, and until when it waits for the next ones, on the
        # monotonic clock.
        self.shown_at = -LONGEST_SECONDS
        self.held_until = 0.0
        if since is not None and self.scope.exceeded is not None:
            # The channels that it had may have been others.
            self.invalidate()
        self.heartbeat = host.heartbeat_interval if heartbeat is None else heartbeat

    @property
    def channels(self) -> list[str]:
        """The channels that it follows by their names."""
        return [] if self.selections else self.scope.channels

    @property
    def selections(self) -> Sequence[Selection]:
        """The selection that it follows, if it does."""
        scope = self.scope.whole if isinstance(self.scope, Filtered) else self.scope
        return (scope,) if isinstance(scope, Selection) else ()

    def opened(self) -> None:
        """Count the catch-up with which it begins. To be called before its first read."""
        self.host.counts.catch_ups["opened" if self.epoch is None else "resumed"] += 1

    @abstractmethod
    def join(self) -> None:
        """Subscribe to its replicas."""

    def leave(self) -> None:
        """Undo `join`."""
        self.end_hold()
        self.scope.leave(self)

    def control(self, outcome: Resync) -> list[bytes]:
        """What has to be said before the events of a read with this outcome."""
        frames: list[bytes] = []
        if outcome is Resync.RESET:
            self.ready = False
            frames.append(self.format.reset(self.scope.about))
        elif outcome is Resync.BEHIND:
            # A client that hears nothing would give the stream up.
            frames.append(self.format.heartbeat())
        if self.scope.exceeded is not None and not self.limited and not outcome.waits:
            self.limited = True
            frames.append(self.format.limit(*self.scope.exceeded))
        return frames

    def news(self) -> tuple[Resync, list[bytes]]:
        """The next part of what it has not read, as frames, with what has to be said before."""
        outcome, events = self.take(CATCH_UP_BYTES)
        frames = self.control(outcome)
        if outcome is Resync.RESET:
            self.complete = -1
        if events:
            frames += self.host.encodings.encode(self.format, self.epoch or "", events)
            if self.scope.grows and any(type(event) is Composed for event in events):
                self.show()
        self.partial = not outcome.waits and not self.finished
        if not outcome.waits and self.finished:
            self.complete = self.offset
        return outcome, frames

    # Contents that grow

    def read(self, event: Event) -> Event:
        if type(event) is not Grown or not self.format.deltas:
            return super().read(event)
        mark = self._mark(event.growth)
        return event.whole() if mark is None else event.growth.since(mark)

    def _mark(self, growth: Growth) -> int | None:
        """The event of the content that this viewer certainly has, where it is remembered."""
        if growth.has_mark(self.offset):
            # The last event that it was sent.
            return self.offset
        mark = growth.latest_mark(self.offset)
        # What came after it was complete may have been skipped.
        return mark if mark is not None and mark <= self.complete else None

    def due(self, size: int) -> float:
        return max(self.shown_at + interval(size) - time.monotonic(), 0.0)

    def show(self) -> None:
        self.shown_at = time.monotonic()

    def paces(self) -> float:
        """In how many seconds it may read on, as `due`; an ending is not waited with."""
        if self.format.deltas or self.partial or not self.scope.grows or self.epoch != self.scope.epoch:
            return 0.0
        if time.monotonic() - self.shown_at > LONGEST_SECONDS:
            return 0.0
        size = 0
        for event in self.scope.after(self.offset):
            if type(event) is Grown:
                size = max(size, event.growth.size)
            elif ends(event):
                return 0.0
        return self.due(size) if size else 0.0

    def wait(self, seconds: float) -> None:
        """Read nothing before `seconds` have passed, or something ends."""
        self.held_until = time.monotonic() + seconds
        self.scope.hold(self)
        asyncio.get_running_loop().call_later(seconds, self._time_out)

    def release(self) -> None:
        if self.held_until:
            self.end_hold()
            self.host.scheduler.later(self.catch_up)

    def end_hold(self) -> None:
        """Wait no longer."""
        if self.held_until:
            self.held_until = 0.0
            self.scope.unhold(self)

    def _time_out(self) -> None:
        # It may be that of an earlier wait, which has ended before its time.
        if time.monotonic() >= self.held_until - EARLY_SECONDS:
            self.release()


def ends(event: Event) -> bool:
    """Whether the event is final, or a tombstone."""
    return event.removed or status.phase(event).terminal
