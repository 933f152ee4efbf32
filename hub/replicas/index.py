"""The list of a tenant's channels: what an identity may read of the broker's index."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.brokers.contract import PAGE_CHANNELS, Broker, ChannelEntry
from statushub.hub.brokers.listing import name_before, place_after
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, HubBehind
from statushub.hub.replicas.sync import Synchronizer

INDEX_READS: Final = 64
"""Most reads of the index for one answer: one for each name that a token lists."""

INDEX_CHANNELS: Final = 4 * PAGE_CHANNELS
"""Most channels that are looked at for one answer, however few of them the token reads: some 30 ms of work."""

LEAST_CHANNELS: Final = 100
"""Least channels of one read where some may not be readable: a small page does not take many reads."""

_BEYOND: Final = "\U0010ffff"
"""Comes after every character that a name may have."""


class ChannelsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which channels to list: those whose names begin with `prefix`, at most `limit`, behind the place `after`."""

    prefix: str
    after: str | None
    limit: int


class ChannelList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of channels. `cursor` is that of the latest event of one of them, `next` the place behind which the next
    page begins, and `looked` how many channels were looked at for it. `secret` tells that `next` may hold the name of a
    channel that may not be read.
    """

    cursor: Cursor
    entries: list[ChannelEntry]
    next: str | None
    looked: int
    secret: bool = False


class Range(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Names that begin with a text, or only the name that equals it."""

    text: str
    exact: bool = False

    def covers(self, other: Range) -> bool:
        """Whether all names of the other are of this range."""
        return self == other or (not self.exact and other.text.startswith(self.text))

    def common(self, other: Range) -> Range | None:
        """The names of both."""
        if self.covers(other):
            return other
        return self if other.covers(self) else None

    def has(self, name: str) -> bool:
        """Whether the name is of this range."""
        return name == self.text if self.exact else name.startswith(self.text)

    @property
    def end(self) -> str:
        """A text behind all names of the range, and before every later name."""
        return self.text if self.exact else self.text + _BEYOND


def ranges_of(identity: Identity, prefix: str) -> list[Range]:
    """The ranges of names in which everything lies that the identity may read and that begins with `prefix`, in their
    order, none within another."""
    readable = _common(_ranges(identity.read), _ranges(identity.within))
    if identity.own:
        readable |= _common([Range(text=identity.own, exact=True)], _ranges(identity.within))
    found = sorted(_common([Range(text=prefix)], readable))
    return [it for it in found if not any(other != it and other.covers(it) for other in found)]


def _ranges(patterns: Patterns) -> list[Range]:
    heads = ((text, *text.partition("*")) for text in patterns.texts)
    return [Range(text=head, exact=not star) for _, head, star, _ in heads]


def _common(some: Iterable[Range], others: Collection[Range]) -> set[Range]:
    return {both for one in some for other in others if (both := one.common(other)) is not None}


class ChannelLister:
    """Lists channels. Each page is read from the broker, since no hub holds the channels that it does not follow."""

    def __init__(self, broker: Broker, synchronizer: Synchronizer) -> None:
        self._broker = broker
        self._synchronizer = synchronizer

    async def read(self, identity: Identity, page: ChannelsRequest, known: Cursor | None = None) -> ChannelList:
        """A page of the channels that the identity may read: the latest first where it reads all and no prefix is
        asked for, else by name. `known` is the cursor of what the client holds.

        A page by name may have less than it could, or nothing, while `next` is not None. Raises `Invalid` where `after`
        is of no such page, `BrokerUnavailable` where the broker cannot be asked, `HubBehind` where the client or this
        hub holds something later than the broker's server.
        """
        tenant = identity.tenant
        if identity.reads_all and not page.prefix:
            walk, after = _Walk(identity, page.limit), page.after
            while True:
                left = page.limit - len(walk.entries)
                found = await self._broker.channels(tenant, after=after, limit=left)
                walk.take(found.entries, found.next)
                clock, after = found.cursor, found.next
                if after is None or walk.ended:
                    break
        else:
            clock, walk = await self._walk(identity, page)
        if self._synchronizer.outdated(tenant, clock) or (
            known is not None and self._synchronizer.expect_epoch(tenant, clock.epoch, known.epoch)
        ):
            raise HubBehind
        # Not the clock: it would tell that something happens in channels that may not be read.
        latest = max((entry.offset for entry in walk.entries), default=0)
        cursor = Cursor(epoch=clock.epoch, offset=latest)
        return ChannelList(cursor=cursor, entries=walk.entries, next=walk.next, looked=walk.looked, secret=walk.secret)

    async def _walk(self, identity: Identity, page: ChannelsRequest) -> tuple[Cursor, _Walk]:
        """The clock and a page by name."""
        before = "" if page.after is None else name_before(page.after).decode(errors="replace")
        ranges = [it for it in ranges_of(identity, page.prefix) if before < it.end]
        walk, after = _Walk(identity, page.limit), page.after
        clock = (await self._broker.offsets(identity.tenant, [])).cursor
        while ranges and not walk.ended:
            range = ranges[0]
            least = page.limit if identity.reads_all else LEAST_CHANNELS
            limit = 1 if range.exact else max(page.limit, least)
            found = await self._broker.channels(
                identity.tenant, prefix=range.text, by_name=True, after=after, limit=limit
            )
            if found.cursor.epoch != clock.epoch:
                raise BrokerUnavailable("the clock has begun anew during the read")
            after = None if range.exact else found.next
            if after is None:
                del ranges[0]
            named = [entry for entry in found.entries if range.has(entry.channel)]
            behind = after or (place_after(range.end.encode()) if ranges else None)
            walk.take(named, behind, secret=after is not None and not identity.reads_all)
        return clock, walk


class _Walk:
    """What one answer has taken of the pages that were read for it."""

    def __init__(self, identity: Identity, limit: int) -> None:
        self.entries: list[ChannelEntry] = []
        self.next: str | None = None
        self.secret = False
        self.looked = 0
        self.ended = False
        self._identity = identity
        self._limit = limit
        self._reads = 0

    def take(self, entries: Sequence[ChannelEntry], behind: str | None, *, secret: bool = False) -> None:
        """Take what may be read; `behind` is the place behind these entries, None where nothing follows. It is `secret`
        where that may be the name of a channel that may not be read."""
        self._reads += 1
        self.looked += len(entries)
        self.next, self.secret = behind, secret
        readable = [entry for entry in entries if self._identity.may_read(entry.channel)]
        left = self._limit - len(self.entries)
        self.entries += readable[:left]
        full = len(self.entries) == self._limit
        if len(readable) > left or (full and secret):
            self.next, self.secret = place_after(self.entries[-1].channel.encode()), False
        self.ended = full or self._reads >= INDEX_READS or self.looked >= INDEX_CHANNELS
