"""Replica eviction: drops idle replicas, and old tombstones."""

from __future__ import annotations

import time
from operator import attrgetter

from statushub.hub.brokers.contract import TOMBSTONE_SECONDS, Broker
from statushub.hub.brokers.periodic import repeat
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.sync import Synchronizer


class Evictor:
    """Bounds what a hub holds in memory."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        synchronizer: Synchronizer,
        *,
        idle: float,
        max_idle: int,
    ) -> None:
        """A replica is held for `idle` seconds after its last use; at most `max_idle` replicas without a subscriber
        are held."""
        self._broker = broker
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
        for replica in self._registry:
            replica.forget(now - TOMBSTONE_SECONDS)
        unread = (replica for replica in self._registry if not replica.subscribers)
        idle = sorted(unread, key=attrgetter("idle_since"))
        excess = len(idle) - self._max_idle
        for number, replica in enumerate(idle):
            if number < excess or now - replica.idle_since > self._idle:
                await self.drop(replica)

    async def drop(self, replica: Replica) -> None:
        """Drop a replica that has no subscribers."""
        if replica.subscribers:
            return  # one came while others were dropped
        self._registry.remove(replica)
        await self._broker.unsubscribe(replica.tenant, replica.channel)
        successor = self._registry.find(replica.tenant, replica.channel)
        if successor is not None:
            # It may have subscribed before this unsubscribed.
            self._synchronizer.sync(successor)
