"""Quotas: how many streams one tenant, one subject and one address may have, and how many channels they may follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TypeVar

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.replicas.selection import Selection

K = TypeVar("K")


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The most open streams: on this hub, of one tenant, one subject and one address."""

    hub: int
    tenant: int
    sub: int
    address: int


class StreamQuota:
    """Counts the open streams by tenant, subject and address."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._all = 0
        self._tenants: Counter[str] = Counter()
        self._subjects: Counter[tuple[str, str]] = Counter()
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._all

    def full(self, identity: Identity, address: str) -> str | None:
        """The name of the limit that keeps another stream out; None where there is room for it."""
        limits, tenant, sub = self._limits, identity.tenant, identity.sub
        if self._all >= limits.hub:
            return "streams_hub"
        if self._tenants[tenant] >= limits.tenant:
            return "streams_tenant"
        if sub is not None and self._subjects[tenant, sub] >= limits.sub:
            return "streams_sub"
        if address and self._addresses[address] >= limits.address:
            return "streams_address"
        return None

    def take(self, identity: Identity, address: str) -> None:
        """Count a viewer in."""
        self._all += 1
        self._tenants[identity.tenant] += 1
        if identity.sub is not None:
            self._subjects[identity.tenant, identity.sub] += 1
        self._addresses[address] += 1

    def leave(self, identity: Identity, address: str) -> None:
        """Count a viewer out that was counted in."""
        self._all -= 1
        _less(self._tenants, identity.tenant)
        if identity.sub is not None:
            _less(self._subjects, (identity.tenant, identity.sub))
        _less(self._addresses, address)


class ChannelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The most channels that the viewers of one tenant, and of one identity, follow."""

    tenant: int
    sub: int


class ChannelQuota:
    """Counts the channels that viewers follow, by tenant and by identity. A channel counts once, however many of their
    viewers follow it. An identity without a `sub` is its token, and without a token its address.

    Selections count for an identity only, each with all of its channels: those of a tenant are limited by its replicas.
    """

    def __init__(self, limits: ChannelLimits) -> None:
        self._limits = limits
        self._followed: dict[tuple[str, str | None], Counter[str]] = {}
        self._selected: dict[tuple[str, str | None], Counter[Selection]] = {}

    def full(self, identity: Identity, address: str, channels: Collection[str]) -> str | None:
        """The name of the limit that keeps out a viewer of these channels; None where there is room for it."""
        if self._over(_tenant(identity), channels, self._limits.tenant):
            return "channels_tenant"
        if self._over(_follower(identity, address), channels, self._limits.sub):
            return "channels_sub"
        return None

    def full_with(self, identity: Identity, address: str, selection: Selection) -> str | None:
        """As `full`, for a viewer of this selection."""
        follower = _follower(identity, address)
        there = self._selected.get(follower, ())
        if selection in there:
            return None
        count = len(self._followed.get(follower, ())) + sum(map(len, there)) + len(selection)
        return "channels_sub" if count > self._limits.sub else None

    def take(self, identity: Identity, address: str, channels: Sequence[str]) -> None:
        """Count a viewer of these channels in."""
        if not channels:
            return
        for key in (_tenant(identity), _follower(identity, address)):
            followed = self._followed.get(key)
            if followed is None:
                followed = self._followed[key] = Counter()
            for channel in channels:
                followed[channel] += 1

    def select(self, identity: Identity, address: str, selection: Selection) -> None:
        """Count a viewer of this selection in."""
        self._selected.setdefault(_follower(identity, address), Counter())[selection] += 1

    def deselect(self, identity: Identity, address: str, selection: Selection) -> None:
        """Undo `select`."""
        follower = _follower(identity, address)
        _less(self._selected[follower], selection)
        if not self._selected[follower]:
            del self._selected[follower]

    def leave(self, identity: Identity, address: str, channels: Sequence[str]) -> None:
        """Count a viewer out that was counted in."""
        if not channels:
            return
        for key in (_tenant(identity), _follower(identity, address)):
            followed = self._followed[key]
            for channel in channels:
                _less(followed, channel)
            if not followed:
                del self._followed[key]

    def _over(self, key: tuple[str, str | None], channels: Collection[str], limit: int) -> bool:
        followed = self._followed.get(key, ())
        further = [channel for channel in channels if channel not in followed]
        if not further:
            return False
        selected = sum(map(len, self._selected.get(key, ())))
        return len(followed) + selected + len(further) > limit


def _tenant(identity: Identity) -> tuple[str, str | None]:
    return identity.tenant, None


def _follower(identity: Identity, address: str) -> tuple[str, str | None]:
    return identity.tenant, identity.publisher or address


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
