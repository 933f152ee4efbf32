"""Ingest: applies announcements to replicas in the clock's order, and fans them out.

Nothing on this way waits or asks the broker. What does (making a replica, repairing a hole, coming back after the
broker was away) is the synchronizer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from statushub.hub.metrics import Counts
from statushub.hub.model.cursor import epoch_precedes
from statushub.hub.model.event import Announcement, Event
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.sync import Synchronizer

FanOut = Callable[[Replica, Sequence[Event]], int]
"""Passes a replica's next entries on to its subscribers; returns the number of deliveries."""


class Ingest:
    """Listens to a broker: see `statushub.hub.brokers.contract.Listener`."""

    def __init__(
        self, registry: Registry, synchronizer: Synchronizer, fan_out: FanOut, counts: Counts, max_waiting: int
    ) -> None:
        """`max_waiting` is the most announcements kept for a replica that is being synced."""
        self._tenants = registry.tenants
        self._synchronizer = synchronizer
        self._fan_out = fan_out
        self._counts = counts
        self._max_waiting = max_waiting

    def lost(self) -> None:
        self._synchronizer.lost()

    def restored(self) -> None:
        self._synchronizer.restored()

    def announced(self, batch: Sequence[Announcement]) -> None:
        deliveries = 0
        run: list[Event] = []
        before: Replica | None = None
        for announcement in batch:
            tenant = self._tenants.get(announcement.tenant)
            replica = tenant.replicas.get(announcement.event.channel) if tenant else None
            if replica is None:
                continue
            in_order = replica.follows(announcement)
            if before is not None and (replica is not before or not in_order):
                # Viewers are written what was applied before anything else happens to them.
                deliveries += self._fan_out(before, run)
                before, run = None, []
            if in_order:
                run.append(replica.apply(announcement.event))
                before = replica
            else:
                self._out_of_order(replica, announcement)
        if before is not None:
            deliveries += self._fan_out(before, run)
        self._counts.announcements += len(batch)
        self._counts.deliveries += deliveries

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
