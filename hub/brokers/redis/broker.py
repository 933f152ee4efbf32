"""The Redis broker: one server, a master that Sentinel names, or a cluster; Redis 7 or newer, or Valkey.

Each call is one function on the server (`functions.lua`), so that every hub and every worker, in any language, keeps
the same promises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from operator import attrgetter
from types import TracebackType
from typing import Any, Final, Self

import anyio
from cachetools import LRUCache
from redis.exceptions import ResponseError

from statushub.hub.brokers.contract import (
    FOLLOW_SECONDS,
    LISTED_CANCELS,
    STALL_BATCH,
    Broker,
    Cancels,
    ChannelPage,
    Endings,
    Found,
    Listener,
    Offsets,
    Removal,
    Snapshot,
)
from statushub.hub.brokers.listing import Listing
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import CONCURRENT_COMMANDS, DEADLINE_SECONDS, Client
from statushub.hub.brokers.redis.commands import Call, Due, Page, Settings, States
from statushub.hub.brokers.redis.errors import reported
from statushub.hub.brokers.redis.index import read_page
from statushub.hub.brokers.redis.publisher import Publisher
from statushub.hub.brokers.redis.removal import remove
from statushub.hub.brokers.redis.subscription import Subscription
from statushub.hub.brokers.redis.tls import check_tls
from statushub.hub.brokers.redis.topology import Command, Topology, load_functions, open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Event, tombstone
from statushub.hub.model.limits import PublishRate, StorageLimits
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import CancelReceipt, Receipt
from statushub.hub.model.retention import RETENTION_SECONDS

PAGE_EVENTS: Final = 1_000
"""Events in one read of a channel: bounds how long it holds the server."""

SWEEP_EVENTS: Final = 100
"""Contents ended or removed in one call: a few milliseconds of the server's time."""

SKIPPED_KEYS: Final = 1_000
"""Skipped keys that are remembered, so that each is logged once."""

EVICTING: Final = "allkeys-"
"""How the names of the policies begin that evict keys without a TTL."""

OFFSETS_CHANNELS: Final = 1_000
"""Channels in one read of offsets: a millisecond of the server's time."""


logger = logging.getLogger(__name__)


