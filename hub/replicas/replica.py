"""A hub's copy of one channel's state, and of a tenant's channels."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.wire import sse

if TYPE_CHECKING:
    from statushub.hub.viewers.viewer import PullViewer, PushViewer, Viewer


class Row:
    """A content's latest event, as polls tell it.

    `line` is its line in the answer to a batch poll, once somebody has polled.
    """

    __slots__ = ("event", "line", "offset")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.offset = event.offset
        self.line: bytes | None = None


class Unknown:
    """In a row's place where a content is not known."""

    __slots__ = ("line",)
    event: Final = None
    offset: Final = 0

    def __init__(self) -> None:
        self.line: bytes | None = None


class Entry(Row):
    """A content's latest event in a replica, with the chunk that every viewer is sent, encoded once."""

    __slots__ = ("applied", "chunk")

    def __init__(self, epoch: str, event: Event) -> None:
        # Not by the parent's: this is done for every event.
        self.event = event
        self.offset = event.offset
        self.line = None
        self.chunk = sse.chunk(sse.event(epoch, event))
        self.applied = time.monotonic()


class Replica:
    """One channel: the latest entry of each content, in offset order.

    `last` is the offset on the tenant's clock up to which nothing of this channel is missing here.
    A replica is *live* while announcements keep it so; until then they wait in `waiting`. `frozen` counts
    the loss of the broker that found it live, and is 0 since it was read again: replicas that were frozen by
    the same loss stand at the same moment.
    """

    __slots__ = (
        "channel",
        "entries",
        "epoch",
        "frozen",
        "idle_since",
        "last",
        "live",
        "pullers",
        "settled",
        "syncing",
        "tenant",
        "viewers",
        "waiting",
        "writers",
    )

    def __init__(self, tenant: Tenant, channel: str) -> None:
        self.tenant = tenant
        self.channel = channel
        self.epoch: str | None = None
        self.last = 0
        self.entries: dict[str, Entry] = {}
        self.live = False
        self.frozen = 0
        self.syncing = False
        self.waiting: list[Announcement] = []
        self.settled = asyncio.Event()
        self.viewers: set[Viewer] = set()
        self.writers: dict[PushViewer, Callable[[bytes], None]] = {}
        self.pullers: set[PullViewer] = set()
        self.idle_since = time.monotonic()

    @property
    def cursor(self) -> Cursor | None:
        """Where to read on from; None before the first read."""
        return None if self.epoch is None else Cursor(epoch=self.epoch, offset=self.last)

    def follows(self, announcement: Announcement) -> bool:
        """Whether it is the next event of this channel: of its epoch, newer, and with nothing missing before it."""
        return (
            self.live
            and announcement.epoch == self.epoch
            and announcement.prev <= self.last < announcement.event.offset
        )

    def apply(self, event: Event) -> Entry:
        """Take in an event that is newer than everything here, and return its entry."""
        entry = Entry(self.epoch or "", event)
        # Popped first, so that the dictionary's order stays the clock's.
        self.entries.pop(event.content_id, None)
        self.entries[event.content_id] = entry
        self.tenant.contents[event.content_id] = entry
        self.last = event.offset
        return entry

    def load(self, snapshot: Snapshot) -> None:
        """Take in what the broker read since `cursor`, or, in another epoch, everything anew."""
        self.frozen = 0
        if snapshot.cursor.epoch != self.epoch:
            self.clear()
            self.epoch = snapshot.cursor.epoch
        for event in snapshot.events:
            if event.offset > self.last:
                self.apply(event)
        self.last = max(self.last, snapshot.cursor.offset)

    def replay(self) -> bool:
        """Take in the announcements that waited. Returns False where they leave a hole or change the epoch."""
        waiting, self.waiting = self.waiting, []
        for announcement in waiting:
            if announcement.epoch != self.epoch:
                return False
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
        """Drop the contents whose last event came before that moment of the monotonic clock."""
        while self.entries:
            content_id, entry = next(iter(self.entries.items()))
            if entry.applied >= applied_before:
                return
            del self.entries[content_id]
            self.tenant.disown(entry)

    def clear(self) -> None:
        """Drop every content."""
        for entry in self.entries.values():
            self.tenant.disown(entry)
        self.entries.clear()
        self.last = 0


class Tenant:
    """A tenant's replicas, and the entry of each content that they hold."""

    __slots__ = ("contents", "name", "replicas")

    def __init__(self, name: str) -> None:
        self.name = name
        self.replicas: dict[str, Replica] = {}
        self.contents: dict[str, Entry] = {}

    def disown(self, entry: Entry) -> None:
        """Forget an entry that its replica has dropped, unless another replica has one of the same content."""
        if self.contents.get(entry.event.content_id) is entry:
            del self.contents[entry.event.content_id]


def merged(replicas: Sequence[Replica], offset: int) -> list[Entry]:
    """The entries of all these replicas with a greater offset, in offset order."""
    if len(replicas) == 1:
        return replicas[0].since(offset)
    runs: Iterable[list[Entry]] = (replica.since(offset) for replica in replicas)
    return list(heapq.merge(*runs, key=attrgetter("offset")))
