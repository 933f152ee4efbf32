"""What of a database's table the hub misses, and how it would answer the hub's queries."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.record_names import COLUMNS, NEEDED, RecordNames
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.sql.address import parse_address
from statushub.hub.sources.sql.database import Database
from statushub.hub.sources.sql.plans import Plan, explain
from statushub.hub.sources.sql.rights import check_rights, written_columns
from statushub.hub.sources.sql.table import RecordTable

INSPECT_SECONDS: Final = 30.0
"""For all that is asked: a person waits."""


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What a table is like."""

    where: str
    missing: tuple[str, ...]
    """The columns that the hub knows and the table lacks, by the database's names."""
    plans: tuple[Plan, ...]
    written: tuple[str, ...]
    """The columns that can be written back, by the database's names."""
    refused: str
    """Why they may not be updated; empty where they may."""


async def inspect(url: str, names: RecordNames) -> Inspection:
    """Inspect the table at `url`; nothing is changed.

    Raises `ConfigError` for a malformed URL, `SourceUnavailable` where the database does not answer, or the table or a
    column is missing without which nothing can be read.
    """
    database = Database(parse_address(url), deadline=INSPECT_SECONDS)

    async def look(connection: AsyncConnection) -> Inspection:
        table = await connection.run_sync(lambda it: RecordTable.reflect(it, names))
        tenant = next(iter(names.values.ids), names.tenants[0] if names.tenants else DEFAULT_TENANT)
        missing = [names.column(name) for name in COLUMNS if name not in NEEDED and name not in table]
        plans = await explain(connection, table, tenant)
        return Inspection(
            where=database.where,
            missing=tuple(missing),
            plans=tuple(plans),
            written=written_columns(table),
            refused="",
        )

    async def update(connection: AsyncConnection) -> None:
        await check_rights(connection, await connection.run_sync(lambda it: RecordTable.reflect(it, names)))

    try:
        found = await database.run(look)
        try:
            await database.run(update)
        except SourceUnavailable as error:
            return msgspec.structs.replace(found, refused=error.message)
        return found
    finally:
        await database.aclose()
