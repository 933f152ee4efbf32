"""The hub: its parts put together, and the face that the API sees."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from statushub.hub.auth import revocations
from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.auth.revocations import Revocation, RevocationLimits
from statushub.hub.brokers.contract import Broker, Cancel, Cancels, Removal
from statushub.hub.brokers.sweeper import sweep_regularly
from statushub.hub.config import (
    GRACE_SECONDS,
    HEARTBEAT_SECONDS,
    MAX_CHANNELS_MATCH,
    MAX_CHANNELS_SUB,
    MAX_CHANNELS_TENANT,
    MAX_STREAMS,
    MAX_STREAMS_ADDRESS,
    MAX_STREAMS_SUB,
    MAX_STREAMS_TENANT,
    PATIENCE_SECONDS,
    STALL_SECONDS,
)
from statushub.hub.feeds.contract import FeedStore
from statushub.hub.feeds.feeds import Feeds
from statushub.hub.feeds.notices import notify_owners
from statushub.hub.intervals import Intervals
from statushub.hub.metrics import Counts, Measures, Writes
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.document_batch import Documents
from statushub.hub.model.errors import BrokerUnavailable, TooManyRequests
from statushub.hub.model.event import Event
from statushub.hub.model.limits import PublishRate
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import CancelReceipt, Receipt
from statushub.hub.model.status import Status
from statushub.hub.replicas.audit import Auditor
from statushub.hub.replicas.births import Births
from statushub.hub.replicas.directories import Directories
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.eviction import Evictor
from statushub.hub.replicas.follow import follow
from statushub.hub.replicas.index import ChannelList, ChannelLister, ChannelsRequest
from statushub.hub.replicas.ingest import Ingest
from statushub.hub.replicas.limits import ReplicaLimits
from statushub.hub.replicas.lookup import LookupBatcher
from statushub.hub.replicas.polls import FOLLOWED_CHANNELS, Lookup, PageRequest, Polls, Reading
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.replicas.scope import Channels, Scope
from statushub.hub.replicas.selection import Selection
from statushub.hub.replicas.sync import Synchronizer
from statushub.hub.sources.contract import Source
from statushub.hub.sources.listing import Listing
from statushub.hub.sources.record import RecordReader, RecordSource
from statushub.hub.sources.record_cache import Cache, MemoryCache
from statushub.hub.sources.records import Records
from statushub.hub.sources.row import Row
from statushub.hub.starter import Starter
from statushub.hub.viewers.cancel_poll import CancelPoll
from statushub.hub.viewers.expiry import StreamExpiry
from statushub.hub.viewers.fanout import fan_out, traced
from statushub.hub.viewers.heartbeat import Heartbeat
from statushub.hub.viewers.long_poll import UNREADABLE, Changes, long_poll
from statushub.hub.viewers.pull import PullViewer
from statushub.hub.viewers.pull_socket import PullSocket
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.push_socket import PushSocket
from statushub.hub.viewers.quotas import ChannelLimits, ChannelQuota, StreamLimits, StreamQuota
from statushub.hub.viewers.socket import Opening
from statushub.hub.viewers.viewers import FULL_SECONDS, Viewers
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import CHUNKED_SSE

if TYPE_CHECKING:
    from statushub.hub.instagram import InstagramSync
    from statushub.hub.sources.bridge import Bridge
    from statushub.hub.sources.recorder import Recorder
    from statushub.hub.sources.states import RecordWriter
    from statushub.hub.tracing import Tracing

STREAM_LIMITS: Final = StreamLimits(
    hub=MAX_STREAMS, tenant=MAX_STREAMS_TENANT, sub=MAX_STREAMS_SUB, address=MAX_STREAMS_ADDRESS
)

POLL_BYTES: Final = 256 * 1024
"""Taken of many channels in one step: a few milliseconds, of which merging a thousand channels anew is one."""

CHANNEL_LIMITS: Final = ChannelLimits(tenant=MAX_CHANNELS_TENANT, sub=MAX_CHANNELS_SUB)


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
        match_channels: int = MAX_CHANNELS_MATCH,
        replica_limits: ReplicaLimits = ReplicaLimits(),
        intervals: Intervals = Intervals(),
        sources: Sequence[Source] = (),
        bridge: Bridge | None = None,
        record: RecordSource | None = None,
        record_cache: Cache | None = None,
        record_writer: RecordWriter | None = None,
        record_all: bool = False,
        tracing: Tracing | None = None,
        feeds: FeedStore | None = None,
        notices: Sequence[str] = (),
        instagram: InstagramSync | None = None,
    ) -> None:
        """`heartbeat`, `stall_timeout`, `grace` and `patience` are in seconds, as the settings of these names;
        `match_channels` is the most channels of a selection.

        `sources` are asked in their order for what the hub has no state of, and closed with the hub. The `bridge`
        publishes what one of them knows. The `record` is merged into polls, through the `record_cache`, by default one
        in memory; the `record_writer` writes endings back into it, or with `record_all` all states. `tracing` gets the
        spans of publications and deliveries. What is written into the store of `feeds` is announced; in the tenants of
        `notices` the owners of jobs are notified of their ends. `instagram` is closed with the hub.
        """
        self.counts = Counts()
        self.registry = Registry()
        self.scheduler = Scheduler()
        self._starter = Starter()
        self.feeds = None if feeds is None else Feeds(feeds, broker)
        """What viewers see of likes, follows, counters and notifications, where that is switched on."""
        self._notices = notices
        self.encodings = Encodings()
        self.synchronizer = Synchronizer(
            broker,
            self.registry,
            self.counts,
            self._starter.start,
            self.scheduler,
            retry=intervals.sync_retry,
            patience=patience,
        )
        self.directories = Directories(
            broker,
            self.registry,
            self.synchronizer,
            self._starter.start,
            self.scheduler,
            retry=intervals.sync_retry,
            patience=patience,
            idle=intervals.idle,
            selected=match_channels,
            tenant=channel_limits.tenant,
        )
        reader = None
        if record is not None:
            reader = RecordReader(record, record_cache or MemoryCache(), self._starter.start, self.registry.ids)
        self.record = reader
        """The system of record, where there is one."""
        self.listing = None if reader is None else Listing(self, reader)
        """The channels with the rows of the record, where there is one."""
        births = Births(self.registry, self.synchronizer, selected=match_channels, tenant=channel_limits.tenant)
        self.ingest = Ingest(
            self.registry,
            self.synchronizer,
            fan_out if tracing is None else traced(fan_out, tracing.delivered),
            self.counts,
            max_waiting=replica_limits.waiting,
            hear=births.hear,
            dropping=None if reader is None else reader.announced,
        )
        self.evictor = Evictor(
            self.registry,
            self.synchronizer,
            idle=intervals.idle,
            max_idle=replica_limits.idle,
        )
        self.broker = broker
        self.tracing = tracing
        self.documents: Documents | None = None
        """Batches of document counts, where these are switched on."""
        self.instagram = instagram
        """The sync of Instagram, where it is switched on."""
        self._intervals = intervals
        self._auth_required = auth_required
        self._heartbeat = Heartbeat(heartbeat, stall_timeout, self._starter.start)
        self._streams = StreamQuota(stream_limits)
        self._channels = ChannelQuota(channel_limits)
        self._max_replicas = channel_limits.tenant
        self._polls = Polls(
            self.registry, self.synchronizer, LookupBatcher(broker, self._starter.start), self.scheduler
        )
        self._lister = ChannelLister(broker, self.synchronizer)
        self._cancels = CancelPoll(broker, self._starter.start)
        self._auditor = Auditor(broker, self.registry, self.synchronizer)
        self.viewers = Viewers(
            self.synchronizer,
            self.directories,
            self._starter.start,
            self._heartbeat,
            self._streams,
            self._channels,
            self.counts,
            self.scheduler,
            self.encodings,
            grace=grace,
            alone=not broker.shared,
            feeds=feeds is not None,
        )
        self._records = Records(sources, self._starter.start, reader)
        self._bridge = bridge
        self._recorder: Recorder | None = None
        if record_writer is not None:
            from statushub.hub.sources.recorder import Recorder

            self._recorder = Recorder(
                broker,
                record_writer,
                everything=record_all,
                shared=broker.shared,
                interval=intervals.record,
                written=None if reader is None else reader.written,
            )
        self._expiry = StreamExpiry(self.viewers, self.follow, revocation_limits)
        self._stack = AsyncExitStack()
        broker.listen(self.ingest)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._records)
        if self.instagram is not None:
            await self._stack.enter_async_context(self.instagram)
        if self._recorder is not None:
            await self._stack.enter_async_context(self._recorder)
        if self.feeds is not None:
            await self._stack.enter_async_context(self.feeds)
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._tasks.start_soon(self._starter.run)
        self._tasks.start_soon(self._heartbeat.run)
        self._tasks.start_soon(self.viewers.attempts.run)
        self._tasks.start_soon(self.ingest.lag.run)
        self._tasks.start_soon(sweep_regularly, self.broker, self._intervals.sweep)
        # While a tenant moves, audits are what brings its events.
        audit = self._intervals.sweep if self.broker.moves else self._intervals.audit
        self._tasks.start_soon(self._auditor.run, audit)
        self._tasks.start_soon(self.directories.run, self._intervals.directory)
        self._tasks.start_soon(self.evictor.run, self._intervals.eviction)
        if self._bridge is not None:
            self._tasks.start_soon(self._bridge.run)
        if self.feeds is not None:
            self._tasks.start_soon(self.feeds.run)
            for tenant in self._notices:
                self._tasks.start_soon(notify_owners, self.feeds, self.follow, tenant)
        if self._recorder is not None:
            self._tasks.start_soon(self._recorder.run)
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

    def stream_limit(self, identity: Identity, address: str, scope: Sequence[str] | Selection = ()) -> str | None:
        """The name of the limit that keeps another stream, of these channels, out; None where there is room for it."""
        if limit := self._streams.full(identity, address):
            return limit
        if isinstance(scope, Selection):
            return self._channels.full_with(identity, address, scope)
        return self._channels.full(identity, address, scope)

    async def select(
        self, identity: Identity, patterns: Patterns, *, resumes: bool, content_ids: frozenset[str] | None = None
    ) -> Selection:
        """As `Directories.select`: the channels that these patterns name and the identity reads. That of the counters
        of all videos is among them only for a viewer of these contents."""
        stats = self.feeds is None or content_ids is not None
        return await self.directories.select(identity, patterns, resumes=resumes, stats=stats)

    def push_viewer(
        self,
        identity: Identity,
        address: str,
        channels: Sequence[str] | Selection,
        since: Cursor | None,
        *,
        connections: set[object],
        stalled: bool,
        head: bytes = b"",
        format: StreamFormat = CHUNKED_SSE,
        heartbeat: float | None = None,
        content_ids: frozenset[str] | None = None,
    ) -> PushViewer:
        """The protocol for a connection that is handed over, of some contents only where `content_ids` is not None. The
        other keyword arguments are as `PushViewer` takes them."""
        return PushViewer(
            self.viewers,
            self._scope(identity, channels, content_ids),
            since,
            format,
            connections=connections,
            stalled=stalled,
            head=head,
            heartbeat=heartbeat,
            identity=identity,
            address=address,
        )

    def push_socket(
        self,
        identity: Identity,
        address: str,
        first: tuple[str, Opening] | None,
        *,
        connections: set[object],
        stalled: bool,
        head: bytes = b"",
        heartbeat: float | None = None,
    ) -> PushSocket:
        """As `push_viewer`, for a WebSocket; `first` is the channel that it follows unasked, and how."""
        begun = None
        if first is not None:
            channel, opening = first
            begun = self._scope(identity, (channel,), opening.content_ids), opening
        return PushSocket(
            self.viewers,
            begun,
            connections=connections,
            stalled=stalled,
            head=head,
            heartbeat=heartbeat,
            identity=identity,
            address=address,
        )

    def pull_socket(self, identity: Identity, address: str, *, heartbeat: float | None = None) -> PullSocket:
        """A socket that stays with the web server. The caller attaches it to `viewers`."""
        return PullSocket(self.viewers, heartbeat=heartbeat, identity=identity, address=address)

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

    async def channels(self, identity: Identity, page: ChannelsRequest, known: Cursor | None = None) -> ChannelList:
        """As `ChannelLister.read`."""
        return await self._lister.read(identity, page, known)

    async def records(self, identity: Identity, content_ids: Sequence[str]) -> list[Status | None]:
        """What the sources beside the hub say of contents that it has no state of, in the order asked; None where
        none of them knows one that this identity may read. Raises nothing."""
        if self._bridge is not None:
            self._bridge.asked(identity.tenant, content_ids)
        return await self._records.find(identity, content_ids)

    async def rows(self, identity: Identity, content_ids: Sequence[str]) -> dict[str, Row]:
        """What the record, where there is one, says of contents that this identity may read. Raises nothing."""
        if self.record is None:
            return {}
        found = await self.record.find(identity.tenant, content_ids)
        rows = {row.id: row for row in found if row is not None and identity.may_read(row.channel)}
        channels = {row.channel for row in rows.values()}
        if len(channels) <= FOLLOWED_CHANNELS:
            # So that their events drop what is kept of these rows.
            for channel in channels:
                self.synchronizer.obtain(identity.tenant, channel)
        return rows

    def follows(self, tenant: str, channel: str) -> bool:
        """Whether it hears the events of a channel."""
        return self.registry.find(tenant, channel) is not None

    def state(self, tenant: str, channel: str, content_id: str) -> Event | None:
        """The latest event of a channel's content, from memory; None where it has none, or is removed."""
        replica = self.registry.find(tenant, channel)
        event = None if replica is None else replica.events.get(content_id)
        return None if event is None or event.removed else event

    async def changes(
        self,
        identity: Identity,
        address: str,
        channel: str,
        since: Cursor | None,
        wait: float,
        *,
        content_ids: frozenset[str] | None = None,
    ) -> Changes:
        """What came after `since`, of some contents only where `content_ids` is not None, waiting up to `wait` seconds
        for something to come.

        Raises what `read` does, and `TooManyRequests` where the identity or its tenant follows too many channels.
        """
        self._check_replicas(identity.tenant, channel)
        if limit := self._channels.full(identity, address, (channel,)):
            raise _full(limit)
        replica = await self.synchronizer.obtain_readable(identity.tenant, channel)
        if since is not None:
            await self.synchronizer.reach(replica, since)
        scope = self.viewers.filtered(Channels((replica,)), content_ids)
        viewer = PullViewer(self.viewers, scope, since, identity=identity, address=address)
        return await long_poll(viewer, wait)

    async def changes_matching(
        self,
        identity: Identity,
        address: str,
        patterns: Patterns,
        since: Cursor | None,
        wait: float,
        *,
        content_ids: frozenset[str] | None = None,
    ) -> Changes:
        """As `changes`, of all channels that these patterns name and the identity reads.

        Raises `MatchLimit` where they are more than can be followed.
        """
        selection = await self.select(identity, patterns, resumes=False, content_ids=content_ids)
        if limit := self._channels.full_with(identity, address, selection):
            raise _full(limit)
        scope = self.viewers.filtered(self.directories.current(identity, selection), content_ids)
        if self.synchronizer.lost_at is not None and not scope.readable(self.synchronizer):
            raise BrokerUnavailable(UNREADABLE)
        viewer = PullViewer(self.viewers, scope, since, identity=identity, address=address)
        return await long_poll(viewer, wait, step=POLL_BYTES)

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
        if self.tracing is None:
            return await self.broker.publish(tenant, publications, rate=rate)
        return await self.tracing.publish(publications, partial(self.broker.publish, tenant, rate=rate))

    async def remove(self, tenant: str, channel: str, content_ids: Sequence[str] | None) -> Removal:
        """As `Broker.remove`; the tombstones come back as announcements."""
        return await self.broker.remove(tenant, channel, content_ids)

    async def cancel(self, tenant: str, channel: str, content_id: str, request: CancelRequest) -> CancelReceipt:
        """As `Broker.cancel`; the request comes back as an announcement."""
        receipt = await self.broker.cancel(tenant, channel, content_id, request)
        self.counts.cancels += receipt.request == request
        return receipt

    async def cancels(
        self, tenant: str, since: Cursor | None, seconds: float, *, wanted: Callable[[Cancel], bool]
    ) -> Cancels:
        """As `CancelPoll.wait`, until the hub drains."""
        return await self._cancels.wait(tenant, since, seconds, wanted=wanted, stop=lambda: self.draining)

    async def revoke(self, revocation: Revocation) -> None:
        """Tell every hub that these tokens are revoked. Raises `TooManyRequests` as `Revocations.merged` does."""
        merged = self._expiry.revocations.merged(revocation)
        kept = merged.until - time.time()
        await self.broker.publish(revocations.TENANT, [merged.publication()], retention=kept)
        self._expiry.revocations.add(merged)

    def start(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run `work` beside the hub's own tasks, until it ends or the hub does."""
        self._starter.start(work)

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
            ended_stalled=self.broker.endings.stalled,
            ended_cancelled=self.broker.endings.cancelled,
            commands=self.broker.commands,
            commands_max=self.broker.commands_max,
            source_failures=self._records.failures,
            source_reads=self._records.reads,
            bridged=0 if self._bridge is None else self._bridge.published,
            writes=Writes() if self._recorder is None else self._recorder.writes,
        )

    def _check_replicas(self, tenant: str, channel: str) -> None:
        """Raise `TooManyRequests` where the channel would be one more than the tenant may have in memory."""
        if len(self.registry.of(tenant)) >= self._max_replicas and self.registry.find(tenant, channel) is None:
            raise _full("channels_tenant")

    def _scope(
        self, identity: Identity, channels: Sequence[str] | Selection, content_ids: frozenset[str] | None
    ) -> Scope:
        if isinstance(channels, Selection):
            return self.viewers.filtered(self.directories.current(identity, channels), content_ids)
        replicas = Channels(self.synchronizer.obtain(identity.tenant, channel) for channel in channels)
        return self.viewers.filtered(replicas, content_ids)


def _full(limit: str) -> TooManyRequests:
    return TooManyRequests("too many channels are followed at this hub", retry_after=FULL_SECONDS, limit=limit)
