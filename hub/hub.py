"""The hub: takes in announcements and fans them out.

Announcements come one way, from the broker, in the order of their tenant's clock; nothing on that way waits
or asks. What does wait (making a replica, repairing a hole, coming back after the broker was away) is
`recovery`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import anyio

from statushub.hub.auth import revocations
from statushub.hub.auth.revocations import Revocation
from statushub.hub.brokers.contract import RETENTION_SECONDS, Broker
from statushub.hub.config import (
    GRACE_SECONDS,
    HEARTBEAT_SECONDS,
    MAX_STREAMS,
    MAX_STREAMS_ADDRESS,
    MAX_STREAMS_SUB,
    MAX_STREAMS_TENANT,
    STALL_SECONDS,
)
from statushub.hub.metrics import Counts, Measures
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Announcement
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.hub.replicas.lookup import LookupBatcher
from statushub.hub.replicas.replica import Replica, Tenant
from statushub.hub.replicas.sync import Recovery
from statushub.hub.replicas.upkeep import Upkeep
from statushub.hub.viewers.expiry import StreamExpiry
from statushub.hub.viewers.heartbeat import Heartbeat
from statushub.hub.viewers.quotas import StreamLimits, StreamQuota
from statushub.hub.viewers.viewer import DRAIN_MS, PullViewer, PushViewer, Viewer

WAITING: Final = 10_000
"""Announcements kept for a replica that is being synced: 200 ms of 50,000 a second, some MB. Beyond that they
are read again."""

ROOM: Final = StreamLimits(hub=MAX_STREAMS, tenant=MAX_STREAMS_TENANT, sub=MAX_STREAMS_SUB, address=MAX_STREAMS_ADDRESS)


class Hub:
    """Follows a broker for viewers and polls. An async context manager around an entered broker's life.

    `listen` is called on the broker here, so the hub is made before the broker is entered.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        stall_timeout: float = STALL_SECONDS,
        retention: float = RETENTION_SECONDS,
        grace: float = GRACE_SECONDS,
        auth_required: bool = False,
        room: StreamLimits = ROOM,
    ) -> None:
        self.broker = broker
        self.retention = retention
        self.drain_ms = (DRAIN_MS, max(DRAIN_MS, round(grace * 1000)))
        self.places = StreamQuota(room)
        self.doorkeeper = StreamExpiry(self)
        self._auth_required = auth_required
        self.tenants: dict[str, Tenant] = {}
        self.pulling: set[PullViewer] = set()
        self.draining = False
        self.counts = Counts()
        self.heartbeat = Heartbeat(heartbeat, stall_timeout)
        self.recovery = Recovery(self)
        self.lookups = LookupBatcher(self)
        self._stack = AsyncExitStack()
        broker.listen(self)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._tasks.start_soon(self.heartbeat.run)
        self._tasks.start_soon(Upkeep(self).run)
        if self._auth_required:
            self._tasks.start_soon(self.doorkeeper.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain()
        self._tasks.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)

    def start(self, work: Callable[..., Coroutine[Any, Any, object]], *arguments: object) -> None:
        """Do `work` beside everything else, for as long as the hub lives."""
        self._tasks.start_soon(work, *arguments)

    # What the broker tells

    def lost(self) -> None:
        self.recovery.lost()

    def restored(self) -> None:
        self.recovery.restored()

    def announced(self, batch: Sequence[Announcement]) -> None:
        self.counts.announcements += len(batch)
        run: list[bytes] = []
        before: Replica | None = None
        for announcement in batch:
            tenant = self.tenants.get(announcement.tenant)
            replica = tenant.replicas.get(announcement.event.channel) if tenant else None
            if replica is None:
                continue
            in_order = replica.follows(announcement)
            if before is not None and (replica is not before or not in_order):
                # Whatever comes next, viewers have been written what was applied.
                self._fan_out(before, run)
                before, run = None, []
            if in_order:
                run.append(replica.apply(announcement.event).chunk)
                before = replica
            else:
                self._out_of_order(replica, announcement)
        if before is not None:
            self._fan_out(before, run)

    def _out_of_order(self, replica: Replica, announcement: Announcement) -> None:
        """Take in what does not follow: late, early, of another epoch, or while the replica is synced."""
        if not replica.live:
            if len(replica.waiting) >= WAITING:
                # The next one tells by its `prev` that these are missing, and they are read.
                replica.waiting.clear()
            replica.waiting.append(announcement)
        elif announcement.epoch != replica.epoch:
            self.recovery.begin_anew(replica.tenant)
            replica.waiting.append(announcement)
        elif announcement.event.offset > replica.last:
            self.recovery.repair(replica)
            replica.waiting.append(announcement)

    def _fan_out(self, replica: Replica, run: Sequence[bytes]) -> None:
        """Write a channel's next chunks, in one write to each viewer: each costs a system call."""
        joined = run[0] if len(run) == 1 else b"".join(run)
        # A copy, because a write may find the socket full and take its viewer out.
        for write in tuple(replica.writers.values()):
            write(joined)
        for viewer in replica.pullers:
            viewer.wake.set()
        self.counts.deliveries += len(run) * (len(replica.writers) + len(replica.pullers))

    # Viewers

    def replicas(self, tenant: str, channels: Sequence[str]) -> tuple[Replica, ...]:
        """The replicas of these channels, made where there are none; they may have yet to be synced."""
        return tuple(self.replica(tenant, channel) for channel in channels)

    def attach(self, viewer: Viewer) -> None:
        """Let the viewer be told what happens to its replicas, until it is detached."""
        self.places.take(viewer.identity, viewer.address)
        for replica in viewer.replicas:
            replica.viewers.add(viewer)
        if isinstance(viewer, PushViewer):
            self.heartbeat.add(viewer)
        elif isinstance(viewer, PullViewer):
            self.pulling.add(viewer)
            for replica in viewer.replicas:
                replica.pullers.add(viewer)

    def detach(self, viewer: Viewer) -> None:
        """Undo `attach`."""
        self.places.leave(viewer.identity, viewer.address)
        for replica in viewer.replicas:
            replica.viewers.discard(viewer)
            replica.idle_since = time.monotonic()
            if isinstance(viewer, PushViewer):
                replica.writers.pop(viewer, None)
            elif isinstance(viewer, PullViewer):
                replica.pullers.discard(viewer)
        if isinstance(viewer, PushViewer):
            self.heartbeat.discard(viewer)
        elif isinstance(viewer, PullViewer):
            self.pulling.discard(viewer)

    @property
    def streams(self) -> int:
        """How many viewers there are."""
        return len(self.places)

    def viewers(self) -> list[Viewer]:
        """All of them."""
        return [*self.heartbeat, *self.pulling]

    def live(self, replicas: Sequence[Replica]) -> bool:
        """Whether announcements keep all of these true, on one epoch."""
        epoch = replicas[0].epoch
        return all(replica.live and replica.epoch == epoch for replica in replicas)

    def readable(self, replicas: Sequence[Replica]) -> bool:
        """Whether these stand at one moment of the clock: live, or frozen by one loss while the broker is lost."""
        if self.recovery.lost_at is None:
            return self.live(replicas)
        if len(replicas) == 1:
            return replicas[0].epoch is not None
        moments = {(replica.epoch, replica.frozen) for replica in replicas}
        return len(moments) == 1 and replicas[0].frozen > 0

    def drain(self) -> None:
        """Bid every viewer farewell. New ones are not served any more."""
        self.draining = True
        for viewer in self.viewers():
            viewer.shutdown()

    # Publications

    async def publish(self, tenant: str, publications: Sequence[Publication]) -> list[Receipt]:
        """Hand publications to the broker; they come back as announcements, here as on every hub."""
        return await self.broker.publish(tenant, publications)

    async def revoke(self, revocation: Revocation) -> None:
        """Let every hub know that these tokens are not trusted any more."""
        kept = revocation.until - revocation.at
        await self.broker.publish(revocations.TENANT, [revocation.publication()], retention=kept)

    async def ping(self) -> None:
        """Return when this hub can serve; raises `BrokerUnavailable` when it drains or the broker is away."""
        if self.draining:
            raise BrokerUnavailable("the hub is going down")
        await self.broker.ping()

    @property
    def age(self) -> float:
        """For how many seconds the broker is lost; 0.0 while it is there."""
        return 0.0 if self.recovery.lost_at is None else time.monotonic() - self.recovery.lost_at

    def measures(self) -> Measures:
        """What there is at this moment, for the metrics."""
        replicas = self.every_replica()
        return Measures(
            counts=self.counts,
            streams=self.streams,
            replicas=len(replicas),
            contents=sum(len(replica.entries) for replica in replicas),
            lost_seconds=self.age,
        )

    # Replicas

    def every_replica(self) -> list[Replica]:
        """The replicas of all tenants."""
        return [replica for tenant in self.tenants.values() for replica in tenant.replicas.values()]

    def replica(self, tenant_name: str, channel: str) -> Replica:
        """The channel's replica, made where there is none; it may have yet to be synced."""
        tenant = self.tenants.setdefault(tenant_name, Tenant(tenant_name))
        replica = tenant.replicas.get(channel)
        if replica is None:
            replica = tenant.replicas[channel] = Replica(tenant, channel)
            self.recovery.sync(replica)
        replica.idle_since = time.monotonic()
        return replica

    async def drop(self, replica: Replica) -> None:
        """Let go of a replica that nobody views."""
        if replica.viewers:
            return  # somebody came while others were dropped
        tenant = replica.tenant
        replica.clear()
        del tenant.replicas[replica.channel]
        await self.broker.unsubscribe(tenant.name, replica.channel)
        successor = tenant.replicas.get(replica.channel)
        if successor is not None:
            # It may have subscribed before this unsubscribed.
            self.recovery.sync(successor)
        if not tenant.replicas:
            self.tenants.pop(tenant.name, None)
