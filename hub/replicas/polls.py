"""Polls: answered from replicas wherever these can, so that a poll costs the broker nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, HubBehind
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import Phase
from statushub.hub.replicas.growth import Grown
from statushub.hub.replicas.log import Page
from statushub.hub.replicas.lookup import LookupBatcher
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.scheduler import STEP_EVENTS, Scheduler
from statushub.hub.replicas.sync import Synchronizer

FOLLOWED_CHANNELS: Final = 8
"""Most channels that one batch poll makes the hub follow: those of a page, not those of a whole tenant."""


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to read of a channel: at most `limit` contents, the newest of those before `after`. `counted` asks for the
    phases."""

    limit: int
    after: Cursor | None = None
    counted: bool = False


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a channel's state. `cursor` is that of the channel's latest event, `next` that after which the next
    page begins; `age` is for how many seconds the broker is lost.

    `phases` has the phase of each content, and `totals` counts those of the whole channel, where they were asked for.
    """

    cursor: Cursor
    events: list[Event]
    phases: list[Phase]
    totals: dict[Phase, int]
    next: Cursor | None
    age: float


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """The latest events of some contents, in the order asked, None where unknown; `cursor` is that of the latest of
    them, and `age` as in `Reading`. `hidden` has those that are known and may not be read."""

    cursor: Cursor
    events: Sequence[Event | None]
    age: float
    hidden: frozenset[str] = frozenset()


class Polls:
    """Answers polls of a channel, and of contents by their ids."""

    def __init__(
        self, registry: Registry, synchronizer: Synchronizer, lookups: LookupBatcher, scheduler: Scheduler
    ) -> None:
        self._registry = registry
        self._synchronizer = synchronizer
        self._lookups = lookups
        self._scheduler = scheduler

    async def read(self, tenant: str, channel: str, page: PageRequest, known: Cursor | None = None) -> Reading:
        """A page of a channel's state, from its replica, which is made and kept by this. `known` is the cursor of what
        the client holds.

        A page after a void cursor is the first one. Raises `BrokerUnavailable` where nothing is known of the channel
        and the broker cannot be asked, `HubBehind` where the client holds something later.
        """
        replica = await self._synchronizer.obtain_readable(tenant, channel)
        while page.counted and replica.log.uncounted > STEP_EVENTS:
            await self._scheduler.run(replica.counting())
            replica = await self._synchronizer.obtain_readable(tenant, channel)
        for cursor in (known, page.after):
            if cursor is not None:
                await self._synchronizer.reach(replica, cursor)
        epoch = replica.epoch or ""
        if page.counted:
            # What has come in this moment.
            replica.log.count(replica.log.uncounted)
        below = page.after.offset if page.after and page.after.epoch == epoch else None
        found: Page = replica.log.page(below, page.limit)
        return Reading(
            cursor=Cursor(epoch=epoch, offset=replica.changed),
            events=_whole(found.events) if replica.growing else found.events,
            phases=found.phases,
            totals=replica.log.totals(),
            next=None if found.next is None else Cursor(epoch=epoch, offset=found.next),
            age=self._synchronizer.age,
        )

    async def lookup(self, identity: Identity, content_ids: Sequence[str], known: Cursor | None = None) -> Lookup:
        """The latest event of each content: all from replicas, or all from the broker in one read.

        Never some from each: they would be of different moments, and their cursor would skip what lies between.
        A content that this identity may not read is indistinguishable from one that does not exist: it is looked
        up in the same way, and its offset does not appear in the cursor. A client that asks once will ask again,
        so the contents' channels are followed from then on, if they are few. `known` is the cursor of what the client
        holds.

        Raises `BrokerUnavailable` where the broker has to be asked and cannot be, `HubBehind` where the client, or
        this hub, holds something later than the broker's server.
        """
        held = self._held(identity, content_ids)
        if held is not None:
            epoch, latest = held
            cursor = _cursor(epoch, latest)
            if known is None or not cursor.precedes(known):
                return Lookup(cursor=cursor, events=latest, age=self._synchronizer.age)
        try:
            read = await self._lookups.read(identity.tenant, content_ids)
        except BrokerUnavailable as error:
            if held is None:
                raise
            raise HubBehind from error
        if self._synchronizer.outdated(identity.tenant, read.clock) or (
            known is not None and self._synchronizer.expect_epoch(identity.tenant, read.clock.epoch, known.epoch)
        ):
            raise HubBehind
        events: list[Event | None] = [read.events.get(content_id) for content_id in content_ids]
        channels = {event.channel for event in events if event}
        unreadable = {channel for channel in channels if not identity.may_read(channel)}
        hidden = frozenset(event.content_id for event in events if event and event.channel in unreadable)
        if unreadable:
            channels -= unreadable
            events = [None if event and event.channel in unreadable else event for event in events]
        if len(channels) <= FOLLOWED_CHANNELS:
            for channel in channels:
                self._synchronizer.obtain(identity.tenant, channel)
        return Lookup(
            # What was removed is unknown, and yet a later state than that which the client may hold.
            cursor=_cursor(read.clock.epoch, [event for event in events if event]),
            events=[None if event and event.removed else event for event in events],
            age=self._synchronizer.age,
            hidden=hidden,
        )

    def _held(self, identity: Identity, content_ids: Sequence[str]) -> tuple[str, list[Event]] | None:
        """The epoch and the events, where replicas of one moment hold all of these contents and may be read."""
        events = self._registry.events(identity.tenant, content_ids)
        if events is None:
            return None
        channels = {event.channel for event in events}
        replicas = [found for channel in channels if (found := self._registry.find(identity.tenant, channel))]
        # One that is being dropped is in the index and no longer in the registry.
        if len(replicas) < len(channels) or not self._synchronizer.readable(replicas):
            return None
        if not all(identity.may_read(replica.channel) for replica in replicas):
            return None
        for replica in replicas:
            replica.touch()
        return replicas[0].epoch or "", _whole(events)


def _cursor(epoch: str | None, events: Sequence[Event]) -> Cursor:
    return Cursor(epoch=epoch or "", offset=max([event.offset for event in events], default=0))


def _whole(events: Sequence[Event]) -> list[Event]:
    """The events as they are at this moment, for a reader that encodes them later."""
    return [event.whole() if type(event) is Grown else event for event in events]
