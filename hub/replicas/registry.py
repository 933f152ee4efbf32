"""The registry: a hub's replicas, by tenant and channel. No I/O and no tasks."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence

from statushub.hub.model.event import Event
from statushub.hub.replicas.directory import Directory
from statushub.hub.replicas.replica import Replica


class Tenant:
    """A tenant's replicas by channel, the event of each content that they hold, and the latest epoch of its clock.

    `live_epoch` is that of every live replica. `directory` is there while patterns are followed.
    """

    __slots__ = ("contents", "directory", "epoch", "live_epoch", "replicas")

    def __init__(self) -> None:
        self.epoch = ""
        self.live_epoch: str | None = None
        self.replicas: dict[str, Replica] = {}
        self.contents: dict[str, Event] = {}
        self.directory: Directory | None = None


class Registry:
    """The replicas of all tenants. A tenant is there while it has a replica or a directory."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}

    def __iter__(self) -> Iterator[Replica]:
        for tenant in self.tenants.values():
            yield from tenant.replicas.values()

    def __contains__(self, replica: Replica) -> bool:
        """Whether this very replica is registered; another may be in its place."""
        return self.find(replica.tenant, replica.channel) is replica

    def find(self, tenant: str, channel: str) -> Replica | None:
        """The channel's replica."""
        found = self.tenants.get(tenant)
        return found.replicas.get(channel) if found else None

    def of(self, tenant: str) -> Collection[Replica]:
        """The replicas of a tenant."""
        found = self.tenants.get(tenant)
        return found.replicas.values() if found else ()

    def ids(self, tenant: str, channel: str) -> list[str]:
        """The ids of a channel's contents that are held, but for removed ones."""
        replica = self.find(tenant, channel)
        return [] if replica is None else [id for id, event in replica.events.items() if not event.removed]

    def add(self, tenant: str, channel: str) -> Replica:
        """A new replica in the channel's place."""
        owner = self.tenants.setdefault(tenant, Tenant())
        replica = owner.replicas[channel] = Replica(tenant, channel, owner.contents)
        return replica

    def remove(self, replica: Replica) -> None:
        """Drop a registered replica, with its contents."""
        for _ in self.removing(replica):
            pass

    def removing(self, replica: Replica) -> Generator[None]:
        """As `remove`, of which only the contents are dropped in steps."""
        owner = self.tenants[replica.tenant]
        del owner.replicas[replica.channel]
        self._tidy(replica.tenant, owner)
        return replica.clearing()

    def directory(self, tenant: str) -> Directory | None:
        """The tenant's directory."""
        found = self.tenants.get(tenant)
        return found.directory if found else None

    def directories(self) -> list[Directory]:
        """Those of all tenants."""
        return [it.directory for it in self.tenants.values() if it.directory is not None]

    def direct(self, directory: Directory) -> None:
        """Let the tenant have this directory."""
        self.tenants.setdefault(directory.tenant, Tenant()).directory = directory

    def undirect(self, directory: Directory) -> None:
        """Undo `direct`."""
        owner = self.tenants[directory.tenant]
        owner.directory = None
        self._tidy(directory.tenant, owner)

    def _tidy(self, tenant: str, owner: Tenant) -> None:
        if not owner.replicas and owner.directory is None:
            del self.tenants[tenant]

    def events(self, tenant: str, content_ids: Sequence[str]) -> list[Event] | None:
        """The latest event of each content, in the order asked; None unless all are held.

        A removed one is not: by now it may live in a channel that is not held here.
        """
        owner = self.tenants.get(tenant)
        if owner is None:
            return None
        events = [event for event in map(owner.contents.get, content_ids) if event and not event.removed]
        return events if len(events) == len(content_ids) else None
