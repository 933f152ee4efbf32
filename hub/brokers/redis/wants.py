"""What a hub wants to hear from Redis: channels, and whole tenants. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from statushub.hub.brokers.redis import commands


class Wants:
    """Channels and tenants by the names of their pub/sub channels.

    A tenant that is followed is *covered* once its own pub/sub channel brings all of its announcements; the channels
    of a covered tenant are not subscribed.
    """

    def __init__(self, root: str) -> None:
        self.channels: dict[bytes, tuple[str, str]] = {}
        self.tenants: dict[bytes, str] = {}
        self.covered: set[str] = set()
        self._leaving: set[str] = set()
        self._root = root

    def add(self, tenant: str, channels: Iterable[str]) -> list[bytes]:
        """Want these channels; returns their names."""
        names = {self._name(tenant, channel): (tenant, channel) for channel in channels}
        self.channels.update(names)
        return [*names]

    def discard(self, tenant: str, channels: Iterable[str]) -> list[bytes]:
        """Want these channels no longer; returns the names of those that were wanted."""
        names = [self._name(tenant, channel) for channel in channels]
        return [name for name in names if self.channels.pop(name, None)]

    def follow(self, tenant: str) -> bytes:
        """Want all of the tenant; returns its name."""
        name = self.tenant_name(tenant)
        self.tenants[name] = tenant
        self._leaving.discard(tenant)
        return name

    def leave(self, tenant: str) -> Sequence[bytes]:
        """Begin to undo `follow`: the tenant is heard on until `unfollow`. Returns the names that it covered."""
        self.covered.discard(tenant)
        self._leaving.add(tenant)
        return [name for name, (owner, _) in self.channels.items() if owner == tenant]

    def unfollow(self, tenant: str) -> list[bytes]:
        """Undo `follow`, where it was not called again since `leave`; returns the name then."""
        if tenant not in self._leaving:
            return []
        self._leaving.discard(tenant)
        name = self.tenant_name(tenant)
        return [] if self.tenants.pop(name, None) is None else [name]

    def cover(self, tenant: str) -> Sequence[bytes]:
        """All of the tenant comes on its own pub/sub channel; returns the names that it covers."""
        if tenant in self.covered or tenant in self._leaving or self.tenant_name(tenant) not in self.tenants:
            return []
        self.covered.add(tenant)
        return [name for name, (owner, _) in self.channels.items() if owner == tenant]

    def heard(self, tenant: str, channel: str) -> bool:
        """Whether the channel's announcements come, or will come before the next `restored`."""
        return tenant in self.covered or self._name(tenant, channel) in self.channels

    def needs(self, name: bytes) -> bool:
        """Whether the pub/sub channel has to be subscribed."""
        source = self.channels.get(name)
        return name in self.tenants if source is None else source[0] not in self.covered

    def needed(self) -> Iterable[tuple[bytes, str]]:
        """The names that have to be subscribed, each with its tenant."""
        yield from self.tenants.items()
        for name, (tenant, _) in self.channels.items():
            if tenant not in self.covered:
                yield name, tenant

    def tenant_name(self, tenant: str) -> bytes:
        """The name of the tenant's own pub/sub channel."""
        return commands.tenant_events(commands.prefix(self._root, tenant))

    def _name(self, tenant: str, channel: str) -> bytes:
        return commands.events(commands.prefix(self._root, tenant), channel)
