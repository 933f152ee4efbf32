"""Selections: the channels of a tenant that patterns name and a token reads, shared by the viewers that ask for them.

A selection subscribes to the replicas of its channels, and its viewers to it: a viewer of a thousand channels costs
what one of a single channel costs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import StatushubError
from statushub.hub.model.event import Event
from statushub.hub.model.feed_names import FEED_CHANNEL, USERS
from statushub.hub.replicas.interests import Interested, Interests
from statushub.hub.replicas.reader import VOID
from statushub.hub.replicas.replica import Replica, Write, merged
from statushub.hub.replicas.scope import Scope, ScopeHost
from statushub.hub.replicas.subscriber import Paced, Recipient, Subscriber
from statushub.hub.wire.format import WireFormat

_NO_PLACE = Cursor(epoch=VOID, offset=0)


class Criteria(msgspec.Struct, frozen=True):
    """Which channels are selected: those that one of the patterns names, and the token reads."""

    patterns: Patterns
    read: Patterns
    within: Patterns
    own: str | None = None
    """As of an identity; empty also where the patterns do not name it, so that users share the selection."""
    stats: bool = True
    """Whether the counters of all videos may be selected."""

    @classmethod
    def of(cls, patterns: Patterns, identity: Identity, *, stats: bool = True) -> Criteria:
        """What this identity may read of the patterns."""
        own = identity.own
        if own and not (patterns.match(own) and identity.within.match(own)):
            own = ""
        return cls(patterns, identity.read, identity.within, own, stats)

    def match(self, channel: str) -> bool:
        """Whether the channel is selected."""
        if not self.patterns.match(channel) or (channel == FEED_CHANNEL and not self.stats):
            return False
        if self.own is not None and channel.startswith(USERS):
            return channel == self.own
        return self.read.match(channel) and self.within.match(channel)

    def naming(self, channel: str) -> str:
        """The first of the patterns that names this channel."""
        return next(text for text in self.patterns.texts if Patterns([text]).match(channel))

    def prefixes(self) -> list[str]:
        """What the names of selected channels begin with, each name with one of these at most."""
        found = {text.partition("*")[0] for text in self.patterns.texts}
        for patterns in (self.read, self.within):
            found = set(_narrowed(found, [text.partition("*")[0] for text in patterns.texts]))
        if self.own:
            found.add(self.own)
        return [it for it in sorted(found) if not any(it != other and it.startswith(other) for other in found)]


class Place(Protocol):
    """What a selection needs of its tenant's directory."""

    epoch: str | None
    last: int
    floor: int
    hearing: bool
    frozen: int

    def verify(self) -> None:
        """As `Scope.verify`."""

    def reaches(self, offset: int) -> bool:
        """Whether everything up to this offset was heard. Where it was not, it is found out why."""

    def expect(self, epoch: str) -> bool:
        """As `Scope.expect`."""

    def later(self, selection: Selection) -> None:
        """Let the selection's viewers catch up soon."""


