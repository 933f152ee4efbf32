"""Replica eviction: drops idle replicas, and old tombstones."""

from __future__ import annotations

import time
from collections import defaultdict
from operator import attrgetter
from typing import Final

import anyio.lowlevel

from statushub.hub.brokers.contract import TOMBSTONE_SECONDS
from statushub.hub.brokers.periodic import repeat
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.sync import Synchronizer

EVICTION_REPLICAS: Final = 500
"""Replicas looked at before others get the event loop: a few milliseconds."""


class Evictor:
    """Bounds what a hub holds in memory."""

    def __init__(
        self,
        registry: Registry,
        synchronizer: Synchronizer,
        *,
        idle: float,
        max_idle: int,
    ) -> None:
        """A replica is held for `idle` seconds after its last use; at most `max_idle` replicas without a subscriber
        are held."""
        self._registry = registry
        self._synchronizer = synchronizer
        self._idle = idle
        self._max_idle = max_idle

    async def run(self, interval: float) -> None:
        """Evict every `interval` seconds until cancelled."""
        await repeat(interval, self.evict)

    async def evict(self) -> None:
        """Forget old tombstones, and drop the replicas that are idle, the longest idle first."""
        now = time.monotonic()
        held = tuple(self._registry)
        for start in range(0, len(held), EVICTION_REPLICAS):
            for replica in held[start : start + EVICTION_REPLICAS]:
                replica.forget(now - TOMBSTONE_SECONDS)
            await anyio.lowlevel.checkpoint()
        idle = sorted((replica for replica in self._registry if not replica.subscribers), key=attrgetter("idle_since"))
        excess = len(idle) - self._max_idle
        evicted = [it for number, it in enumerate(idle) if number < excess or now - it.idle_since > self._idle]
        for start in range(0, len(evicted), EVICTION_REPLICAS):
            tenants = defaultdict(list)
            for replica in evicted[start : start + EVICTION_REPLICAS]:
                tenants[replica.tenant].append(replica)
            for tenant, replicas in tenants.items():
                await self._synchronizer.drop(tenant, replicas)
            await anyio.lowlevel.checkpoint()
