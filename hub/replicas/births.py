"""Births: what the announcements of a followed tenant say of channels, beside their events. No I/O."""

from __future__ import annotations

from statushub.hub.model.cursor import epoch_precedes
from statushub.hub.model.event import Announcement
from statushub.hub.replicas.directory import Directory
from statushub.hub.replicas.registry import Registry, Tenant
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.sync import Synchronizer


class Births:
    """Makes the replicas of channels that come into being and are selected."""

    def __init__(self, registry: Registry, synchronizer: Synchronizer, *, selected: int, tenant: int) -> None:
        """A selection has at most `selected` channels, a tenant `tenant` replicas."""
        self._registry = registry
        self._synchronizer = synchronizer
        self._selected = selected
        self._tenant = tenant

    def hear(
        self, owner: Tenant, directory: Directory, announcement: Announcement, replica: Replica | None
    ) -> Replica | None:
        """Let the directory hear an announcement, before its event is applied; returns the replica of its channel, or
        None where nothing is to be applied."""
        if announcement.before is None:
            # Of a subscription to its channel, which ends or begins: that to the tenant brings the event as well.
            return None if directory.hearing else replica
        if directory.hearing and announcement.epoch != directory.epoch:
            if directory.epoch is None or epoch_precedes(directory.epoch, announcement.epoch):
                self._synchronizer.begin_anew(directory.tenant, announcement.epoch)
        elif directory.hearing and not directory.follows(announcement):
            self._synchronizer.resync(directory.tenant)
        elif (
            directory.hearing
            and announcement.event.offset > directory.last
            and (announcement.prev == 0 or replica is None or not replica.audiences)
        ):
            # Before the directory's place moves on: viewers that are paused here have not had the event.
            replica = self._admitted(owner, directory, announcement, replica)
        directory.hear(announcement)
        return replica

    def _admitted(
        self, owner: Tenant, directory: Directory, announcement: Announcement, replica: Replica | None
    ) -> Replica | None:
        channel = announcement.event.channel
        wanting = directory.wanting(channel)
        most = self._selected
        if replica is None and len(owner.replicas) >= self._tenant:
            most = 0
        admitting = [selection for selection in wanting if most and selection.has_room(most)]
        for selection in wanting:
            if selection not in admitting:
                selection.exceed(channel, most or len(selection))
        if not admitting:
            return replica
        if replica is None:
            replica = self._made(owner, announcement)
        # What it holds may be older than what viewers were told of other channels, where the index did not have it.
        older = announcement.prev > 0 and (not replica.live or bool(replica.events))
        for selection in admitting:
            selection.add(replica)
            if older and selection.indexed:
                selection.begin_anew()
        return replica

    def _made(self, owner: Tenant, announcement: Announcement) -> Replica:
        tenant, channel = announcement.tenant, announcement.event.channel
        if announcement.prev or announcement.before is None:
            # It was there before, and is not in the index that was read.
            return self._synchronizer.obtain(tenant, channel)
        replica = self._registry.add(tenant, channel)
        replica.begin(announcement.epoch, announcement.before, announcement.floor)
        owner.live_epoch = announcement.epoch
        return replica
