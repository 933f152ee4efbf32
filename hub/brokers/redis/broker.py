"""The Redis broker: one server, a master that Sentinel watches, or a cluster; Redis 7 or newer, or Valkey.

What a call does happens in one function on the server (`commands.lua`), so every hub and every worker,
of any language, keeps the same promises. Nothing is sent twice without the caller's knowledge: a call
that fails may have been done, and raises `BrokerUnavailable`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio
from redis.exceptions import ReadOnlyError, ResponseError

from statushub.hub.brokers.contract import STALL_BATCH, Broker, Found, Listener, Offsets, Snapshot
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.subscription import Subscription
from statushub.hub.brokers.redis.topology import Command, load_functions, open_topology, reported
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Event
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication, stalled
from statushub.hub.model.receipt import Receipt
from statushub.hub.model.retention import RETENTION_SECONDS

DEADLINE_SECONDS: Final = 5.0
"""For a server to answer, and for a silent one to be taken for dead: over a slow command or a failing
packet, under the patience of somebody who looks at a page."""

COMMANDS_AT_ONCE: Final = 32
"""Commands under way: Redis executes one at a time, so that more would only wait there instead of here."""

PUBLISH_BATCH: Final = 100
"""Publications in one call: bounds how long it holds the server (a few milliseconds) and what it sends."""

PAGE_EVENTS: Final = 1_000
"""Events in one read of a channel: bounds how long it holds the server."""

OFFSETS_BATCH: Final = 1_000
"""Channels in one look at how far they are: a millisecond of the server's."""

PIPELINE_CALLS: Final = 500
"""Calls sent in one go: so many fit the deadline many times over."""

TENANT_SECONDS: Final = 30.0
"""How long a tenant is known to be in the set of those with leases: a server that lost it is told again."""

T = TypeVar("T")
Call = tuple[str, str, Command]
"""A function, the tenant whose key it gets, and its arguments."""


