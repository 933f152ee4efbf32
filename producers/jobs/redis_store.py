"""The Redis of the hubs, as workers use it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from statushub.hub.brokers.contract import ChannelPage, Found, Removal, Snapshot
from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.brokers.redis.client import DEADLINE_SECONDS, Client
from statushub.hub.brokers.redis.publisher import Publisher
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.jobs.store import Store


class RedisStore:
    """Reads as a hub does, and publishes as a producer does: within the limits that the hubs have written into the
    Redis. An async context manager; a server that is away is no error."""

    def __init__(self, url: str) -> None:
        """Raises `ConfigError` where `url` is malformed."""
        self._broker = RedisBroker(url)
        self._client = Client(open_topology(parse_redis_url(url), DEADLINE_SECONDS))
        self._publisher = Publisher(self._client)

    async def __aenter__(self) -> Self:
        await self._broker.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._client.aclose()
        finally:
            await self._broker.__aexit__(kind, error, trace)

    async def publish(
        self, tenant: str, publications: Sequence[Publication], *, retention: float | None = None
    ) -> list[Receipt]:
        return await self._publisher.publish(tenant, publications, retention=retention)

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        return await self._broker.changes(tenant, channel, since)

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        return await self._broker.lookup(tenant, content_ids)

    async def channels(self, tenant: str, *, prefix: str = "", limit: int) -> ChannelPage:
        return await self._broker.channels(tenant, prefix=prefix, limit=limit)

    async def remove(self, tenant: str, channel: str, content_ids: Sequence[str] | None = None) -> Removal:
        return await self._broker.remove(tenant, channel, content_ids)


_fits: type[Store] = RedisStore
