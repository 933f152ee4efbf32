"""The system of record as a source: rows by their ids, and a channel's rows by pages and by phase."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sqlalchemy import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.model.record_names import RecordNames
from statushub.hub.model.vocabulary import Phase
from statushub.hub.sources.contract import Source, SourceUnavailable
from statushub.hub.sources.row import Position, Row, RowPage, position_of, read_row, row_phase
from statushub.hub.sources.sql.database import Database, Work
from statushub.hub.sources.sql.reflection import Reflection
from statushub.hub.sources.sql.table import TENANT

FRESH_SECONDS: Final = 0.0
"""An answer is kept by the cache of the record, which events drop, and by nothing else."""

COUNTED_IDS: Final = 5_000
"""Most ids of one statement: drivers take up to 32,767 values."""

T = TypeVar("T")

Fields = dict[str, Any]
"""A row's values by the hub's names of their columns, as the driver gives them, and its tenant."""


class SqlSource:
    """The contents table of a database."""

    name = "record"
    fresh = FRESH_SECONDS

    def __init__(self, database: Database, names: RecordNames) -> None:
        """`database` is closed with this."""
        self.where = database.where
        self._database = database
        self._names = names
        self._reflection = Reflection(names)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.aclose()

    async def find(self, tenant: str, content_ids: Sequence[str]) -> list[Row | None]:
        async def read(connection: AsyncConnection) -> list[Fields]:
            table = await self._reflection.table(connection)
            statement = table.found(tenant, content_ids)
            return [] if statement is None else _fields(await connection.execute(statement))

        found = {row.id: row for row in self._owned(await self._asked(read), tenant)}
        return [found.get(content_id) for content_id in content_ids]

    async def page(self, tenant: str, channel: str, after: Position | None, limit: int) -> RowPage:
        """Up to `limit` of a channel's rows after a position, the latest first. Raises `SourceUnavailable`."""

        async def read(connection: AsyncConnection) -> list[Fields]:
            table = await self._reflection.table(connection)
            rows: list[Fields] = []
            for statement in table.page(tenant, channel, after, limit + 1):
                if len(rows) <= limit:
                    rows += _fields(await connection.execute(statement.limit(limit + 1 - len(rows))))
            return rows

        found = await self._asked(read)
        last = position_of(found[limit - 1]) if len(found) > limit else None
        rows = [row for row in self._owned(found[:limit], tenant) if row.channel == channel]
        return RowPage(rows=rows, next=last)

    async def count(self, tenant: str, channel: str, without: Sequence[str]) -> dict[Phase, int]:
        """How many of a channel's rows are in each phase, but for these contents. Raises `SourceUnavailable`."""

        async def read(connection: AsyncConnection) -> dict[Phase, int]:
            table = await self._reflection.table(connection)
            totals = dict.fromkeys(Phase, 0)
            parts: list[Sequence[str] | None] = [None]
            parts += [without[start : start + COUNTED_IDS] for start in range(0, len(without), COUNTED_IDS)]
            for part in parts:
                statement = table.counts(tenant, channel, part)
                if statement is not None:
                    for phase, number in _phases(await connection.execute(statement)):
                        totals[phase] += number if part is None else -number
            return totals

        return await self._asked(read)

    async def _asked(self, read: Work[T]) -> T:
        try:
            return await self._database.run(read)
        except SourceUnavailable:
            self._reflection.forget()
            raise

    def _owned(self, found: Sequence[Fields], tenant: str) -> list[Row]:
        """The rows that are the tenant's: a collation may hold names for equal that are not, as in a channel's page."""
        owner = self._names.tenant_value(tenant)
        return [
            read_row({name: value for name, value in fields.items() if name != TENANT})
            for fields in found
            if str(fields.get(TENANT, owner)) == owner
        ]


def _fields(found: CursorResult[*tuple[Any, ...]]) -> list[Fields]:
    return [dict(row._mapping) for row in found]


def _phases(found: CursorResult[*tuple[Any, ...]]) -> list[tuple[Phase, int]]:
    return [(row_phase(word, step, bool(told)), number) for word, step, told, number in found]


_fits: type[Source] = SqlSource
