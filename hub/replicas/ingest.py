"""Ingest: applies announcements to replicas in the clock's order, and fans them out.

Nothing on this way waits or asks the broker. What does (making a replica, repairing a hole, coming back after the
broker was away) is the synchronizer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from statushub.hub.metrics import Counts
from statushub.hub.model.cursor import epoch_precedes
from statushub.hub.model.event import Announcement, Event
from statushub.hub.replicas.delivery_lag import DeliveryLag
from statushub.hub.replicas.directory import Directory
from statushub.hub.replicas.growth import decoded
from statushub.hub.replicas.registry import Registry, Tenant
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.sync import Synchronizer

FanOut = Callable[[Replica, Sequence[Event]], int]
"""Passes a replica's next entries on to its subscribers; returns the number of deliveries."""


Hear = Callable[[Tenant, Directory, Announcement, Replica | None], Replica | None]
"""Lets a tenant's directory hear an announcement; returns the replica of its channel, which may be new."""


Dropping = Callable[[Sequence[Announcement]], None]
"""Is told of announcements once viewers were, so that what is kept of their contents elsewhere is dropped."""


class Ingest:
    """Listens to a broker: see `statushub.hub.brokers.contract.Listener`."""

    def __init__(
        self,
        registry: Registry,
        synchronizer: Synchronizer,
        fan_out: FanOut,
        counts: Counts,
        *,
        max_waiting: int,
        hear: Hear,
        dropping: Dropping | None = None,
    ) -> None:
        """`max_waiting` is the most announcements kept for a replica that is being synced."""
        self._dropping = dropping
        self._hear = hear
        self._tenants = registry.tenants
        self._synchronizer = synchronizer
        self._fan_out = fan_out
        self._counts = counts
        self.lag = DeliveryLag(counts.lag)
        self._max_waiting = max_waiting

    def lost(self) -> None:
        self._synchronizer.lost()

    def restored(self) -> None:
        self._counts.reconnects += 1
        self._synchronizer.restored()

    def announced(self, batch: Sequence[Announcement]) -> None:
        deliveries = 0
        run: list[Event] = []
        before: Replica | None = None
        for announcement in batch:
            tenant = self._tenants.get(announcement.tenant)
            if tenant is None:
                continue
            replica = tenant.replicas.get(announcement.event.channel)
            if replica is None and tenant.directory is None:
                continue
            if announcement.event.after and replica is not None:
                announcement = replace(announcement, event=decoded(announcement.event))
            in_order = replica is not None and replica.follows(announcement)
            gap = tenant.directory is not None and not tenant.directory.follows(announcement)
            if before is not None and (replica is not before or not in_order or gap):
                # Viewers are written what was applied before anything else happens to them.
                deliveries += self._fan_out(before, run)
                before, run = None, []
            if tenant.directory is not None:
                replica = self._hear(tenant, tenant.directory, announcement, replica)
                in_order = replica is not None and replica.follows(announcement)
            if replica is None:
                continue
            if in_order:
                run.append(replica.apply(announcement.event))
                before = replica
            else:
                self._out_of_order(replica, announcement)
        if before is not None:
            deliveries += self._fan_out(before, run)
            if self.lag.due and deliveries:
                self.lag.delivered(run[0])
        self._counts.announcements += len(batch)
        self._counts.deliveries += deliveries
        if self._dropping is not None:
            self._dropping(batch)

    def _out_of_order(self, replica: Replica, announcement: Announcement) -> None:
        """Take in what does not follow: late, early, of another epoch, or while the replica is synced."""
        if not replica.live:
            if len(replica.waiting) >= self._max_waiting:
                # The next one shows by its `prev` that these are missing, and they are read.
                replica.waiting.clear()
            replica.waiting.append(announcement)
        elif announcement.epoch != replica.epoch:
            if replica.epoch is None or epoch_precedes(replica.epoch, announcement.epoch):
                self._synchronizer.begin_anew(replica.tenant, announcement.epoch)
                replica.waiting.append(announcement)
        elif announcement.event.offset > replica.last:
            self._synchronizer.repair(replica)
            replica.waiting.append(announcement)
