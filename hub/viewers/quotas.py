"""Limits on what one tenant, one subject or one address may take from the others."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final, TypeVar

import msgspec

from statushub.hub.auth.identity import Identity
from statushub.hub.model.errors import TooManyRequests

RATES_KEPT: Final = 10_000
"""Publishers whose pace is remembered: a few MB. Beyond that those that have been quiet longest are forgotten."""


K = TypeVar("K")


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many streams there may be at once: on this hub, of one tenant, one subject and one address."""

    hub: int
    tenant: int
    sub: int
    address: int


class StreamQuota:
    """The streams that are open, by whose they are."""

    def __init__(self, room: StreamLimits) -> None:
        self._room = room
        self._all = 0
        self._tenants: Counter[str] = Counter()
        self._subjects: Counter[tuple[str, str]] = Counter()
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._all

    def full(self, identity: Identity, address: str) -> str | None:
        """The name of the limit that keeps this viewer out; None where there is a place."""
        room, tenant, sub = self._room, identity.tenant, identity.sub
        if self._all >= room.hub:
            return "streams_hub"
        if self._tenants[tenant] >= room.tenant:
            return "streams_tenant"
        if sub is not None and self._subjects[tenant, sub] >= room.sub:
            return "streams_sub"
        if address and self._addresses[address] >= room.address:
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


class RateLimiter:
    """How fast each publisher publishes: `rate` events a second, and a second's worth of them at once.

    A call is let through whole where anything is left, and its excess is owed: a batch may be larger than a
    second's worth, and the average holds.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left: dict[object, tuple[float, float]] = {}

    def spend(self, publisher: object, events: int, now: float | None = None) -> None:
        """Count `events` of this publisher. Raises `TooManyRequests` where it published too much already."""
        now = time.monotonic() if now is None else now
        left, since = self._left.pop(publisher, (self._rate, now))
        left = min(self._rate, left + (now - since) * self._rate)
        if left <= 0:
            self._left[publisher] = (left, now)
            raise TooManyRequests(
                f"more than {self._rate:g} events a second were published",
                retry_after=-left / self._rate,
                limit="publish_rate",
            )
        self._left[publisher] = (left - events, now)
        if len(self._left) > RATES_KEPT:
            # A dictionary keeps its order, and whoever publishes moves to its end.
            del self._left[next(iter(self._left))]


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
