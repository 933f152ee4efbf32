"""The embedded store: the contract kept in process, on one SQLite file or in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from statushub.hub.brokers.sqlite.owner import Owner
from statushub.hub.feeds.contract import Claim, Counts, FeedStore, Notification, Trend, Written
from statushub.hub.feeds.sqlite.tables import Tables
from statushub.hub.feeds.writes import AnyWrite


class EmbeddedFeeds:
    """The store without a server, for one hub process. `path` is its file, None for memory.

    Entering raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used.
    """

    shared = False

    def __init__(self, path: Path | None) -> None:
        self._file = Owner(lambda: Tables(path), name="statushub-feeds", file="the file of feeds")

    async def __aenter__(self) -> Self:
        await self._file.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._file.__aexit__(kind, error, trace)

    async def write(self, tenant: str, writes: Sequence[AnyWrite]) -> list[Written]:
        written: list[Written] = await self._file.write(lambda tables: tables.write(tenant, writes))
        return written

    async def liked(self, tenant: str, user: str, videos: Sequence[str]) -> list[bool]:
        liked: list[bool] = await self._file.read(lambda tables: tables.members("likes", tenant, user, videos))
        return liked

    async def followed(self, tenant: str, user: str, users: Sequence[str]) -> list[bool]:
        followed: list[bool] = await self._file.read(lambda tables: tables.members("follows", tenant, user, users))
        return followed

    async def counts(self, tenant: str, videos: Sequence[str]) -> list[Counts | None]:
        counts: list[Counts | None] = await self._file.read(lambda tables: tables.counts(tenant, videos))
        return counts

    async def trending(self, tenant: str, after: Trend | None, limit: int) -> list[Trend]:
        found: list[Trend] = await self._file.read(lambda tables: tables.trending(tenant, after, limit))
        return found

    async def notifications(
        self, tenant: str, user: str, *, category: str | None = None, before: int | None = None, limit: int
    ) -> list[Notification]:
        found: list[Notification] = await self._file.read(
            lambda tables: tables.notifications(tenant, user, category, before, limit)
        )
        return found

    async def unread(self, tenant: str, user: str) -> int:
        number: int = await self._file.read(lambda tables: tables.unread(tenant, user))
        return number

    async def tenants(self) -> list[str]:
        found: list[str] = await self._file.read(Tables.tenants)
        return found

    async def claim(self, tenant: str) -> Claim:
        claim: Claim = await self._file.write(lambda tables: tables.claim(tenant))
        return claim

    async def done(self, tenant: str, claim: Claim) -> None:
        await self._file.write(lambda tables: tables.done(tenant, claim))


_fits: type[FeedStore] = EmbeddedFeeds