class RedisBroker:
    """Keeps the contract on a Redis. `deadline` is in seconds.

    Raises `ConfigError` where `url` is malformed (its forms are in `url`).
    """

    durable = True

    def __init__(self, url: str, *, retention: float = RETENTION_SECONDS, deadline: float = DEADLINE_SECONDS) -> None:
        self._topology = open_topology(parse_redis_url(url), deadline)
        self._retention = retention
        self._deadline = deadline
        self._subscription: Subscription | None = None
        self._turns = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._leasing: dict[str, float] = {}
        self._stack = AsyncExitStack()

    def listen(self, listener: Listener) -> None:
        self._subscription = Subscription(self._topology, listener, self._deadline)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            if self._subscription is None:
                with suppress(BrokerUnavailable):
                    await self._answered(partial(load_functions, self._topology))
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
        if any(publication.lease is not None for publication in publications):
            await self._sweep_tenant(tenant)
        receipts: list[Receipt] = []
        for start in range(0, len(publications), PUBLISH_BATCH):
            batch = publications[start : start + PUBLISH_BATCH]
            args = commands.publish_args(batch, self._retention if retention is None else retention)
            receipts += commands.receipts(await self._call("statushub_publish", tenant, *args))
        return receipts

    async def subscribe(self, tenant: str, channel: str) -> None:
        if self._subscription is not None:
            await self._subscription.subscribe(tenant, channel)

    async def unsubscribe(self, tenant: str, channel: str) -> None:
        if self._subscription is not None:
            self._subscription.unsubscribe(tenant, channel)

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        # The session of before the read: only what it brings is sure to be all that the read has seen.
        session = None if self._subscription is None else self._subscription.session
        snapshot = await self._read(tenant, channel, since)
        if session is not None:
            await session.barrier(tenant)
        return snapshot

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        answer = await self._call("statushub_lookup", tenant, "\n".join(content_ids))
        cursor, events = commands.found(content_ids, answer)
        return Found(cursor=cursor, events=events)

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        session = None if self._subscription is None else self._subscription.session
        epoch, known = "", list[int]()
        for start in range(0, len(channels), OFFSETS_BATCH):
            batch = "\n".join(channels[start : start + OFFSETS_BATCH])
            epoch, offsets = commands.offsets(await self._call("statushub_offsets", tenant, batch))
            known += offsets
        if session is not None:
            await session.barrier(tenant)
        return Offsets(epoch=epoch, offsets=known)

    async def expire(self, now: float | None = None) -> int:
        key = self._tenants_key
        tenants = [str(name, "utf-8", "replace") for name in await self._execute(key, ("SMEMBERS", key))]
        moment = "" if now is None else commands.milliseconds(now)
        due = await self._call_all([("statushub_due", tenant, (moment, STALL_BATCH)) for tenant in tenants])
        ended = await self._call_all(
            [
                self._ending(tenant, event)
                for tenant, answer in zip(tenants, due, strict=True)
                if not isinstance(answer, Exception)
                for event in commands.overdue(answer)
            ]
        )
        # One tenant's trouble is told only when the others have had their turn.
        for failure in (answer for answer in (*due, *ended) if isinstance(answer, Exception)):
            with reported(self._topology.where):
                raise failure
        return sum(ended)

    async def ping(self) -> None:
        if self._subscription is not None:
            await self._subscription.session.barriers()
        await self._call("statushub_version", DEFAULT_TENANT)

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._topology.aclose()

    async def _read(self, tenant: str, channel: str, since: Cursor | None) -> Snapshot:
        epoch, offset = (since.epoch, since.offset) if since is not None else ("", 0)
        events: dict[str, Event] = {}
        while True:
            answer = await self._call("statushub_changes", tenant, channel, epoch, offset, PAGE_EVENTS)
            page = commands.page(channel, answer)
            if page.clock.epoch != epoch:
                # The server read from the beginning, whatever was asked of it.
                epoch, offset = page.clock.epoch, 0
                events.clear()
            for event in page.events:
                # What changed since an earlier page comes again, with a higher offset.
                events.pop(event.content_id, None)
                events[event.content_id] = event
                offset = event.offset
            if not page.more:
                return Snapshot(cursor=page.clock, events=list(events.values()))

    def _ending(self, tenant: str, event: Event) -> tuple[str, str, Command]:
        ending = stalled(event)
        args = (commands.milliseconds(self._retention), event.content_id, event.offset, ending.type, ending.data)
        return "statushub_stall", tenant, args

    async def _sweep_tenant(self, tenant: str) -> None:
        # Before the lease is set: a tenant that is swept in vain costs less than a lease nobody sees.
        now = time.monotonic()
        if self._leasing.get(tenant, -TENANT_SECONDS) + TENANT_SECONDS > now:
            return
        await self._execute(self._tenants_key, ("SADD", self._tenants_key, tenant))
        self._leasing[tenant] = now

    @property
    def _tenants_key(self) -> str:
        return f"{self._topology.root}:{commands.TENANTS}"

    async def _execute(self, key: str, command: Command) -> Any:
        return await self._answered(lambda: self._topology.execute(key, command))

    async def _call(self, function: str, tenant: str, *args: str | bytes | int) -> Any:
        return await self._execute(*self._command(function, tenant, args))

    async def _call_all(self, calls: Sequence[Call]) -> list[Any]:
        keyed = [self._command(*call) for call in calls]
        answers: list[Any] = []
        for start in range(0, len(keyed), PIPELINE_CALLS):
            batch = keyed[start : start + PIPELINE_CALLS]
            answers += await self._answered(partial(self._all, batch))
        return answers

    def _command(self, function: str, tenant: str, args: Command) -> tuple[str, Command]:
        key = commands.prefix(self._topology.root, tenant)
        return key, ("FCALL", function, 1, key, *args)

    async def _answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What the server answers, in its time; given the functions first where it lacks them."""
        try:
            with reported(self._topology.where):
                async with asyncio.timeout(self._deadline), self._turns:
                    return await self._with_functions(ask)
        except BrokerUnavailable as error:
            self._leasing.clear()
            if isinstance(error.__cause__, ReadOnlyError):
                await self._topology.reconnect()
                if self._subscription is not None:
                    self._subscription.interrupt(error.message)
            raise

    async def _with_functions(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await ask()
        except ResponseError as error:
            if commands.MISSING not in str(error):
                raise
        # The server executed nothing, so that asking again repeats nothing.
        await load_functions(self._topology)
        return await ask()

    async def _all(self, batch: Sequence[tuple[str, Command]]) -> list[Any]:
        answers = await self._topology.execute_all(batch)
        for answer in answers:
            if isinstance(answer, ReadOnlyError) or (
                isinstance(answer, ResponseError) and commands.MISSING in str(answer)
            ):
                raise answer
        return answers


_fits: type[Broker] = RedisBroker
