"""The store of feeds in a Redis, which hubs and straight producers share."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from statushub.hub.brokers.redis.client import DEADLINE_SECONDS, Client
from statushub.hub.brokers.redis.commands import prefix as tenant_prefix
from statushub.hub.brokers.redis.tls import check_tls
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.feeds.contract import Claim, Counts, FeedStore, Notification, Trend, Written
from statushub.hub.feeds.redis import commands
from statushub.hub.feeds.redis.commands import Keys
from statushub.hub.feeds.redis.writer import FeedWriter, load_functions
from statushub.hub.feeds.writes import AnyWrite


class RedisFeeds:
    """Keeps the contract on a Redis. Raises `ConfigError` where `url` is malformed; `deadline` is in seconds."""

    shared = True

    def __init__(self, url: str, *, deadline: float = DEADLINE_SECONDS) -> None:
        address = parse_redis_url(url)
        check_tls(address.options)
        self._client = Client(open_topology(address, deadline), deadline=deadline, load=load_functions)
        self._writer = FeedWriter(self._client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def write(self, tenant: str, writes: Sequence[AnyWrite]) -> list[Written]:
        return await self._writer.write(tenant, writes)

    async def liked(self, tenant: str, user: str, videos: Sequence[str]) -> list[bool]:
        return await self._members(self._keys(tenant)("likes", user), videos)

    async def followed(self, tenant: str, user: str, users: Sequence[str]) -> list[bool]:
        return await self._members(self._keys(tenant)("follows", user), users)

    async def counts(self, tenant: str, videos: Sequence[str]) -> list[Counts | None]:
        if not videos:
            return []
        return commands.counts(await self._client.call(commands.counts_call(self._keys(tenant), videos)))

    async def trending(self, tenant: str, after: Trend | None, limit: int) -> list[Trend]:
        return commands.trending(await self._client.call(commands.trending_call(self._keys(tenant), after, limit)))

    async def notifications(
        self, tenant: str, user: str, *, category: str | None = None, before: int | None = None, limit: int
    ) -> list[Notification]:
        call = commands.notifications_call(self._keys(tenant), user, category, before, limit)
        return commands.notifications(await self._client.call(call))

    async def unread(self, tenant: str, user: str) -> int:
        key = self._keys(tenant)("unread", user)
        return int(await self._client.execute(key, ["SCARD", key]))

    async def tenants(self) -> list[str]:
        key = commands.tenants(self._client.root)
        return sorted(name.decode(errors="replace") for name in await self._client.execute(key, ["SMEMBERS", key]))

    async def claim(self, tenant: str) -> Claim:
        keys = self._keys(tenant)
        next_ms, members = commands.due(await self._client.call(commands.due_call(keys)))
        claimed = await self._client.call(commands.claim_call(keys, members)) if members else []
        return commands.claim(claimed, next_ms)

    async def done(self, tenant: str, claim: Claim) -> None:
        await self._client.call(commands.done_call(self._keys(tenant), claim))

    async def _members(self, key: str, ids: Sequence[str]) -> list[bool]:
        if not ids:
            return []
        return [bool(found) for found in await self._client.execute(key, ["SMISMEMBER", key, *ids])]

    def _keys(self, tenant: str) -> Keys:
        return Keys(tenant_prefix(self._client.root, tenant))


_fits: type[FeedStore] = RedisFeeds