class RedisBroker:
    """Keeps the contract on a Redis. `retention`, `default_lease` (0: none) and `deadline` are in seconds.

    `portable`: do not use private parts of redis-py; implied where the installed version lacks them. Raises
    `ConfigError` where `url` is malformed (its forms are in `url`), or names files that cannot be used.
    """

    durable = True
    shared = True
    commands_max = CONCURRENT_COMMANDS

    def __init__(
        self,
        url: str,
        *,
        retention: float = RETENTION_SECONDS,
        default_lease: float = 0.0,
        limits: StorageLimits = StorageLimits(),
        deadline: float = DEADLINE_SECONDS,
        portable: bool = False,
    ) -> None:
        address = parse_redis_url(url)
        check_tls(address.options)
        self._topology = open_topology(address, deadline)
        self._client = Client(self._topology, deadline=deadline, demoted=self._interrupt)
        self._settings = Settings(retention=retention, default_lease=default_lease, limits=limits)
        self._publisher = Publisher(self._client, self._settings)
        self._skipped: LRUCache[str, bool] = LRUCache(SKIPPED_KEYS)
        self.moves = self._topology.moves
        self.skipped = 0
        self.endings = Endings()
        self.trouble: str | None = None
        self._deadline = deadline
        self._portable = portable
        self._subscription: Subscription | None = None
        self._stack = AsyncExitStack()

    @property
    def commands(self) -> int:
        return self._client.asked

    def listen(self, listener: Listener) -> None:
        self._subscription = Subscription(
            self._topology, listener, deadline=self._deadline, prepare=self._prepare, portable=self._portable
        )

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._client.aclose)
            if self._subscription is None:
                with suppress(BrokerUnavailable):
                    await self._client.load()
            else:
                tasks = await stack.enter_async_context(anyio.create_task_group())
                stack.callback(tasks.cancel_scope.cancel)
                tasks.start_soon(self._subscription.run)
                await self._subscription.tried.wait()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def publish(
        self,
        tenant: str,
        publications: Sequence[Publication],
        *,
        retention: float | None = None,
        rate: PublishRate | None = None,
    ) -> list[Receipt]:
        return await self._publisher.publish(tenant, publications, retention=retention, rate=rate)

    async def subscribe(self, tenant: str, channels: Sequence[str]) -> None:
        if self._subscription is not None:
            await self._subscription.subscribe(tenant, channels)
            if self._subscription.covers(tenant):
                # The server may have lost that the tenant is followed.
                await self._follow(tenant)
            # A publisher that calls the functions itself may not have. A full server refuses it, and can be read.
            with suppress(BrokerUnavailable):
                await self._client.ask(lambda topology: self._publisher.register(topology, tenant))

    async def unsubscribe(self, tenant: str, channels: Sequence[str]) -> None:
        if self._subscription is not None:
            self._subscription.unsubscribe(tenant, channels)

    async def follow(self, tenant: str) -> Offsets:
        if self._subscription is None:
            return await self._offsets(tenant, [])
        await self._subscription.follow(tenant)
        session = self._subscription.session
        told = await self._follow(tenant)
        await session.barrier(tenant)
        self._subscription.cover(tenant)
        return told

    async def unfollow(self, tenant: str) -> None:
        if self._subscription is not None:
            await self._subscription.unfollow(tenant)

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        # The session from before the read: only its announcements are sure to include all that the read has seen.
        session = None if self._subscription is None else self._subscription.session
        snapshot = await self._read(tenant, channel, since)
        if session is not None:
            await session.barrier(tenant)
        return snapshot

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        read = await self._states(tenant, content_ids)
        return Found(cursor=read.clock, events=read.events)

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        session = None if self._subscription is None else self._subscription.session
        first = await self._offsets(tenant, channels[:OFFSETS_CHANNELS])
        offsets, floor = list(first.offsets), first.floor
        for start in range(OFFSETS_CHANNELS, len(channels), OFFSETS_CHANNELS):
            read = await self._offsets(tenant, channels[start : start + OFFSETS_CHANNELS])
            if read.cursor.epoch != first.cursor.epoch:
                raise BrokerUnavailable("the clock has begun anew during the read")
            offsets += read.offsets
            floor = max(floor, read.floor)
        if session is not None:
            await session.barrier(tenant)
        return Offsets(cursor=first.cursor, offsets=offsets, floor=floor)

    async def channels(
        self,
        tenant: str,
        *,
        prefix: str = "",
        by_name: bool = False,
        after: str | None = None,
        since: int = 0,
        limit: int,
    ) -> ChannelPage:
        listing = Listing.of(prefix=prefix, by_name=by_name, after=after, since=since, limit=limit)
        return await read_page(self._client, self._prefix(tenant), listing, self._skip)

    async def remove(self, tenant: str, channel: str, content_ids: Sequence[str] | None = None) -> Removal:
        return await remove(self._client, self._prefix(tenant), channel, content_ids)

    async def cancel(self, tenant: str, channel: str, content_id: str, request: CancelRequest) -> CancelReceipt:
        call = commands.cancel_call(self._prefix(tenant), channel, content_id, request)
        return commands.cancel_receipt(await self._client.call(call))

    async def cancels(self, tenant: str) -> Cancels:
        prefix = self._prefix(tenant)
        cursor, listed = commands.cancels(await self._client.call(commands.cancels_call(prefix, LISTED_CANCELS)))
        if not listed:
            return Cancels(cursor=cursor, cancels=[])
        answer = await self._client.call(commands.requests_call(prefix, listed))
        return Cancels(cursor=cursor, cancels=commands.requests(listed, answer))

    async def expire(self, now: float | None = None) -> int:
        tenants = await self.tenants()
        swept = await self._client.call_all(
            [commands.due_call(self._prefix(tenant), now, STALL_BATCH, self._settings) for tenant in tenants]
        )
        failures: list[Exception] = []
        ended = 0
        for tenant, answer in zip(tenants, swept, strict=True):
            # One tenant's failure is raised only after the others were swept.
            try:
                self._check(answer)
                due = commands.due(answer)
                stalled = await self._end(tenant, due.overdue, partial(commands.stall_call, now=now))
                self.endings.stalled += stalled
                cancelled = await self._end(tenant, due.cancelled, partial(commands.stop_call, now=now))
                self.endings.cancelled += cancelled
                ended += stalled + cancelled
                await self._remove(tenant, due, now)
            except BrokerUnavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return ended

    async def ping(self) -> None:
        if self._subscription is not None:
            await self._subscription.session.barriers()
        await self._client.call(Call(function="version", keys=[self._prefix(DEFAULT_TENANT)]))

    async def _prepare(self, topology: Topology) -> None:
        await load_functions(topology)
        # With these functions no command fails for want of them, which would tell that the server may have lost data.
        self._client.losses += 1
        await self._check_eviction(topology)
        # A server that is full can still be read; the first sweep after that writes the settings.
        with suppress(ResponseError):
            await topology.execute(*self._settings_command())

    async def _check_eviction(self, topology: Topology) -> None:
        """Warn where the server may evict what was accepted: contents have no TTL, so only `allkeys-` policies do."""
        policies = [_eviction_policy(await execute("INFO", "memory")) for execute in topology.primaries()]
        evicting = next((policy for policy in policies if policy.startswith(EVICTING)), None)
        self.trouble = None
        if evicting:
            self.trouble = f"maxmemory-policy is {evicting}: Redis evicts accepted events; set it to noeviction"
            logger.warning("%s: %s", topology.where, self.trouble)

    def _settings_command(self) -> tuple[str, Command]:
        """The command that writes what publishers need to know, and its key."""
        key = commands.settings(self._topology.root)
        return key, ("HSET", key, *commands.told(self._settings))

    async def tenants(self) -> list[str]:
        """Writes the settings anew, too, where the server has lost them."""
        tenants, settings = commands.tenants(self._topology.root), commands.settings(self._topology.root)
        names, stored = await self._client.execute_all(
            [(tenants, ("SMEMBERS", tenants)), (settings, ("HMGET", settings, *commands.TOLD))]
        )
        self._check(names)
        if not isinstance(stored, Exception) and not commands.tells(stored, self._settings):
            with suppress(BrokerUnavailable):
                await self._client.execute(*self._settings_command())
        return [str(name, "utf-8", "replace") for name in names]

    async def _read(self, tenant: str, channel: str, since: Cursor | None) -> Snapshot:
        """What has changed since then: first which contents, then their states, which may be newer by then.

        A state that is newer than the returned cursor is left to its announcement, where the channel is subscribed: it
        comes before the barrier, and in the order of the clock.
        """
        prefix = self._prefix(tenant)
        epoch, offset = (since.epoch, since.offset) if since is not None else ("", 0)
        events: dict[str, Event] = {}
        missing: dict[str, int] = {}
        whole = since is None
        while True:
            call = commands.ids_call(prefix, channel, epoch, offset, PAGE_EVENTS, whole=whole)
            try:
                page = commands.page(await self._client.call(call))
            except BrokerUnavailable as error:
                if "WRONGTYPE" in error.message:
                    self._skip(commands.channel_key(prefix, channel))
                raise
            if page.clock.epoch != epoch or (not whole and offset < page.floor):
                # The cursor is void, or has become so, and the server read from the beginning.
                epoch, offset, whole = page.clock.epoch, 0, True
                events.clear()
                missing.clear()
            offset = max(offset, page.last)
            for content_id, at in page.tombstones.items():
                events[content_id] = tombstone(channel, content_id, at)
            await self._read_states(tenant, channel, page, events, missing)
            if not page.more:
                break
        self._skip_missing(prefix, missing)
        announced = self._subscription is not None and self._subscription.wants(tenant, channel)
        latest = page.clock.offset if announced else COUNTER_MAX
        ordered = sorted((it for it in events.values() if it.offset <= latest), key=attrgetter("offset"))
        return Snapshot(cursor=page.clock, events=ordered, floor=page.floor, whole=whole)

    async def _read_states(
        self, tenant: str, channel: str, page: Page, events: dict[str, Event], missing: dict[str, int]
    ) -> None:
        listed = page.contents
        for _ in range(2):
            if not listed:
                return
            read = await self._states(tenant, [*listed])
            for content_id, event in zip(listed, read.events, strict=True):
                missing.pop(content_id, None)
                if event is not None and event.channel == channel and event.offset >= listed[content_id]:
                    events[content_id] = event
                else:
                    missing[content_id] = listed[content_id]
            # What was removed since it was listed is listed anew; what is older than listed has not arrived yet.
            listed = {content_id: at for content_id, at in listed.items() if content_id in missing}

    async def _states(self, tenant: str, content_ids: Sequence[str]) -> States:
        prefix = self._prefix(tenant)
        read = commands.states(content_ids, await self._client.call(commands.states_call(prefix, content_ids)))
        for content_id in read.foreign:
            self._skip(commands.content_key(prefix, content_id))
        return read

    async def _end(self, tenant: str, content_ids: Sequence[str], ending: Callable[..., Call]) -> int:
        """End contents that are due, by the call that `ending` makes; returns how many this ended."""
        ended = 0
        for start in range(0, len(content_ids), SWEEP_EVENTS):
            batch = content_ids[start : start + SWEEP_EVENTS]
            known = (await self._states(tenant, batch)).events
            call = ending(self._prefix(tenant), settings=self._settings, contents=[*zip(batch, known, strict=True)])
            ended += sum(await self._client.call(call))
        return ended

    async def _remove(self, tenant: str, due: Due, now: float | None) -> None:
        """Remove contents whose retention has ended, and forget tombstones that are old enough."""
        prefix = self._prefix(tenant)
        for start in range(0, len(due.ended), SWEEP_EVENTS):
            batch = due.ended[start : start + SWEEP_EVENTS]
            known = (await self._states(tenant, batch)).events
            await self._client.call(commands.remove_call(prefix, now, [*zip(batch, known, strict=True)]))
        for start in range(0, len(due.forgotten), SWEEP_EVENTS):
            batch_forgotten = due.forgotten[start : start + SWEEP_EVENTS]
            await self._client.call(commands.forget_call(prefix, now, batch_forgotten))

    async def _follow(self, tenant: str) -> Offsets:
        answer = await self._client.call(commands.follow_call(self._prefix(tenant), FOLLOW_SECONDS))
        cursor, floor, offsets = commands.offsets(answer)
        return Offsets(cursor=cursor, offsets=offsets, floor=floor)

    async def _offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        prefix = self._prefix(tenant)
        cursor, floor, offsets = commands.offsets(await self._client.call(commands.offsets_call(prefix, channels)))
        for channel, offset in zip(channels, offsets, strict=True):
            if offset < 0:
                self._skip(commands.channel_key(prefix, channel))
        return Offsets(cursor=cursor, offsets=[max(offset, 0) for offset in offsets], floor=floor)

    def _prefix(self, tenant: str) -> str:
        return commands.prefix(self._topology.root, tenant)

    def _skip_missing(self, prefix: str, content_ids: Iterable[str]) -> None:
        for content_id in content_ids:
            self._skip(commands.content_key(prefix, content_id))

    def _skip(self, key: str) -> None:
        """Count a row that is not ours, and log it once."""
        self.skipped += 1
        if key not in self._skipped:
            self._skipped[key] = True
            logger.warning("%s: %s is missing or holds something else; skipping it", self._topology.where, key)

    def _check(self, answer: Any) -> None:
        """Raise `BrokerUnavailable` where a pipeline's answer is an exception."""
        if isinstance(answer, Exception):
            with reported(self._topology.where):
                raise answer

    def _interrupt(self, reason: str) -> None:
        if self._subscription is not None:
            self._subscription.interrupt(reason)


def _eviction_policy(info: Any) -> str:
    """`maxmemory_policy` of an `INFO memory`, which redis-py may have parsed; empty where the server says none."""
    if isinstance(info, dict):
        return str(info.get("maxmemory_policy", ""))
    text = info.decode(errors="replace") if isinstance(info, bytes) else str(info)
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("maxmemory_policy:")), ""
    )


_fits: type[Broker] = RedisBroker
