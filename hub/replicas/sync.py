"""Recovery: keeps replicas true where announcements alone do not.

A replica is synced when it is made, when a hole in it shows, when its clock has another epoch, and when the broker
is back. Meanwhile announcements wait in it, and the viewers of that channel are behind.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Final

import anyio

from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.replica import Replica, Tenant
from statushub.hub.viewers.viewer import VOID

if TYPE_CHECKING:
    from statushub.hub.hub import Hub

SYNCS: Final = 64
"""Replicas synced at once: enough to fill a broker's pipeline, few enough to leave it to others."""

SYNC_RETRY_SECONDS: Final = (0.2, 1.0)
"""Least and most seconds before a sync that failed is tried again."""

logger = logging.getLogger(__name__)


class Recovery:
    """The syncs of a hub's replicas. `lost_at` is since when the broker is lost, on the monotonic clock, or None."""

    def __init__(self, hub: Hub) -> None:
        self.lost_at: float | None = None
        self._hub = hub
        self._losses = 0
        self._slots = anyio.Semaphore(SYNCS)
        self._verifying: set[Replica] = set()

    def lost(self) -> None:
        """The broker is lost: what there is stays as it is, and nobody is told more."""
        self.lost_at = time.monotonic()
        self._losses += 1
        for replica in self._hub.every_replica():
            if replica.live:
                replica.frozen = self._losses
            self._hold(replica)
            # Whoever waits for it may have what it holds.
            replica.settled.set()
            replica.settled = asyncio.Event()

    def restored(self) -> None:
        """The broker is back: everything is read that was missed."""
        self.lost_at = None
        for replica in self._hub.every_replica():
            self.sync(replica)

    def sync(self, replica: Replica) -> None:
        """Read what is missing here, and be live again; returns at once."""
        self._hold(replica)
        if not replica.syncing:
            replica.syncing = True
            self._hub.start(self._sync, replica)

    def repair(self, replica: Replica) -> None:
        """Read what is missing here, since announcements of it were lost."""
        self._void_overtaken(replica)
        self.sync(replica)

    def begin_anew(self, tenant: Tenant) -> None:
        """The tenant's clock has another epoch: nothing known of it holds."""
        for replica in tenant.replicas.values():
            self.sync(replica)

    def verify(self, replica: Replica) -> None:
        """Find out whether cursors ahead of what is known here are ahead of the clock, too, and so void."""
        if self.lost_at is None and replica not in self._verifying:
            self._hub.start(self.verified, replica)

    async def verified(self, replica: Replica) -> None:
        """As `verify`; returns when it is found out, or when somebody else will find out."""
        self._verifying.add(replica)
        asked = [viewer for viewer in replica.viewers if viewer.epoch == replica.epoch]
        try:
            async with self._slots:
                snapshot = await self._hub.broker.changes(replica.tenant.name, replica.channel, replica.cursor)
        except BrokerUnavailable:
            # Nobody would ask again; a sync does so until it is answered, and then viewers catch up.
            if not self._dropped(replica):
                self.sync(replica)
            return
        finally:
            self._verifying.discard(replica)
        if replica.epoch != snapshot.cursor.epoch:
            self.begin_anew(replica.tenant)
            return
        if snapshot.events and snapshot.events[-1].offset > replica.last:
            # Announcements up to the clock have arrived, so those of these were lost.
            self.repair(replica)
        elif replica.live:
            # Of other channels nothing was read: to say the same of them would hide what they may have missed.
            replica.last = max(replica.last, snapshot.cursor.offset)
        # What is still ahead of the clock was never given out.
        for viewer in asked:
            if viewer.offset > snapshot.cursor.offset:
                viewer.epoch = VOID
        for viewer in tuple(replica.viewers):
            viewer.catch_up()

    def _hold(self, replica: Replica) -> None:
        """From now on announcements wait, and so do the viewers of this replica."""
        for viewer in replica.viewers:
            viewer.hold()
        replica.live = False
        replica.settled.clear()

    def _void_overtaken(self, replica: Replica) -> None:
        """Reset the viewers that saw later offsets of other channels before the hole in this one showed.

        What they missed has a lower offset than what they have, so no growing id can bring it to them.
        """
        for viewer in replica.viewers:
            if len(viewer.replicas) > 1:
                viewer.hold()
                viewer.epoch = VOID

    async def _sync(self, replica: Replica) -> None:
        """Subscribe, then read, then take in what was announced meanwhile, until nothing is missing."""
        try:
            while self.lost_at is None and not self._dropped(replica):
                self._hub.counts.syncs += 1
                losses = self._losses
                try:
                    async with self._slots:
                        if self._dropped(replica):
                            return
                        await self._hub.broker.subscribe(replica.tenant.name, replica.channel)
                        snapshot = await self._hub.broker.changes(replica.tenant.name, replica.channel, replica.cursor)
                except BrokerUnavailable as error:
                    logger.debug("channel %r waits for the broker: %s", replica.channel, error.message)
                    await anyio.sleep(random.uniform(*SYNC_RETRY_SECONDS))
                    continue
                except Exception:
                    # One channel's trouble must not end everybody's streams.
                    logger.exception("channel %r cannot be read; it is tried again", replica.channel)
                    await anyio.sleep(random.uniform(*SYNC_RETRY_SECONDS))
                    continue
                if losses != self._losses or self._dropped(replica):
                    continue  # what was read may be older than what was missed
                replica.load(snapshot)
                if replica.replay():
                    self._go_live(replica)
                    return
        finally:
            replica.syncing = False

    @staticmethod
    def _dropped(replica: Replica) -> bool:
        """Whether nobody asks for it any more; another may be in its place."""
        return replica.tenant.replicas.get(replica.channel) is not replica

    def _go_live(self, replica: Replica) -> None:
        replica.live = True
        replica.syncing = False
        replica.settled.set()
        for other in replica.tenant.replicas.values():
            if other.live and other.epoch != replica.epoch:
                self.sync(other)
        for viewer in tuple(replica.viewers):
            viewer.catch_up()
