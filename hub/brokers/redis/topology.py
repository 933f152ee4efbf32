"""How a command finds its Redis server: a standalone server, the master that Sentinel names, or a cluster's node.

Everything that differs between the three is here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.packed import packed
from statushub.hub.brokers.redis.url import Address, Kind

SENTINEL_SECONDS: Final = 1.0
"""For one Sentinel to answer: short, because the next one is asked after it."""

Command = Sequence[str | bytes | int]
"""A command and its arguments."""

Execute = Callable[..., Awaitable[Any]]
"""Executes a command on one server: `await execute("PING")`."""


class Topology(Protocol):
    """Servers that hold tenants. Methods raise what redis-py raises; `errors.reported` translates it."""

    where: str
    """The address, for messages; without credentials."""

    root: str
    """What every key begins with."""

    moves: bool
    """Whether a tenant may move to another server without a failover."""

    async def execute(self, key: str, command: Command) -> Any:
        """Execute a command on the server that holds `key`. It is sent once and never repeated silently."""

    async def execute_all(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        """Execute commands, each with its key, in one pipeline per server.

        Returns the answer of each, which may be an exception.
        """

    async def refresh(self) -> None:
        """Discover the servers again."""

    async def reconnect(self) -> None:
        """Use new connections from now on: the pooled ones are stale, or lead to the wrong server."""

    def node(self, tenant: str) -> str:
        """The server that this tenant's commands go to, as far as is known."""

    def nodes(self) -> list[str]:
        """Every server that may hold keys, as far as is known, for `connection`."""

    def connection(self, node: str) -> AbstractConnection:
        """A connection to that server, not yet connected and outside the pool."""

    def primaries(self) -> list[Execute]:
        """Every server that may hold tenants."""

    async def aclose(self) -> None:
        """Close every connection but those given out by `connection`."""


def open_topology(address: Address, timeout: float) -> Topology:
    """The topology of an address, not yet connected. `timeout`, in seconds, is that of each step."""
    if address.kind is Kind.CLUSTER:
        return ClusterTopology(address, timeout)
    if address.kind is Kind.SENTINEL:
        return SentinelTopology(address, timeout)
    return StandaloneTopology(address, timeout)


def _settings(address: Address, timeout: float) -> dict[str, Any]:
    # RESP2, because a push would come between a command and its answer; no retries, because commands are sent once.
    return {
        **address.options,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
    }


class StandaloneTopology:
    """One server, without failover."""

    moves = False

    def __init__(self, address: Address, timeout: float) -> None:
        self.where = address.where
        self.root = commands.root(address.db, address.prefix)
        settings = {**_settings(address, timeout), "db": address.db}
        if address.nodes:
            settings["host"], settings["port"] = address.nodes[0]
            settings["socket_keepalive"] = True
        else:
            del settings["socket_connect_timeout"]
        self.pool = self._pool(address, settings)
        self._client = Redis(connection_pool=self.pool)

    def _pool(self, address: Address, settings: dict[str, Any]) -> ConnectionPool:
        kind = settings.pop("connection_class", Connection)
        return ConnectionPool(connection_class=packed(kind), **settings)

    async def execute(self, key: str, command: Command) -> Any:
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def execute_all(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for _, command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)

    async def refresh(self) -> None:
        """Nothing to discover: the server's name is resolved with each connection."""

    async def reconnect(self) -> None:
        await self.pool.disconnect(inuse_connections=False)

    def node(self, tenant: str) -> str:
        return ""

    def nodes(self) -> list[str]:
        return [self.node("")]

    def connection(self, node: str) -> AbstractConnection:
        return self.pool.connection_class(**self.pool.connection_kwargs)

    def primaries(self) -> list[Execute]:
        return [self._client.execute_command]

    async def aclose(self) -> None:
        await self.pool.aclose()


class SentinelTopology(StandaloneTopology):
    """The master that Sentinel names."""

    pool: SentinelConnectionPool

    def _pool(self, address: Address, settings: dict[str, Any]) -> ConnectionPool:
        secure = settings.pop("connection_class", Connection) is SSLConnection
        del settings["host"], settings["port"]
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            address.nodes,
            sentinel_kwargs={
                **address.sentinel_options,
                "ssl": secure,
                "protocol": 2,
                "retry": Retry(NoBackoff(), 0),
                "socket_timeout": SENTINEL_SECONDS,
                "socket_connect_timeout": SENTINEL_SECONDS,
            },
        )
        return SentinelConnectionPool(  # type: ignore[no-untyped-call]
            address.service, self._sentinel, ssl=secure, **settings
        )

    async def refresh(self) -> None:
        await self.pool.get_master_address()  # type: ignore[no-untyped-call]

    def node(self, tenant: str) -> str:
        return str(self.pool.master_address)

    async def aclose(self) -> None:
        await super().aclose()
        await self._sentinel.aclose()


class ClusterTopology:
    """The nodes of a cluster. The hash tag in a tenant's keys puts all of the tenant on one node."""

    moves = True

    def __init__(self, address: Address, timeout: float) -> None:
        self.where = address.where
        self.root = commands.root(0, address.prefix)
        settings = _settings(address, timeout)
        secure = settings.pop("connection_class", Connection) is SSLConnection
        nodes = [ClusterNode(host, port) for host, port in address.nodes]
        self._client = RedisCluster(startup_nodes=nodes, ssl=secure, **settings)

    async def execute(self, key: str, command: Command) -> Any:
        await self._client.initialize()
        return await self._client.execute_command(*command, target_nodes=self._holder(key))

    async def execute_all(self, commands: Sequence[tuple[str, Command]]) -> list[Any]:
        await self._client.initialize()
        pipeline = self._client.pipeline()
        for key, command in commands:
            pipeline.execute_command(*command, target_nodes=self._holder(key))
        return await pipeline.execute(raise_on_error=False)

    async def refresh(self) -> None:
        await self._client.initialize()
        await self._client.nodes_manager.initialize()

    async def reconnect(self) -> None:
        for node in self._client.get_nodes():
            await node.disconnect_free_connections()

    def node(self, tenant: str) -> str:
        return str(self._holder(commands.prefix(self.root, tenant)).name)

    def nodes(self) -> list[str]:
        return sorted(str(node.name) for node in self._client.get_primaries())

    def connection(self, node: str) -> AbstractConnection:
        found = self._client.get_node(node_name=node)
        if found is None:
            raise RedisClusterException(f"{node} is no longer a node of the cluster")
        return found.connection_class(**{**found.connection_kwargs, "retry": Retry(NoBackoff(), 0)})

    def primaries(self) -> list[Execute]:
        return [node.execute_command for node in self._client.get_primaries()]

    async def aclose(self) -> None:
        await self._client.aclose()

    def _holder(self, key: str) -> ClusterNode:
        # Without target_nodes redis-py would ask the server which argument of FCALL is the key.
        return cast(ClusterNode, self._client.get_node_from_key(key))


async def load_functions(topology: Topology) -> None:
    """Load the function library into every server that has none, or an older one, in place of the former version's."""
    await topology.refresh()
    for execute in topology.primaries():
        if await _version(execute) < commands.MINOR:
            with suppress(ResponseError):  # there is none
                await execute("FUNCTION", "DELETE", commands.FORMER_LIBRARY)
            await execute("FUNCTION", "LOAD", "REPLACE", commands.LIBRARY)


async def _version(execute: Execute) -> int:
    try:
        return int(await execute("FCALL_RO", f"{commands.FUNCTION}version", 0))
    except RedisError as error:
        if commands.MISSING in str(error):
            return 0
        raise
