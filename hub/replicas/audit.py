"""The replica auditor: finds announcements that were lost without a later one to show the hole."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.periodic import repeat
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.sync import Synchronizer

logger = logging.getLogger(__name__)


class Auditor:
    """Compares how far the broker's channels are with how far their replicas are."""

    def __init__(self, broker: Broker, registry: Registry, synchronizer: Synchronizer) -> None:
        self._broker = broker
        self._registry = registry
        self._synchronizer = synchronizer

    async def run(self, interval: float) -> None:
        """Audit every `interval` seconds until cancelled."""
        await repeat(interval, self.audit)

    async def audit(self) -> None:
        """Repair the replicas that are behind the broker. Raises the first `BrokerUnavailable` once all tenants are
        audited."""
        failure: BrokerUnavailable | None = None
        for tenant in tuple(self._registry.tenants):
            live = [replica for replica in self._registry.of(tenant) if replica.live]
            if live:
                try:
                    await self._audit(tenant, live)
                except BrokerUnavailable as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    async def _audit(self, tenant: str, replicas: Sequence[Replica]) -> None:
        known = [replica.last for replica in replicas]
        told = await self._broker.offsets(tenant, [replica.channel for replica in replicas])
        directory = self._registry.directory(tenant)
        if directory is not None and directory.misses(told.cursor):
            self._synchronizer.resync(tenant)
            return
        for replica, offset, before in zip(replicas, told.offsets, known, strict=True):
            if replica.live and (
                offset > replica.last or told.cursor.epoch != replica.epoch or told.cursor.offset < before
            ):
                logger.warning("channel %r missed an announcement; it is read again", replica.channel)
                self._synchronizer.repair(replica)
