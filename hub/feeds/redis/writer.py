"""Writes into the feeds of a Redis: the one way for hubs and for producers that connect to Redis themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from redis.exceptions import RedisError

from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.commands import MISSING
from statushub.hub.brokers.redis.commands import prefix as tenant_prefix
from statushub.hub.brokers.redis.topology import Execute, Topology
from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.redis import commands
from statushub.hub.feeds.redis.commands import Keys
from statushub.hub.feeds.writes import AnyWrite

REMEMBERED_SECONDS: Final = 30.0
"""How long a tenant that was registered is taken to be: a server that lost its data is told again after that."""


class FeedWriter:
    """`client` loads the functions with `load_functions`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._registered: dict[str, float] = {}

    async def write(self, tenant: str, writes: Sequence[AnyWrite]) -> list[Written]:
        """As `FeedStore.write`."""
        now = time.monotonic()
        if now - self._registered.get(tenant, -REMEMBERED_SECONDS) >= REMEMBERED_SECONDS:
            # Before the write, whose news no hub would look for otherwise.
            key = commands.tenants(self._client.root)
            await self._client.execute(key, ["SADD", key, tenant])
            self._registered[tenant] = now
        call = commands.write_call(Keys(tenant_prefix(self._client.root, tenant)), writes)
        return commands.written(await self._client.call(call))


async def load_functions(topology: Topology) -> None:
    """Load the library of feeds into every server that has none, or an older one."""
    await topology.refresh()
    for execute in topology.primaries():
        if await _version(execute) < commands.MINOR:
            await execute("FUNCTION", "LOAD", "REPLACE", commands.LIBRARY)


async def _version(execute: Execute) -> int:
    try:
        return int(await execute("FCALL_RO", f"{commands.FUNCTION}version", 0))
    except RedisError as error:
        if MISSING in str(error):
            return 0
        raise
