"""The hub: its parts put together, and the face that the API sees."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import anyio

from statushub.hub.auth import revocations
from statushub.hub.auth.identity import Identity
from statushub.hub.auth.revocations import Revocation, RevocationLimits
from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.sweeper import sweep_regularly
from statushub.hub.config import (
    GRACE_SECONDS,
    HEARTBEAT_SECONDS,
    MAX_CHANNELS_SUB,
    MAX_CHANNELS_TENANT,
    MAX_STREAMS,
    MAX_STREAMS_ADDRESS,
    MAX_STREAMS_SUB,
    MAX_STREAMS_TENANT,
    PATIENCE_SECONDS,
    STALL_SECONDS,
)
from statushub.hub.intervals import Intervals
from statushub.hub.metrics import Counts, Measures
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, TooManyRequests
from statushub.hub.model.event import Event
from statushub.hub.model.limits import PublishRate
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.hub.replicas.audit import Auditor
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.eviction import Evictor
from statushub.hub.replicas.follow import follow
from statushub.hub.replicas.ingest import Ingest
from statushub.hub.replicas.limits import ReplicaLimits
from statushub.hub.replicas.lookup import LookupBatcher
from statushub.hub.replicas.polls import Lookup, PageRequest, Polls, Reading
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.replicas.sync import Synchronizer
from statushub.hub.viewers.expiry import StreamExpiry
from statushub.hub.viewers.fanout import fan_out
from statushub.hub.viewers.heartbeat import Heartbeat
from statushub.hub.viewers.long_poll import Changes, long_poll
from statushub.hub.viewers.pull import PullViewer
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.quotas import ChannelLimits, ChannelQuota, StreamLimits, StreamQuota
from statushub.hub.viewers.viewers import Viewers

DRAIN_MS: Final = 500
"""Least milliseconds before a viewer of a stopping hub reconnects; the most are the hub's grace period, because all
of its viewers are closed simultaneously."""

STREAM_LIMITS: Final = StreamLimits(
    hub=MAX_STREAMS, tenant=MAX_STREAMS_TENANT, sub=MAX_STREAMS_SUB, address=MAX_STREAMS_ADDRESS
)

CHANNEL_LIMITS: Final = ChannelLimits(tenant=MAX_CHANNELS_TENANT, sub=MAX_CHANNELS_SUB)

FULL_SECONDS: Final = 10.0
"""When a poll that was refused may come back: other viewers have left by then, and idle replicas were evicted."""


class Hub:
    """Follows a broker for viewers and polls. An async context manager, within that of its broker.

    `listen` is called on the broker here, so the hub is made before the broker is entered.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        stall_timeout: float = STALL_SECONDS,
        grace: float = GRACE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        auth_required: bool = False,
        stream_limits: StreamLimits = STREAM_LIMITS,
        revocation_limits: RevocationLimits = revocations.LIMITS,
        channel_limits: ChannelLimits = CHANNEL_LIMITS,
        replica_limits: ReplicaLimits = ReplicaLimits(),
        intervals: Intervals = Intervals(),
    ) -> None:
        """`heartbeat`, `stall_timeout`, `grace` and `patience` are in seconds, as the settings of these names."""
        self.counts = Counts()
        self.registry = Registry()
        self.scheduler = Scheduler()
        self.encodings = Encodings()
        self.synchronizer = Synchronizer(
            broker,
            self.registry,
            self.counts,
            self._start,
            self.scheduler,
            retry=intervals.sync_retry,
            patience=patience,
        )
        self.ingest = Ingest(self.registry, self.synchronizer, fan_out, self.counts, replica_limits.waiting)
        self.evictor = Evictor(
            self.registry,
            self.synchronizer,
            idle=intervals.idle,
            max_idle=replica_limits.idle,
        )
        self.broker = broker
        self._intervals = intervals
        self._auth_required = auth_required
        self._heartbeat = Heartbeat(heartbeat, stall_timeout)
        self._streams = StreamQuota(stream_limits)
        self._channels = ChannelQuota(channel_limits)
        self._max_replicas = channel_limits.tenant
        self._polls = Polls(self.registry, self.synchronizer, LookupBatcher(broker, self._start), self.scheduler)
        self._auditor = Auditor(broker, self.registry, self.synchronizer)
        drain_ms = (DRAIN_MS, max(DRAIN_MS, round(grace * 1000)))
        self.viewers = Viewers(
            self.synchronizer,
            self._heartbeat,
            self._streams,
            self._channels,
            self.counts,
            drain_ms,
            self.scheduler,
            self.encodings,
        )
        self._expiry = StreamExpiry(self.viewers, self.follow, revocation_limits)
        self._stack = AsyncExitStack()
        broker.listen(self.ingest)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._tasks.start_soon(self._heartbeat.run)
        self._tasks.start_soon(sweep_regularly, self.broker, self._intervals.sweep)
        # While a tenant moves, audits are what brings its events.
        audit = self._intervals.sweep if self.broker.moves else self._intervals.audit
        self._tasks.start_soon(self._auditor.run, audit)
        self._tasks.start_soon(self.evictor.run, self._intervals.eviction)
        if self._auth_required:
            self._tasks.start_soon(self._expiry.run, self._intervals.expiry)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain()
        self._tasks.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)

    # Streams

    def stream_limit(self, identity: Identity, address: str, channels: Collection[str] = ()) -> str | None:
        """The name of the limit that keeps another stream, of these channels, out; None where there is room for it."""
        return self._streams.full(identity, address) or self._channels.full(identity, address, channels)

    def push_viewer(
        self,
        identity: Identity,
        address: str,
        channels: Sequence[str],
        since: Cursor | None,
        *,
        connections: set[object],
        stalled: bool,
    ) -> PushViewer:
        """The protocol for a connection that is handed over; `connections` and `stalled` as `PushViewer` takes them."""
        replicas = self._obtain(identity.tenant, channels)
        return PushViewer(
            self.viewers,
            replicas,
            since,
            connections=connections,
            stalled=stalled,
            identity=identity,
            address=address,
        )

    def pull_viewer(
        self, identity: Identity, address: str, channels: Sequence[str], since: Cursor | None
    ) -> PullViewer:
        """A viewer for a stream that stays with the web server. The caller attaches it to `viewers`."""
        replicas = self._obtain(identity.tenant, channels)
        return PullViewer(self.viewers, replicas, since, identity=identity, address=address)

    @property
    def stall_timeout(self) -> float:
        """How many seconds a connection may take nothing before it is closed."""
        return self._heartbeat.stall_timeout

    @property
    def draining(self) -> bool:
        """Whether the hub stops: new streams are refused."""
        return self.viewers.draining

    def drain(self) -> None:
        """Close every stream with a word of when to reconnect, and refuse new ones."""
        self.viewers.drain()

    def trusts(self, identity: Identity) -> bool:
        """Whether the token behind the identity has neither expired nor been revoked."""
        return self._expiry.trusts(identity)

    # Polls

    async def read(self, tenant: str, channel: str, page: PageRequest, known: Cursor | None = None) -> Reading:
        """As `Polls.read`. Raises `TooManyRequests` where the tenant has too many channels in memory."""
        self._check_replicas(tenant, channel)
        return await self._polls.read(tenant, channel, page, known)

    async def lookup(self, identity: Identity, content_ids: Sequence[str], known: Cursor | None = None) -> Lookup:
        """As `Polls.lookup`."""
        return await self._polls.lookup(identity, content_ids, known)

    async def changes(
        self, identity: Identity, address: str, channel: str, since: Cursor | None, wait: float
    ) -> Changes:
        """What came after `since`, waiting up to `wait` seconds for something to come.

        Raises what `read` does, and `TooManyRequests` where the identity or its tenant follows too many channels.
        """
        self._check_replicas(identity.tenant, channel)
        if limit := self._channels.full(identity, address, (channel,)):
            raise _full(limit)
        replica = await self.synchronizer.obtain_readable(identity.tenant, channel)
        if since is not None:
            await self.synchronizer.reach(replica, since)
        viewer = PullViewer(self.viewers, (replica,), since, identity=identity, address=address)
        return await long_poll(viewer, wait)

    def follow(self, tenant: str, channel: str) -> AsyncGenerator[Event]:
        """As `statushub.hub.replicas.follow.follow`: the channel's events as they come, within this process."""
        return follow(self.viewers, self.synchronizer.obtain(tenant, channel))

    # Publications

    async def publish(
        self, tenant: str, publications: Sequence[Publication], rate: PublishRate | None = None
    ) -> list[Receipt]:
        """Hand publications to the broker; they come back as announcements, here as on every hub.

        Raises `TooManyRequests` where the publisher exceeds its `rate`.
        """
        return await self.broker.publish(tenant, publications, rate=rate)

    async def revoke(self, revocation: Revocation) -> None:
        """Tell every hub that these tokens are revoked. Raises `TooManyRequests` as `Revocations.merged` does."""
        merged = self._expiry.revocations.merged(revocation)
        kept = merged.until - time.time()
        await self.broker.publish(revocations.TENANT, [merged.publication()], retention=kept)
        self._expiry.revocations.add(merged)

    def start(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run `work` beside the hub's own tasks, until it ends or the hub does."""
        self._start(work)

    # Health

    async def ping(self) -> None:
        """Return when this hub can serve; raises `BrokerUnavailable` when it drains or the broker is away."""
        if self.draining:
            raise BrokerUnavailable("the hub is going down")
        await self.broker.ping()

    def measures(self) -> Measures:
        """What there is at this moment, for the metrics."""
        replicas = list(self.registry)
        return Measures(
            counts=self.counts,
            streams=len(self.viewers),
            replicas=len(replicas),
            contents=sum(len(replica.events) for replica in replicas),
            skipped=self.broker.skipped,
            evicting=self.broker.trouble is not None,
            lost_seconds=self.synchronizer.age,
        )

    def _check_replicas(self, tenant: str, channel: str) -> None:
        """Raise `TooManyRequests` where the channel would be one more than the tenant may have in memory."""
        if len(self.registry.of(tenant)) >= self._max_replicas and self.registry.find(tenant, channel) is None:
            raise _full("channels_tenant")

    def _obtain(self, tenant: str, channels: Sequence[str]) -> tuple[Replica, ...]:
        return tuple(self.synchronizer.obtain(tenant, channel) for channel in channels)

    def _start(self, work: Callable[..., Coroutine[Any, Any, object]], *arguments: object) -> None:
        self._tasks.start_soon(work, *arguments)


def _full(limit: str) -> TooManyRequests:
    return TooManyRequests("too many channels are followed at this hub", retry_after=FULL_SECONDS, limit=limit)
