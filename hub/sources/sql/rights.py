"""Whether the hub may write into a table. Nothing is changed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import false, text
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.sql.table import RecordTable
from statushub.hub.sources.sql.update import WORDS
from statushub.hub.sources.states import FIELDS

WRITTEN: Final = (*WORDS, *FIELDS, "error_reason", "updated_at")
"""The columns that are written back, of those that a table has."""

READ_ONLY: Final = {
    "postgresql": "SELECT current_setting('transaction_read_only') = 'on'",
    "mysql": "SELECT @@global.read_only",
    "mariadb": "SELECT @@global.read_only",
}
"""What tells that a server, or a user, writes nothing: a replica for example."""


def written_columns(table: RecordTable) -> tuple[str, ...]:
    """The columns of a table that are written back, by the database's names."""
    return tuple(table.column(name).name for name in WRITTEN if name in table)


async def check_rights(connection: AsyncConnection, table: RecordTable) -> None:
    """Raises `SourceUnavailable`, or SQLAlchemy's errors, where the columns may not be updated."""
    dialect = connection.dialect.name
    if dialect in READ_ONLY and (await connection.execute(text(READ_ONLY[dialect]))).scalar():
        raise SourceUnavailable("the database is read only")
    columns = [table.table.columns[name] for name in written_columns(table)]
    nothing = table.table.update().where(false()).values({column: column for column in columns})
    if dialect == "sqlite":
        # Only what is executed finds that a file is read only.
        await connection.execute(nothing)
        return
    # Not executed: triggers of statements would be.
    compiled = nothing.compile(dialect=connection.dialect)
    await connection.execute(text(f"EXPLAIN {compiled}".replace(":", r"\:")))
