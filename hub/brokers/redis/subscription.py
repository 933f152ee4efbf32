"""The subscription: keeps announcements of the wanted channels coming across restarts and failovers."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import anyio
import redis

from statushub.hub.brokers.contract import FOLLOW_SECONDS, Listener
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.errors import reported
from statushub.hub.brokers.redis.portable import missing_parts
from statushub.hub.brokers.redis.pubsub import PubSubConnection, Start
from statushub.hub.brokers.redis.topology import Topology
from statushub.hub.brokers.redis.wants import Wants
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.names import DEFAULT_TENANT

FIRST_DELAY_SECONDS: Final = 0.05
"""Before the first attempt to reconnect: most interruptions are a server that restarts."""

LONGEST_DELAY_SECONDS: Final = 1.0
"""Between attempts to reconnect: one connection a second is cheap, and viewers wait for it."""

logger = logging.getLogger(__name__)


Prepare = Callable[[Topology], Awaitable[None]]
"""Prepares servers for a session, before anything is subscribed. May raise what redis-py raises."""


class Session:
    """One life of the subscription: a connection to each server that holds a tenant, until the first of them ends."""

    def __init__(
        self,
        topology: Topology,
        listener: Listener,
        wants: Wants,
        *,
        deadline: float,
        prepare: Prepare,
        start: Start | None,
    ) -> None:
        """With `start`, connections use redis-py's public interface only, in tasks that it starts."""
        self.opened = False
        self.over = asyncio.Event()
        self.reason = ""
        self._topology = topology
        self._listener = listener
        self._wants = wants
        self._deadline = deadline
        self._prepare = prepare
        self._start = start
        self._connections: dict[str, PubSubConnection] = {}
        self._nodes: dict[str, str] = {}
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect, and subscribe to everything wanted. Raises `BrokerUnavailable`."""
        with reported(self._topology.where):
            async with asyncio.timeout(self._deadline):
                await self._prepare(self._topology)
        await self._connection(DEFAULT_TENANT)
        # More channels may be wanted by the time that these are subscribed.
        while missing := self._missing():
            for tenant, names in missing.items():
                (await self._connection(tenant)).subscribe(names)
            await self.barriers()
        await self._follow()
        self._check_over()
        self.opened = True

    async def subscribe(self, tenant: str, names: Sequence[bytes]) -> None:
        """Subscribe to pub/sub channels of a tenant. Raises `BrokerUnavailable`, and ends the session then."""
        try:
            connection = await self._connection(tenant)
            needs, there = self._wants.needs, connection.subscribed
            connection.subscribe(name for name in names if needs(name) and name not in there)
            # Another call may have subscribed just now, and not be answered yet.
            await self._barrier(connection)
        except BrokerUnavailable as error:
            # The next session subscribes to all that is wanted.
            self.end(error.message)
            raise

    def unsubscribe(self, tenant: str, names: Sequence[bytes]) -> None:
        """Unsubscribe from pub/sub channels of a tenant."""
        if tenant in self._nodes:
            self._connections[self._nodes[tenant]].unsubscribe(names)

    async def barrier(self, tenant: str) -> None:
        """Return once every announcement of the tenant made before the call has reached the listener."""
        node = self._nodes.get(tenant)
        if node is not None:
            self._check_node(tenant)
            await self._barrier(self._connections[node])
        self._check_over()

    async def barriers(self) -> None:
        """Return once every server has answered on its connection."""
        for connection in list(self._connections.values()):
            await self._barrier(connection)

    async def watch(self) -> None:
        """Return when the session is over. Looks regularly whether another server has taken over, which ends it."""
        while not self.over.is_set():
            with anyio.move_on_after(self._deadline):
                await self.over.wait()
                return
            with suppress(BrokerUnavailable), reported(self._topology.where):
                await self._topology.refresh()
                for tenant in {node: tenant for tenant, node in self._nodes.items()}.values():
                    self._check_node(tenant)

    def end(self, reason: str) -> None:
        """End the session: its announcements can no longer be trusted."""
        self.reason = self.reason or reason
        self.over.set()

    async def aclose(self) -> None:
        """Close the connections."""
        self.end("closed")
        with anyio.CancelScope(shield=True):
            for connection in list(self._connections.values()):
                await connection.aclose()

    async def _connection(self, tenant: str) -> PubSubConnection:
        async with self._opening:
            with reported(self._topology.where):
                node = self._nodes.get(tenant) or self._topology.node(tenant)
                if node not in self._connections:
                    await self._check_serving(tenant)
                    self._connections[node] = await self._connect(node)
            if self.over.is_set():
                # `aclose` may have run before this connection was there.
                await self._connections[node].aclose()
                self._check_over()
        self._nodes[tenant] = node
        return self._connections[node]

    async def _check_serving(self, tenant: str) -> None:
        # A cluster's node that has just come back accepts subscriptions before it answers commands.
        key = commands.prefix(self._topology.root, tenant)
        async with asyncio.timeout(self._deadline):
            await self._topology.execute(key, ("FCALL_RO", f"{commands.FUNCTION}version", 1, key))

    async def _connect(self, node: str) -> PubSubConnection:
        connection = PubSubConnection(
            self._wants, announced=self._listener.announced, lost=self.end, deadline=self._deadline
        )
        async with asyncio.timeout(self._deadline):
            await connection.connect(self._topology.connection(node), start=self._start)
        return connection

    async def _barrier(self, connection: PubSubConnection) -> None:
        with reported(self._topology.where):
            async with asyncio.timeout(self._deadline):
                await connection.barrier()

    def _missing(self) -> dict[str, list[bytes]]:
        there = {name for connection in self._connections.values() for name in connection.subscribed}
        missing = defaultdict(list)
        for name, tenant in self._wants.needed():
            if name not in there:
                missing[tenant].append(name)
        return missing

    async def _follow(self) -> None:
        """Have followed tenants announced together: the server may have lost that they are."""
        calls = [
            commands.follow_call(commands.prefix(self._topology.root, tenant), FOLLOW_SECONDS)
            for tenant in self._wants.tenants.values()
        ]
        with reported(self._topology.where):
            async with asyncio.timeout(self._deadline):
                for call in calls:
                    await self._topology.execute(call.keys[0], call.command)

    def _check_node(self, tenant: str) -> None:
        with reported(self._topology.where):
            if self._nodes[tenant] != self._topology.node(tenant):
                self.end("another server has taken over")
        self._check_over()

    def _check_over(self) -> None:
        if self.over.is_set():
            raise BrokerUnavailable(f"announcements are interrupted: {self.reason}")


class Subscription:
    """Sessions, one after the other. Outlives interruptions, and reports each to the listener."""

    def __init__(
        self, topology: Topology, listener: Listener, *, deadline: float, prepare: Prepare, portable: bool = False
    ) -> None:
        """`portable`: do not use private parts of redis-py. Implied where the installed version lacks them."""
        self._topology = topology
        self._listener = listener
        self._deadline = deadline
        self._prepare = prepare
        self._portable = portable
        self._wants = Wants(topology.root)
        self._session: Session | None = None
        self._reason = "not connected yet"
        self._flowing = True
        self.tried = asyncio.Event()

    @property
    def session(self) -> Session:
        """The open session. Raises `BrokerUnavailable` while announcements are interrupted."""
        session = self._session
        if session is None or not session.opened or session.over.is_set():
            raise BrokerUnavailable(f"announcements are interrupted: {self._reason}")
        return session

    async def subscribe(self, tenant: str, channels: Sequence[str]) -> None:
        """As in the broker's contract."""
        names = self._wants.add(tenant, channels)
        await self.session.subscribe(tenant, names)

    def unsubscribe(self, tenant: str, channels: Sequence[str]) -> None:
        """As in the broker's contract."""
        gone = self._wants.discard(tenant, channels)
        if gone and self._session is not None:
            self._session.unsubscribe(tenant, gone)

    async def follow(self, tenant: str) -> None:
        """Subscribe to the tenant's own pub/sub channel; `cover` is due once everything is announced there."""
        await self.session.subscribe(tenant, [self._wants.follow(tenant)])

    def cover(self, tenant: str) -> None:
        """All of the tenant is announced on its own pub/sub channel: unsubscribe from its channels."""
        self.session.unsubscribe(tenant, self._wants.cover(tenant))

    def covers(self, tenant: str) -> bool:
        """Whether the tenant's channels are heard because it is followed."""
        return tenant in self._wants.covered

    async def unfollow(self, tenant: str) -> None:
        """As in the broker's contract."""
        covered = self._wants.leave(tenant)
        with suppress(BrokerUnavailable):
            await self.session.subscribe(tenant, covered)
        # Only now, so that nothing is missed between.
        gone = self._wants.unfollow(tenant)
        if gone and self._session is not None:
            self._session.unsubscribe(tenant, gone)

    def wants(self, tenant: str, channel: str) -> bool:
        """Whether the channel's announcements come, or will come before the next `restored`."""
        return self._wants.heard(tenant, channel)

    def interrupt(self, reason: str) -> None:
        """End the session, and begin another: a server's answer shows that announcements come from elsewhere now."""
        if self._session is not None:
            self._session.end(reason)

    async def run(self) -> None:
        """Keep announcements coming until cancelled. Sets `tried` after the first attempt."""
        if missing := missing_parts():
            self._portable = True
            logger.warning(
                "redis-py %s lacks %s: each announcement costs more over its public interface",
                redis.__version__,
                ", ".join(missing),
            )
        backoff = Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        while True:
            async with anyio.create_task_group() as tasks:
                session = Session(
                    self._topology,
                    self._listener,
                    self._wants,
                    deadline=self._deadline,
                    prepare=self._prepare,
                    start=tasks.start_soon if self._portable else None,
                )
                self._session = session
                try:
                    await session.open()
                    backoff.reset()
                    self._restored()
                    await session.watch()
                except BrokerUnavailable as error:
                    session.end(error.message)
                finally:
                    self._session = None
                    await session.aclose()
            self._interrupted(session.reason)
            await anyio.sleep(backoff.next())

    def _restored(self) -> None:
        self.tried.set()
        if not self._flowing:
            self._flowing = True
            logger.info("announcements flow again")
            self._listener.restored()

    def _interrupted(self, reason: str) -> None:
        self._reason = reason
        self.tried.set()
        if self._flowing:
            self._flowing = False
            logger.warning("announcements are interrupted: %s", reason)
            self._listener.lost()
