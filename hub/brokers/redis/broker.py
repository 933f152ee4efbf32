"""The Redis broker: one server, a master that Sentinel names, or a cluster; Redis 7 or newer, or Valkey.

Each call is one function on the server (`functions.lua`), so that every hub and every worker, in any language, keeps
the same promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self

import anyio
from redis.exceptions import ResponseError

from statushub.hub.brokers.contract import STALL_BATCH, Broker, Found, Listener, Offsets, Snapshot
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import DEADLINE_SECONDS, Call, Client
from statushub.hub.brokers.redis.errors import reported
from statushub.hub.brokers.redis.publisher import Publisher
from statushub.hub.brokers.redis.subscription import Subscription
from statushub.hub.brokers.redis.topology import Command, Topology, load_functions, open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Event
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication, stalled
from statushub.hub.model.receipt import Receipt
from statushub.hub.model.retention import RETENTION_SECONDS

PAGE_EVENTS: Final = 1_000
"""Events in one read of a channel: bounds how long it holds the server."""

OFFSETS_CHANNELS: Final = 1_000
"""Channels in one read of offsets: a millisecond of the server's time."""


class RedisBroker:
    """Keeps the contract on a Redis. `retention` and `deadline` are in seconds.

    `portable`: do not use private parts of redis-py; implied where the installed version lacks them. Raises
    `ConfigError` where `url` is malformed (its forms are in `url`).
    """

    durable = True

    def __init__(
        self,
        url: str,
        *,
        retention: float = RETENTION_SECONDS,
        deadline: float = DEADLINE_SECONDS,
        portable: bool = False,
    ) -> None:
        self._topology = open_topology(parse_redis_url(url), deadline)
        self._client = Client(self._topology, deadline=deadline, demoted=self._interrupt)
        self._publisher = Publisher(self._client, retention=retention)
        self._retention = commands.milliseconds(retention)
        self._deadline = deadline
        self._portable = portable
        self._subscription: Subscription | None = None
        self._stack = AsyncExitStack()

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
        self, tenant: str, publications: Sequence[Publication], *, retention: float | None = None
    ) -> list[Receipt]:
        return await self._publisher.publish(tenant, publications, retention=retention)

    async def subscribe(self, tenant: str, channel: str) -> None:
        if self._subscription is not None:
            await self._subscription.subscribe(tenant, channel)

    async def unsubscribe(self, tenant: str, channel: str) -> None:
        if self._subscription is not None:
            self._subscription.unsubscribe(tenant, channel)

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        # The session from before the read: only its announcements are sure to include all that the read has seen.
        session = None if self._subscription is None else self._subscription.session
        snapshot = await self._read(tenant, channel, since)
        if session is not None:
            await session.barrier(tenant)
        return snapshot

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        answer = await self._client.call("statushub_lookup", tenant, "\n".join(content_ids))
        cursor, events = commands.found(content_ids, answer)
        return Found(cursor=cursor, events=events)

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        session = None if self._subscription is None else self._subscription.session
        epoch, known = "", list[int]()
        for start in range(0, len(channels), OFFSETS_CHANNELS):
            batch = "\n".join(channels[start : start + OFFSETS_CHANNELS])
            epoch, offsets = commands.offsets(await self._client.call("statushub_offsets", tenant, batch))
            known += offsets
        if session is not None:
            await session.barrier(tenant)
        return Offsets(epoch=epoch, offsets=known)

    async def expire(self, now: float | None = None) -> int:
        tenants = await self._tenants()
        moment = "" if now is None else commands.milliseconds(now)
        due = await self._client.call_all([("statushub_due", tenant, (moment, STALL_BATCH)) for tenant in tenants])
        ended = await self._client.call_all(
            [
                self._ending(tenant, event)
                for tenant, answer in zip(tenants, due, strict=True)
                if not isinstance(answer, Exception)
                for event in commands.overdue(answer)
            ]
        )
        # One tenant's failure is raised only after the others were swept.
        for answer in (*due, *ended):
            self._check(answer)
        return sum(ended)

    async def ping(self) -> None:
        if self._subscription is not None:
            await self._subscription.session.barriers()
        await self._client.call("statushub_version", DEFAULT_TENANT)

    async def _prepare(self, topology: Topology) -> None:
        await load_functions(topology)
        # A server that is full can still be read; the first sweep after that writes the settings.
        with suppress(ResponseError):
            await topology.execute(*self._settings())

    def _settings(self) -> tuple[str, Command]:
        """The command that writes what publishers need to know, and its key."""
        key = commands.settings(self._topology.root)
        return key, ("HSET", key, commands.RETENTION, self._retention)

    async def _tenants(self) -> list[str]:
        """The tenants with leases. Writes the settings anew where the server has lost them."""
        tenants, settings = commands.tenants(self._topology.root), commands.settings(self._topology.root)
        names, retention = await self._client.execute_all(
            [(tenants, ("SMEMBERS", tenants)), (settings, ("HGET", settings, commands.RETENTION))]
        )
        self._check(names)
        if not isinstance(retention, Exception) and retention != self._retention.encode():
            with suppress(BrokerUnavailable):
                await self._client.execute(*self._settings())
        return [str(name, "utf-8", "replace") for name in names]

    async def _read(self, tenant: str, channel: str, since: Cursor | None) -> Snapshot:
        epoch, offset = (since.epoch, since.offset) if since is not None else ("", 0)
        events: dict[str, Event] = {}
        while True:
            answer = await self._client.call("statushub_changes", tenant, channel, epoch, offset, PAGE_EVENTS)
            page = commands.page(channel, answer)
            if page.clock.epoch != epoch:
                # The epoch has changed, so that the server read from the beginning.
                epoch, offset = page.clock.epoch, 0
                events.clear()
            for event in page.events:
                # What changed since an earlier page comes again, with a higher offset.
                events.pop(event.content_id, None)
                events[event.content_id] = event
                offset = event.offset
            if not page.more:
                return Snapshot(cursor=page.clock, events=list(events.values()))

    def _ending(self, tenant: str, event: Event) -> Call:
        ending = stalled(event)
        args = (self._retention, event.content_id, event.offset, ending.type, ending.data)
        return "statushub_stall", tenant, args

    def _check(self, answer: Any) -> None:
        """Raise `BrokerUnavailable` where a pipeline's answer is an exception."""
        if isinstance(answer, Exception):
            with reported(self._topology.where):
                raise answer

    def _interrupt(self, reason: str) -> None:
        if self._subscription is not None:
            self._subscription.interrupt(reason)


_fits: type[Broker] = RedisBroker
