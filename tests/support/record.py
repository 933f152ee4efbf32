"""The table of a record in a real database, as a team would have it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import JSON, Column, DateTime, Float, MetaData, String, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

T = TypeVar("T")

NOW: Final = datetime(2025, 7, 31, 12, 0, 0, 123_000, tzinfo=UTC)
"""When the youngest row of a table was changed."""


def contents_table(name: str = "contents", *, migrated: bool = True) -> Table:
    """The table that docs/migrate/database.md describes; without the two columns where it is not `migrated`."""
    texts = ("provider_id", "url", "img_url", "video_url", "title", "description", "category")
    states = (Column("status", String(32)), Column("processing_status", String(32))) if migrated else ()
    return Table(
        name,
        MetaData(),
        Column("id", String(128), primary_key=True),
        Column("channel_id", String(128), nullable=False),
        *(Column(each, Text) for each in texts),
        *states,
        Column("ai_gen_metadata", JSON(none_as_null=True)),
        Column("link_preview_metadata", JSON(none_as_null=True)),
        Column("hls_path", Text),
        Column("duration", Float),
        Column("error_reason", Text),
        Column("likes", String(16)),
        Column("created_at", DateTime(timezone=True)),
        Column("updated_at", DateTime(timezone=True)),
    )


class TeamDatabase:
    """A database that a team writes. Each call has a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `work` returns, in one transaction."""

        async def once() -> T:
            engine = create_async_engine(self.url)
            try:
                async with engine.begin() as connection:
                    return await work(connection)
            finally:
                await engine.dispose()

        return asyncio.run(once())

    def execute(self, sql: str) -> None:
        """Execute statements, which end in semicolons at the ends of their lines."""

        async def work(connection: AsyncConnection) -> None:
            for statement in sql.split(";\n"):
                if statement.strip(" ;\n"):
                    await connection.execute(text(statement.strip(" ;\n").replace(":", r"\:")))

        self.run(work)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement."""

        async def work(connection: AsyncConnection) -> list[dict[str, Any]]:
            return [dict(row._mapping) for row in await connection.execute(text(sql))]

        return self.run(work)

    def create(self, table: Table, rows: Sequence[dict[str, Any]] = ()) -> None:
        """Create a table, in the place of one of this name, with these rows."""

        async def work(connection: AsyncConnection) -> None:
            await connection.run_sync(table.metadata.drop_all)
            await connection.run_sync(table.metadata.create_all)
            await self._insert(connection, table, rows)

        self.run(work)

    def insert(self, table: Table, *rows: dict[str, Any]) -> None:
        """Insert rows."""
        self.run(lambda connection: self._insert(connection, table, rows))

    @staticmethod
    async def _insert(connection: AsyncConnection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            await connection.execute(table.insert().values(row))


def row(id: str, channel: str = "c", *, age: float = 0, **fields: Any) -> dict[str, Any]:
    """A row that was changed `age` seconds before `NOW`."""
    moment = NOW - timedelta(seconds=age)
    return {"id": id, "channel_id": channel, "created_at": moment, "updated_at": moment, **fields}
