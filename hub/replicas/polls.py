"""Polls: answered from replicas wherever these can, so that a poll costs the broker nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, HubBehind
from statushub.hub.model.event import Event
from statushub.hub.replicas.lookup import LookupBatcher
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.row import Entry, Row
from statushub.hub.replicas.sync import Synchronizer

FOLLOWED_CHANNELS: Final = 8
"""Most channels that one batch poll makes the hub follow: those of a page, not those of a whole tenant."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's state. `cursor` is that of its latest event; `age` is for how many seconds the broker is lost."""

    cursor: Cursor
    events: list[Event]
    age: float


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """The latest events of some contents, in the order asked, None where unknown; otherwise as `Reading`."""

    cursor: Cursor
    rows: Sequence[Row | None]
    age: float


class Polls:
    """Answers polls of a channel, and of contents by their ids."""

    def __init__(self, registry: Registry, synchronizer: Synchronizer, lookups: LookupBatcher) -> None:
        self._registry = registry
        self._synchronizer = synchronizer
        self._lookups = lookups

    async def read(self, tenant: str, channel: str, known: Cursor | None = None) -> Reading:
        """A channel's whole state, from its replica, which is made and kept by this. `known` is the cursor of what the
        client holds.

        Raises `BrokerUnavailable` where nothing is known of it and the broker cannot be asked, `HubBehind` where the
        client holds something later.
        """
        replica = await self._synchronizer.obtain_readable(tenant, channel)
        if known is not None:
            await self._synchronizer.reach(replica, known)
        return Reading(
            cursor=Cursor(epoch=replica.epoch or "", offset=replica.changed),
            events=[entry.event for entry in replica.states()],
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
            epoch, entries = held
            cursor = _cursor(epoch, entries)
            if known is None or not cursor.precedes(known):
                return Lookup(cursor=cursor, rows=entries, age=self._synchronizer.age)
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
        rows: list[Row | None] = [read.rows.get(content_id) for content_id in content_ids]
        channels = {row.event.channel for row in rows if row}
        hidden = {channel for channel in channels if not identity.may_read(channel)}
        if hidden:
            channels -= hidden
            rows = [None if row and row.event.channel in hidden else row for row in rows]
        if len(channels) <= FOLLOWED_CHANNELS:
            for channel in channels:
                self._synchronizer.obtain(identity.tenant, channel)
        return Lookup(
            # What was removed is unknown, and yet a later state than that which the client may hold.
            cursor=_cursor(read.clock.epoch, [row for row in rows if row]),
            rows=[None if row and row.event.removed else row for row in rows],
            age=self._synchronizer.age,
        )

    def _held(self, identity: Identity, content_ids: Sequence[str]) -> tuple[str, list[Entry]] | None:
        """The epoch and the entries, where replicas of one moment hold all of these contents and may be read."""
        entries = self._registry.entries(identity.tenant, content_ids)
        if entries is None:
            return None
        replicas = [
            replica
            for channel in {entry.event.channel for entry in entries}
            if (replica := self._registry.find(identity.tenant, channel))
        ]
        if not self._synchronizer.readable(replicas):
            return None
        if not all(identity.may_read(replica.channel) for replica in replicas):
            return None
        for replica in replicas:
            replica.touch()
        return replicas[0].epoch or "", entries


def _cursor(epoch: str | None, rows: Sequence[Row]) -> Cursor:
    return Cursor(epoch=epoch or "", offset=max([row.offset for row in rows], default=0))