class Selection:
    """The channels of `criteria`. `indexed` tells that all of them are here, which announcements then keep true.

    `exceeded` is as in `Scope`; it stays once it is set. `viewers` are those that subscribe to it, of which `writers`
    and `pollers` are told of each event; `waiting` counts the requests that wait until it is `settled`. One that is
    `refused`, which makes the error, was never followed. One that is `resumed` is not refused for its size: its client
    was told of the limit while it followed.
    """

    __slots__ = (
        "_members",
        "_place",
        "criteria",
        "exceeded",
        "held",
        "idle_since",
        "indexed",
        "interests",
        "pollers",
        "refused",
        "replicas",
        "resumed",
        "settled",
        "viewers",
        "waiting",
        "waking",
        "writers",
    )

    def __init__(self, place: Place, criteria: Criteria) -> None:
        self.criteria = criteria
        self.indexed = False
        self.exceeded: tuple[str, int] | None = None
        self.replicas: list[Replica] = []
        self.viewers: set[Subscriber] = set()
        self.writers: dict[WireFormat, dict[Recipient, Write]] = {}
        self.held: set[Paced] = set()
        self.interests: Interests | None = None
        self.pollers: set[Subscriber] = set()
        self.idle_since = time.monotonic()
        self.waking = False
        self.waiting = 0
        self.resumed = False
        self.settled = asyncio.Event()
        self.refused: Callable[[], StatushubError] | None = None
        self._place = place
        self._members: set[Replica] = set()

    def __len__(self) -> int:
        return len(self.replicas)

    # Its channels

    def has(self, replica: Replica) -> bool:
        """Whether it holds this replica."""
        return replica in self._members

    def has_room(self, most: int) -> bool:
        """Whether it has less than `most` channels, once those of which nothing is left are dropped."""
        if len(self.replicas) >= most:
            self._prune()
        return len(self.replicas) < most

    def add(self, replica: Replica) -> None:
        """Take in a channel. Its viewers wait until the replica is live."""
        if replica not in self._members:
            self._members.add(replica)
            self.replicas.append(replica)
            replica.subscribers.add(self)
            replica.audiences.append(self)
            if not replica.live or replica.changed > self._place.last:
                self.pause()
                self.catch_up()

    def begin_anew(self) -> None:
        """Reset its viewers: what a channel holds that was just taken in may be older than their cursors."""
        self.pause()
        self.invalidate()
        self.catch_up()

    def exceed(self, channel: str, most: int) -> None:
        """Leave this channel, and further ones, out; the viewers are told."""
        if self.exceeded is None:
            self.exceeded = (self.criteria.naming(channel), most)
            self.pause()
            self.catch_up()

    def _prune(self) -> None:
        """Drop the channels of which nothing is left, not even a tombstone."""
        empty = {it for it in self.replicas if it.live and not it.events}
        self._place.floor = max([self._place.floor, *(replica.floor for replica in empty)])
        self._drop(empty)

    def close(self) -> None:
        """Drop every channel."""
        self._drop(set(self.replicas))

    def _drop(self, gone: set[Replica]) -> None:
        self._members -= gone
        self.replicas = [replica for replica in self.replicas if replica not in gone]
        for replica in gone:
            replica.audiences.remove(self)
            replica.remove(self)

    # What its replicas tell it

    @property
    def cursor(self) -> Cursor:
        """Its viewers have cursors; it has none."""
        return _NO_PLACE

    @property
    def spans_channels(self) -> bool:
        return True

    def pause(self) -> None:
        """Those that are written to are behind from now on; the others are already."""
        for viewer in [viewer for writers in self.writers.values() for viewer in writers]:
            viewer.pause()
        for recipient in self.interests.recipients() if self.interests else ():
            recipient.pause()

    def catch_up(self) -> None:
        if not self.waking and self.viewers:
            self.waking = True
            self._place.later(self)

    def invalidate(self) -> None:
        for viewer in self.viewers:
            viewer.invalidate()

    # Its viewers, as `Scope`

    @property
    def channels(self) -> list[str]:
        return [replica.channel for replica in self.replicas]

    @property
    def audiences(self) -> Sequence[Interested]:
        """Those whose events reach its viewers: its own."""
        return (self,)

    @property
    def about(self) -> Mapping[str, str]:
        return {"match": self.criteria.patterns.texts[0]}

    @property
    def epoch(self) -> str | None:
        return self._place.epoch

    @property
    def position(self) -> int:
        return self._place.last

    @property
    def floor(self) -> int:
        return max(self._place.floor, max((replica.floor for replica in self.replicas), default=0))

    @property
    def has_removals(self) -> bool:
        return any(replica.has_removals for replica in self.replicas)

    @property
    def grows(self) -> bool:
        return any(replica.growing for replica in self.replicas)

    def live(self, host: ScopeHost) -> bool:
        return self.indexed and self._place.hearing and self._follow_one_clock(host.live)

    def readable(self, host: ScopeHost) -> bool:
        return self.live(host) or (self._frozen and self._follow_one_clock(host.readable))

    @property
    def _frozen(self) -> bool:
        """Whether the loss of the broker that found the tenant heard found all of the channels here, and live."""
        loss = self._place.frozen
        return self.indexed and loss > 0 and all(replica.frozen == loss for replica in self.replicas)

    def _follow_one_clock(self, test: Callable[[Sequence[Replica]], bool]) -> bool:
        replicas = self.replicas
        return not replicas or (
            replicas[0].epoch == self._place.epoch
            and test(replicas)
            # One that was read may be further than what was heard of the others.
            and self._place.reaches(max(replica.changed for replica in replicas))
        )

    def verify(self, host: ScopeHost) -> None:
        self._place.verify()

    def expect(self, host: ScopeHost, epoch: str) -> bool:
        return self._place.expect(epoch)

    def after(self, offset: int) -> Iterator[Event]:
        return merged(self.replicas, offset)

    def join(self, subscriber: Subscriber, *, polls: bool) -> None:
        self.viewers.add(subscriber)
        if polls:
            self.pollers.add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        self.viewers.discard(subscriber)
        self.pollers.discard(subscriber)
        self.idle_since = time.monotonic()

    def add_writer(self, format: WireFormat, subscriber: Recipient, write: Write) -> None:
        self.writers.setdefault(format, {})[subscriber] = write

    def remove_writer(self, format: WireFormat, subscriber: Recipient) -> None:
        self.writers[format].pop(subscriber, None)

    def hold(self, viewer: Paced) -> None:
        self.held.add(viewer)

    def unhold(self, viewer: Paced) -> None:
        self.held.discard(viewer)


def _narrowed(prefixes: Iterable[str], others: Sequence[str]) -> Iterator[str]:
    """The longer one of each two of which one begins with the other."""
    for prefix in prefixes:
        for other in others:
            if prefix.startswith(other) or other.startswith(prefix):
                yield max(prefix, other, key=len)


_fits: type[Scope] = Selection
