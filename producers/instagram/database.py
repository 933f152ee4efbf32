"""What the sync needs of a database, and the tables in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import StatushubError
from statushub.producers.instagram.tables import METADATA
from statushub.producers.instagram.upsert import upsert

ROWS: Final = 200
"""Rows of one statement: some hundred KB of comments."""

TRIES: Final = 5
"""How often work is tried: a deadlock of two executions, a lock that another one holds, a server that restarts."""

PAUSE_FIRST: Final = 0.05
PAUSE_LONGEST: Final = 2.0
"""Seconds between the tries."""

T = TypeVar("T")

Work = Callable[[AsyncConnection], Awaitable[T]]


class Connections(Protocol):
    """Runs work in transactions, on connections that it opens itself."""

    where: str

    async def run(self, work: Work[T]) -> T:
        """What `work` returns, in one transaction."""

    async def aclose(self) -> None: ...


class Tables:
    """The tables of the sync, which are made when they are first used. The work is repeatable."""

    def __init__(self, connections: Connections, unavailable: type[StatushubError]) -> None:
        """`connections` are closed with this; `unavailable` is what they raise where the database is away or refuses
        the work."""
        self.unavailable = unavailable
        self._connections = connections
        self._made = False

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def make(self) -> None:
        """Make the tables where they are missing. Raises `unavailable`."""
        if not self._made:
            # Two processes that make them simultaneously are an error of one, which then finds them.
            await self._connections.run(_make)
            self._made = True

    async def run(self, work: Work[T]) -> T:
        """What `work` returns, in one transaction. Raises `unavailable` after some tries."""
        backoff = Backoff(PAUSE_FIRST, PAUSE_LONGEST)
        for _ in range(TRIES - 1):
            try:
                return await self._once(work)
            except self.unavailable:
                await asyncio.sleep(backoff.next())
        return await self._once(work)

    async def _once(self, work: Work[T]) -> T:
        await self.make()
        return await self._connections.run(work)


async def _make(connection: AsyncConnection) -> None:
    await connection.run_sync(METADATA.create_all)


async def write(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert these rows or bring them up to date, in the order of their keys, so that two executions do not wait for
    each other in a circle. Of rows with one key the last one is stored."""
    key = [column.name for column in table.primary_key]
    distinct = {tuple(row[name] for name in key): row for row in rows}
    ordered = [dict(distinct[it]) for it in sorted(distinct)]
    statement = upsert(connection.dialect.name, table)
    for start in range(0, len(ordered), ROWS):
        await connection.execute(statement, ordered[start : start + ROWS])
