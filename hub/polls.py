"""Answers to polls: from replicas wherever they can say, so that a poll costs the broker nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import anyio
import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Event
from statushub.hub.replicas.replica import Entry, Replica, Row, Unknown
from statushub.hub.viewers.viewer import PullViewer

FOLLOWED_CHANNELS: Final = 8
"""Most channels that one batch poll makes the hub follow: a page's, not those of everything there is."""

PATIENCE_SECONDS: Final = 5.0
"""How long a poll waits for its replica before it is told that the broker is unavailable."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's state. `cursor` is that of its latest event; `age` is for how many seconds the broker is lost."""

    cursor: Cursor
    events: list[Event]
    age: float


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """The latest events of some contents, in the order asked; otherwise as `Reading`."""

    cursor: Cursor
    rows: Sequence[Row | Unknown]
    age: float


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What came after a cursor; where `reset` is true, that cursor was void and this is everything."""

    cursor: Cursor
    events: list[Event]
    reset: bool


async def read(hub: Hub, tenant: str, channel: str) -> Reading:
    """A channel's whole state, from its replica, which is made and kept warm by this.

    Raises `BrokerUnavailable` where nothing is known of it and the broker cannot be asked.
    """
    replica = await _readable(hub, tenant, channel)
    entries = [*replica.entries.values()]
    return Reading(cursor=_cursor(replica.epoch, entries), events=[entry.event for entry in entries], age=hub.age)


async def lookup(hub: Hub, identity: Identity, content_ids: Sequence[str]) -> Lookup:
    """The latest event of each content: all from replicas, or all from the broker in one read.

    Never some from each: they would be of different moments, and their cursor would skip what lies between.
    What this identity may not read is as unknown as what there is not, in every respect: it is looked for in
    the same place, and no cursor tells of it. Who asks once will ask again, so the contents' channels are
    followed from then on, if they are few. Raises `BrokerUnavailable` where the broker has to be asked and
    cannot be.
    """
    known = _known(hub, identity, content_ids)
    if known is not None:
        epoch, entries = known
        return Lookup(cursor=_cursor(epoch, entries), rows=entries, age=hub.age)
    tenant = identity.tenant
    read = await hub.lookups.read(tenant, content_ids)
    rows = [read.rows[content_id] for content_id in content_ids]
    channels = {row.event.channel for row in rows if row.event}
    hidden = {channel for channel in channels if not identity.may_read(channel)}
    if hidden:
        channels -= hidden
        rows = [Unknown() if row.event and row.event.channel in hidden else row for row in rows]
    if len(channels) <= FOLLOWED_CHANNELS:
        hub.replicas(tenant, [*channels])
    return Lookup(cursor=_cursor(read.epoch, rows), rows=rows, age=hub.age)


async def changes(
    hub: Hub, identity: Identity, address: str, channel: str, since: Cursor | None, wait: float
) -> Changes:
    """What came after `since`, waiting up to `wait` seconds for something to come.

    Raises `BrokerUnavailable` as `read` does.
    """
    replica = await _readable(hub, identity.tenant, channel)
    viewer = PullViewer(hub, (replica,), since, identity, address)
    hub.attach(viewer)
    try:
        if since and since.epoch == replica.epoch and since.offset > replica.last:
            await hub.recovery.verified(replica)
        reset, entries = viewer.take() or (False, [])
        with anyio.move_on_after(wait):
            while not (entries or reset or viewer.closing):
                await viewer.wake.wait()
                reset, entries = viewer.take() or (False, [])
    finally:
        hub.detach(viewer)
    return Changes(cursor=viewer.cursor, events=[entry.event for entry in entries], reset=reset)


async def _readable(hub: Hub, tenant: str, channel: str) -> Replica:
    """The channel's replica, once it can be read."""
    replica = hub.replica(tenant, channel)
    with anyio.move_on_after(PATIENCE_SECONDS):
        while not hub.readable((replica,)):
            if hub.age:
                break
            await replica.settled.wait()
    if not hub.readable((replica,)):
        raise BrokerUnavailable("the broker cannot be reached, and nothing is known here of that channel")
    return replica


def _known(hub: Hub, identity: Identity, content_ids: Sequence[str]) -> tuple[str, list[Entry]] | None:
    """The epoch and the entries, where replicas of one moment hold all of these contents, and may be read."""
    tenant = hub.tenants.get(identity.tenant)
    if tenant is None:
        return None
    entries = [entry for entry in map(tenant.contents.get, content_ids) if entry]
    if len(entries) < len(content_ids):
        return None
    replicas = [tenant.replicas[channel] for channel in {entry.event.channel for entry in entries}]
    if not hub.readable(replicas):
        return None
    if not all(identity.may_read(replica.channel) for replica in replicas):
        return None
    for replica in replicas:
        replica.idle_since = time.monotonic()
    return replicas[0].epoch or "", entries


def _cursor(epoch: str | None, rows: Sequence[Row | Unknown]) -> Cursor:
    return Cursor(epoch=epoch or "", offset=max([row.offset for row in rows], default=0))
