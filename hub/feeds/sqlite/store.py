"""The embedded store: the contract kept in process, on one SQLite file or in memory.

One thread owns the file. Writes that wait together share a transaction, so that one `fsync` serves many.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import anyio

from statushub.hub.feeds.contract import Claim, Counts, FeedStore, Notification, Trend, Written
from statushub.hub.feeds.sqlite.tables import Tables
from statushub.hub.feeds.writes import AnyWrite
from statushub.hub.model.errors import BrokerUnavailable

GROUP_CALLS: Final = 64
"""Most calls in one transaction: as many as share the cost of an fsync well."""


class _Call(NamedTuple):
    future: asyncio.Future[Any]
    run: Callable[[Tables], Any]


class EmbeddedFeeds:
    """The store without a server, for one hub process. `path` is its file, None for memory.

    Entering raises `BrokerInUse` where another process holds the file, `ConfigError` where it cannot be used.
    """

    shared = False

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._open = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        opened: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a hub that ends without leaving the store must not hang, and what was acknowledged is on disk.
        self._thread = threading.Thread(target=self._work, args=(opened,), name="statushub-feeds", daemon=True)
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._end()
            raise
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._submit(lambda _: None)
        finally:
            self._end()

    async def write(self, tenant: str, writes: Sequence[AnyWrite]) -> list[Written]:
        written: list[Written] = await self._submit(lambda tables: tables.write(tenant, writes))
        return written

    async def liked(self, tenant: str, user: str, videos: Sequence[str]) -> list[bool]:
        liked: list[bool] = await self._submit(lambda tables: tables.members("likes", tenant, user, videos))
        return liked

    async def followed(self, tenant: str, user: str, users: Sequence[str]) -> list[bool]:
        followed: list[bool] = await self._submit(lambda tables: tables.members("follows", tenant, user, users))
        return followed

    async def counts(self, tenant: str, videos: Sequence[str]) -> list[Counts | None]:
        counts: list[Counts | None] = await self._submit(lambda tables: tables.counts(tenant, videos))
        return counts

    async def trending(self, tenant: str, after: Trend | None, limit: int) -> list[Trend]:
        found: list[Trend] = await self._submit(lambda tables: tables.trending(tenant, after, limit))
        return found

    async def notifications(
        self, tenant: str, user: str, *, category: str | None = None, before: int | None = None, limit: int
    ) -> list[Notification]:
        found: list[Notification] = await self._submit(
            lambda tables: tables.notifications(tenant, user, category, before, limit)
        )
        return found

    async def unread(self, tenant: str, user: str) -> int:
        number: int = await self._submit(lambda tables: tables.unread(tenant, user))
        return number

    async def tenants(self) -> list[str]:
        found: list[str] = await self._submit(Tables.tenants)
        return found

    async def claim(self, tenant: str) -> Claim:
        claim: Claim = await self._submit(lambda tables: tables.claim(tenant))
        return claim

    async def done(self, tenant: str, claim: Claim) -> None:
        await self._submit(lambda tables: tables.done(tenant, claim))

    def _submit(self, run: Callable[[Tables], Any]) -> asyncio.Future[Any]:
        if not self._open:
            raise BrokerUnavailable("the store of feeds is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._calls.put(_Call(future, run))
        return future

    def _end(self) -> None:
        self._open = False
        self._calls.put(None)
        self._thread.join()

    # The methods below run on the thread.

    def _work(self, opened: asyncio.Future[None]) -> None:
        try:
            tables = Tables(self._path)
        except Exception as error:  # noqa: BLE001 - raised where the store is entered
            self._tell([(opened, None, error)])
            return
        with closing(tables):
            self._tell([(opened, None, None)])
            ended = False
            while not ended:
                calls, ended = self._waiting()
                if calls:
                    self._run(tables, calls)

    def _waiting(self) -> tuple[list[_Call], bool]:
        """The calls that wait together, at least one; and whether these are the last."""
        calls: list[_Call] = []
        try:
            while len(calls) < GROUP_CALLS:
                call = self._calls.get(block=not calls)
                if call is None:
                    return calls, True
                calls.append(call)
        except queue.Empty:
            pass
        return calls, False

    def _run(self, tables: Tables, calls: Sequence[_Call]) -> None:
        try:
            with tables.transaction():
                results = [call.run(tables) for call in calls]
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            if len(calls) == 1:
                self._tell([(calls[0].future, None, _explained(error))])
                return
            for call in calls:  # the others must not fail with the faulty one
                self._run(tables, [call])
        else:
            self._tell([(call.future, result, None) for call, result in zip(calls, results, strict=True)])

    def _tell(self, outcomes: Sequence[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
        self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: Sequence[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for future, result, error in outcomes:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _explained(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    unavailable = BrokerUnavailable(f"the file of feeds cannot be used: {error}")
    unavailable.__cause__ = error
    return unavailable


_fits: type[FeedStore] = EmbeddedFeeds
