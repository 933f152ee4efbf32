"""What a hub does by the clock: ends overdue leases, finds what was lost unnoticed, forgets what nobody needs."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import anyio

from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.replica import Replica, Tenant

if TYPE_CHECKING:
    from statushub.hub.hub import Hub

SWEEP_SECONDS: Final = 1.0
"""Between sweeps: a lease ends at most this late."""

AUDIT_SECONDS: Final = 10.0
"""Between audits. A hole shows with the channel's next announcement; after the last one there is none, and the
last one is often the one that ends the work."""

TIDY_SECONDS: Final = 5.0
"""Between looks for idle replicas."""

IDLE_SECONDS: Final = 60.0
"""How long a replica outlives its last viewer or poll."""

IDLE_REPLICAS: Final = 10_000
"""Replicas kept that nobody looks at: whoever polls names that do not exist costs some MB, not all of them."""

logger = logging.getLogger(__name__)


class Upkeep:
    """The chores of a hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def run(self) -> None:
        """Do them until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_every, SWEEP_SECONDS, self.hub.broker.expire)
            tasks.start_soon(_every, AUDIT_SECONDS, self.audit)
            tasks.start_soon(_every, TIDY_SECONDS, self.tidy)

    async def audit(self) -> None:
        """Read again what the broker has and no announcement told of."""
        for tenant in tuple(self.hub.tenants.values()):
            live = [replica for replica in tenant.replicas.values() if replica.live]
            if live:
                await self._audit(tenant, live)

    async def _audit(self, tenant: Tenant, replicas: Sequence[Replica]) -> None:
        told = await self.hub.broker.offsets(tenant.name, [replica.channel for replica in replicas])
        for replica, offset in zip(replicas, told.offsets, strict=True):
            if replica.live and (offset > replica.last or told.epoch != replica.epoch):
                logger.warning("channel %r missed an announcement; it is read again", replica.channel)
                self.hub.recovery.repair(replica)

    async def tidy(self) -> None:
        """Forget what retention lets go, and drop the replicas that nobody asks for."""
        now = time.monotonic()
        replicas = self.hub.every_replica()
        for replica in replicas:
            replica.forget(now - self.hub.retention)
        idle = sorted((replica for replica in replicas if not replica.viewers), key=attrgetter("idle_since"))
        excess = len(idle) - IDLE_REPLICAS
        for number, replica in enumerate(idle):
            if number < excess or now - replica.idle_since > IDLE_SECONDS:
                await self.hub.drop(replica)


async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` every so many seconds, whatever becomes of it."""
    while True:
        await anyio.sleep(seconds)
        try:
            await work()
        except BrokerUnavailable as error:
            logger.debug("the broker is away: %s", error.message)
        except Exception:
            logger.exception("%s failed; it is tried again", work.__name__)
