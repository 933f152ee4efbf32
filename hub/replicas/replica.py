"""Replicas: a hub's copy of one channel's state."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.model.cursor import Cursor, epoch_precedes
from statushub.hub.model.event import Announcement, Event
from statushub.hub.replicas.row import Entry
from statushub.hub.replicas.subscriber import Subscriber
from statushub.hub.wire.format import WireFormat

Write = Callable[[bytes], None]


class Replica:
    """One channel: the latest entry of each content, in offset order, and who reads it.

    `last` is the offset on the tenant's clock up to which nothing of this channel is missing here, `changed` that of
    the latest event, and `floor` the channel's: a cursor below it may have missed a removal.
    A replica is *live* while announcements keep it so; until then they wait in `waiting`. `frozen` counts
    the loss of the broker that found it live, and is 0 once it was read again: replicas that were frozen by
    the same loss stand at the same moment of the clock.

    `subscribers` are all that read it. Of them, `writers` are those that get each event as it is applied, by the
    format in which they get it, and `pollers` those that are told to catch up with each event.

    `contents` is the index of its tenant: the entry of each content in any of the tenant's replicas.
    """

    __slots__ = (
        "_contents",
        "changed",
        "channel",
        "entries",
        "epoch",
        "floor",
        "frozen",
        "idle_since",
        "last",
        "live",
        "pollers",
        "settled",
        "subscribers",
        "syncing",
        "tenant",
        "waiting",
        "writers",
    )

    def __init__(self, tenant: str, channel: str, contents: dict[str, Entry]) -> None:
        self.tenant = tenant
        self.channel = channel
        self.epoch: str | None = None
        self.last = 0
        self.changed = 0
        self.floor = 0
        self.entries: dict[str, Entry] = {}
        self.live = False
        self.frozen = 0
        self.syncing = False
        self.waiting: list[Announcement] = []
        self.settled = asyncio.Event()
        self.subscribers: set[Subscriber] = set()
        self.writers: dict[WireFormat, dict[Subscriber, Write]] = {}
        self.pollers: set[Subscriber] = set()
        self.idle_since = time.monotonic()
        self._contents = contents

    @property
    def cursor(self) -> Cursor | None:
        """Where to read on from; None before the first read."""
        return None if self.epoch is None else Cursor(epoch=self.epoch, offset=self.last)

    # State

    def follows(self, announcement: Announcement) -> bool:
        """Whether it is the next event of this channel: of its epoch, newer, and with nothing missing before it."""
        return (
            self.live
            and announcement.epoch == self.epoch
            and announcement.prev <= self.last < announcement.event.offset
        )

    def apply(self, event: Event) -> Entry:
        """Take in an event that is newer than everything here, and return its entry."""
        entry = Entry(event)
        content_id = event.content_id
        # Popped first, so that the dictionary's order stays the clock's.
        self.entries.pop(content_id, None)
        self.entries[content_id] = entry
        known = self._contents.get(content_id)
        # A replica that is read late must not hide that the content lives in another channel by now.
        if known is None or known.offset < event.offset:
            self._contents[content_id] = entry
        self.last = self.changed = event.offset
        return entry

    def load(self, snapshot: Snapshot) -> None:
        """Take in what the broker read since `cursor`, or, in another epoch, everything anew."""
        self.frozen = 0
        if snapshot.cursor.epoch != self.epoch or snapshot.whole:
            self.clear()
            self.epoch = snapshot.cursor.epoch
        self.floor = max(self.floor, snapshot.floor)
        for event in snapshot.events:
            if event.offset > self.last:
                self.apply(event)
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
                if announcement.prev > self.last:
                    return False
                self.apply(announcement.event)
        return True

    def since(self, offset: int) -> list[Entry]:
        """The entries with a greater offset, in offset order. Costs what it returns, not what there is."""
        newer: list[Entry] = []
        for entry in reversed(self.entries.values()):
            if entry.offset <= offset:
                break
            newer.append(entry)
        newer.reverse()
        return newer

    def forget(self, applied_before: float) -> None:
        """Drop the tombstones that were applied before that moment of the monotonic clock."""
        for content_id, entry in tuple(itertools.takewhile(_older(applied_before), self.entries.items())):
            if entry.event.removed:
                del self.entries[content_id]
                self._disown(entry)
                self.floor = max(self.floor, entry.offset)

    def clear(self) -> None:
        """Drop every content."""
        for entry in self.entries.values():
            self._disown(entry)
        self.entries.clear()
        self.last = self.changed = self.floor = 0

    def states(self) -> list[Entry]:
        """The entries of the contents that are not removed, in offset order."""
        return [entry for entry in self.entries.values() if not entry.event.removed]

    def _disown(self, entry: Entry) -> None:
        # Another replica may have an entry of the same content by now.
        if self._contents.get(entry.event.content_id) is entry:
            del self._contents[entry.event.content_id]

    # Readers

    def touch(self) -> None:
        """Put off its eviction: it was asked for just now."""
        self.idle_since = time.monotonic()

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        self.subscribers.discard(subscriber)
        self.pollers.discard(subscriber)
        self.touch()

    def add_writer(self, format: WireFormat, subscriber: Subscriber, write: Write) -> None:
        """Write each event in `format` to this subscriber as it is applied."""
        self.writers.setdefault(format, {})[subscriber] = write

    def remove_writer(self, format: WireFormat, subscriber: Subscriber) -> None:
        """Undo `add_writer`."""
        self.writers[format].pop(subscriber, None)


def _older(moment: float) -> Callable[[tuple[str, Entry]], bool]:
    return lambda item: item[1].applied < moment


def merged(replicas: Sequence[Replica], offset: int) -> list[Entry]:
    """The entries of all these replicas with a greater offset, in offset order."""
    if len(replicas) == 1:
        return replicas[0].since(offset)
    runs: Iterable[list[Entry]] = (replica.since(offset) for replica in replicas)
    return list(heapq.merge(*runs, key=attrgetter("offset")))
