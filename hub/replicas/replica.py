"""Replicas: a hub's copy of one channel's state."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from operator import attrgetter
from typing import Protocol

from msgspec.structs import force_setattr

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.model.cursor import Cursor, epoch_precedes
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.vocabulary import CONTENT_REMOVED
from statushub.hub.replicas.growth import Grown, Growth, is_delta
from statushub.hub.replicas.interests import Interests
from statushub.hub.replicas.log import Log
from statushub.hub.replicas.scheduler import STEP_EVENTS
from statushub.hub.replicas.subscriber import Paced, Recipient, Subscriber
from statushub.hub.wire.format import WireFormat

Write = Callable[[bytes], None]


class Audience(Protocol):
    """Subscribers that are told of the events of several replicas."""

    writers: dict[WireFormat, dict[Recipient, Write]]
    pollers: set[Subscriber]
    held: set[Paced]
    interests: Interests | None


class Replica:
    """One channel: the latest event of each content, by its id and, in `log`, in offset order; and who reads it.

    `last` is the offset on the tenant's clock up to which nothing of this channel is missing here, `changed` that of
    the latest event, and `floor` the channel's: a cursor below it may have missed a removal.
    A replica is *live* while announcements keep it so; until then they wait in `waiting`. `frozen` counts
    the loss of the broker that found it live, and is 0 once it was read again: replicas that were frozen by
    the same loss stand at the same moment of the clock.

    `subscribers` are all that read it. Of them, `writers` are those that get each event as it is applied, by the
    format in which they get it, and `pollers` those that are told to catch up with each event. `audiences` are
    selections that hold it, with writers and pollers of their own. `interests` are those who read some of its contents
    only, None where there are none. `held` are viewers that wait until they may be sent
    the whole state of a content that grows.

    `growing` counts the contents that are kept in parts, and `grew` tells that one has grown since it was last read.

    `contents` is the index of its tenant: the latest event of each content in any of the tenant's replicas.
    """

    __slots__ = (
        "_contents",
        "_life",
        "_removals",
        "audiences",
        "changed",
        "channel",
        "epoch",
        "events",
        "floor",
        "frozen",
        "grew",
        "growing",
        "held",
        "idle_since",
        "interests",
        "last",
        "live",
        "log",
        "pollers",
        "settled",
        "subscribers",
        "syncing",
        "tenant",
        "waiting",
        "writers",
    )

    def __init__(self, tenant: str, channel: str, contents: dict[str, Event]) -> None:
        self.tenant = tenant
        self.channel = channel
        self.epoch: str | None = None
        self.last = 0
        self.changed = 0
        self.floor = 0
        self.events: dict[str, Event] = {}
        self.log = Log()
        self.live = False
        self.frozen = 0
        self.syncing = False
        self.waiting: list[Announcement] = []
        self.settled = asyncio.Event()
        self.subscribers: set[Subscriber] = set()
        self.writers: dict[WireFormat, dict[Recipient, Write]] = {}
        self.pollers: set[Subscriber] = set()
        self.held: set[Paced] = set()
        self.interests: Interests | None = None
        self.growing = 0
        self.grew = False
        self.audiences: list[Audience] = []
        self.idle_since = time.monotonic()
        self._contents = contents
        # Tombstones, with the moment of the monotonic clock at which each was applied.
        self._removals: deque[tuple[float, Event]] = deque()
        self._life = 0

    @property
    def cursor(self) -> Cursor | None:
        """Where to read on from; None before the first read."""
        return None if self.epoch is None else Cursor(epoch=self.epoch, offset=self.last)

    @property
    def has_removals(self) -> bool:
        """Whether any of its events may be a tombstone."""
        return bool(self._removals)

    # State

    def follows(self, announcement: Announcement) -> bool:
        """Whether it is the next event of this channel: of its epoch, newer, and with nothing missing before it."""
        event = announcement.event
        return (
            self.live
            and announcement.epoch == self.epoch
            and announcement.prev <= self.last < event.offset
            and (not event.after or self.fits(event))
        )

    def fits(self, event: Event) -> bool:
        """Whether the event, where it is a delta, builds on what is here."""
        former = self.events.get(event.content_id)
        return not event.after or (former is not None and former.offset == event.after and is_delta(event))

    def apply(self, event: Event) -> Event:
        """Take in an event that is newer than everything here, and that fits; returns what is kept of it."""
        content_id = event.content_id
        former = self.events.get(content_id)
        if event.after:
            if former is None:
                raise ValueError(f"{content_id!r} is not here, and cannot grow")
            if type(former) is Grown:
                event = former.growth.grow(event)
            else:
                event = Growth(former).grow(event)
                self.growing += 1
            self.grew = True
        elif type(former) is Grown:
            self.growing -= 1
        if former is None:
            self.log.append(event)
        else:
            self.log.replace(former, event)
            # The text of the id is kept once, by the event and both indexes.
            force_setattr(event, "content_id", former.content_id)
        self.events[content_id] = event
        known = self._contents.get(content_id)
        # A replica that is read late must not hide that the content lives in another channel by now.
        if known is None or known.offset < event.offset:
            self._contents[content_id] = event
        self.last = self.changed = event.offset
        if event.type == CONTENT_REMOVED:
            self._removals.append((time.monotonic(), event))
        return event

    def begin(self, epoch: str, before: int, floor: int) -> None:
        """Be live without a read: nothing of this channel was there when the clock came to `before`, and everything
        that comes from now on is announced. `floor` is that of empty channels."""
        self.epoch, self.last, self.floor = epoch, before, floor
        self.changed = floor
        self.live = True
        self.settled.set()

    def load(self, snapshot: Snapshot) -> None:
        """Take in what the broker read since `cursor`, or, in another epoch, everything anew."""
        for _ in self.loading(snapshot):
            pass

    def loading(self, snapshot: Snapshot) -> Generator[None]:
        """As `load`, in steps, between which nothing may be applied. It ends where the replica is cleared meanwhile.

        What replaces everything has no epoch, and cannot be read, before it is whole; what was there is gone when this
        returns.
        """
        self.frozen = 0
        former: dict[str, Event] = {}
        if snapshot.cursor.epoch != self.epoch or snapshot.whole:
            former = self._emptied()
            self.epoch = None
        return self._taking_in(snapshot, former, self._life)

    def _taking_in(self, snapshot: Snapshot, former: dict[str, Event], life: int) -> Generator[None]:
        yield from self._disowning(former)
        for start in range(0, len(snapshot.events), STEP_EVENTS):
            if self._life != life:
                return
            for event in snapshot.events[start : start + STEP_EVENTS]:
                if event.offset > self.last:
                    self.apply(event)
            yield
        if self._life != life:
            return
        self.epoch = snapshot.cursor.epoch
        self.floor = max(self.floor, snapshot.floor)
        # A tombstone that was forgotten was a change, too.
        self.changed = max(self.changed, self.floor)
        self.last = max(self.last, snapshot.cursor.offset)

    def replay(self) -> bool:
        """Take in the announcements that waited. Returns False where they leave a hole or change the epoch."""
        waiting, self.waiting = self.waiting, []
        for announcement in waiting:
            if announcement.epoch != self.epoch:
                if self.epoch is None or epoch_precedes(self.epoch, announcement.epoch):
                    return False
                continue  # of a former life of the clock
            if announcement.event.offset > self.last:
                if announcement.prev > self.last or not self.fits(announcement.event):
                    return False
                self.apply(announcement.event)
        return True

    def counting(self) -> Generator[None]:
        """Count the phases of its contents, in steps."""
        while self.log.uncounted:
            self.log.count(STEP_EVENTS)
            yield

    def forget(self, applied_before: float) -> None:
        """Drop the tombstones that were applied before that moment of the monotonic clock."""
        while self._removals and self._removals[0][0] < applied_before:
            _, event = self._removals.popleft()
            if self.events.get(event.content_id) is event:
                del self.events[event.content_id]
                self.log.discard(event)
                self._disown(event)
                self.floor = max(self.floor, event.offset)

    def clear(self) -> None:
        """Drop every content."""
        for _ in self.clearing():
            pass

    def clearing(self) -> Generator[None]:
        """As `clear`, in steps, of which the first one empties the replica and the others the tenant's index."""
        return self._disowning(self._emptied())

    def _emptied(self) -> dict[str, Event]:
        """Empty the replica; returns what it had."""
        former, self.events, self.log = self.events, {}, Log()
        self._removals.clear()
        self._life += 1
        self.last = self.changed = self.floor = self.growing = 0
        return former

    def _disowning(self, events: dict[str, Event]) -> Generator[None]:
        while events:
            for _ in range(min(STEP_EVENTS, len(events))):
                self._disown(events.popitem()[1])
            yield

    def _disown(self, event: Event) -> None:
        # Another replica may have an event of the same content by now.
        if self._contents.get(event.content_id) is event:
            del self._contents[event.content_id]

    # Readers

    def touch(self) -> None:
        """Put off its eviction: it was asked for just now."""
        self.idle_since = time.monotonic()

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self.subscribers.discard(subscriber)
        self.pollers.discard(subscriber)
        self.touch()

    def add_writer(self, format: WireFormat, subscriber: Recipient, write: Write) -> None:
        """Write each event in `format` to this subscriber as it is applied."""
        self.writers.setdefault(format, {})[subscriber] = write

    def remove_writer(self, format: WireFormat, subscriber: Recipient) -> None:
        """Undo `add_writer`."""
        self.writers[format].pop(subscriber, None)


def merged(replicas: Sequence[Replica], offset: int) -> Iterator[Event]:
    """The events of all these replicas with a greater offset, in offset order; they cost what is read of them."""
    if len(replicas) == 1:
        return replicas[0].log.after(offset)
    changed = [replica.log.after(offset) for replica in replicas if replica.changed > offset]
    return heapq.merge(*changed, key=attrgetter("offset"))
