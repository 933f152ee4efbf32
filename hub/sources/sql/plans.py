"""How a database would answer the hub's own queries: each must use an index, and a page must not be sorted.

What a planner chooses depends on the size of the table: on a small one it may rightly read all of it. PostgreSQL is
asked what it would do if that were dear. Of MySQL's and MariaDB's, a full read of a small table counts as one that an
index could replace where they name one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import CompoundSelect, Select

from statushub.hub.sources.row import position_of
from statushub.hub.sources.sql.table import RecordTable

SMALL_ROWS: Final = 1_000
"""Rows of a table that a planner may read whole, or sort, although it has an index."""

SAMPLE: Final = "statushub-check"
"""The channel and the content that are asked for where the table is empty."""

Statement = Select[Any] | CompoundSelect[Any]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one of the hub's queries would be answered."""

    query: str
    indexes: tuple[str, ...]
    trouble: str
    """What is wrong with it, in words that fit behind the query; empty where an index answers it."""
    text: str
    """What the database says, in lines."""


async def explain(connection: AsyncConnection, table: RecordTable, tenant: str) -> list[Plan]:
    """The plans of the hub's queries, for a channel and contents that the table has. Raises SQLAlchemy's errors."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
    reader = {"postgresql": _postgresql, "sqlite": _sqlite}.get(dialect, _mysql)
    return [
        await reader(connection, query, statement, paged=paged)
        for query, statement, paged in await _queries(connection, table, tenant)
    ]


async def _queries(connection: AsyncConnection, table: RecordTable, tenant: str) -> list[tuple[str, Statement, bool]]:
    id, channel = table.column("id"), table.column("channel_id")
    columns = (id.label("id"), channel.label("channel_id"), table.column("updated_at").label("updated_at"))
    sample: Select[Any] = Select(*columns)
    row = (await connection.execute(sample.limit(1))).first()
    fields = {"id": SAMPLE, "channel_id": SAMPLE, "updated_at": None} if row is None else dict(row._mapping)
    channel_id = str(fields["channel_id"])
    asked: list[tuple[str, Statement | None, bool]] = [
        ("a batch of contents", table.found(tenant, [str(fields["id"])]), False),
        *(("the first page of a channel", each, True) for each in table.page(tenant, channel_id, None, 101)[:1]),
        *(("its next page", each, True) for each in table.page(tenant, channel_id, position_of(fields), 101)[:1]),
        ("the totals of a channel", table.counts(tenant, channel_id), False),
    ]
    return [(query, statement, paged) for query, statement, paged in asked if statement is not None]


async def _explained(connection: AsyncConnection, prefix: str, statement: Statement) -> list[Any]:
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    # A text in a literal may look like a parameter.
    return list(await connection.execute(text(f"{prefix} {compiled}".replace(":", r"\:"))))


async def _postgresql(connection: AsyncConnection, query: str, statement: Statement, *, paged: bool) -> Plan:
    lines = [str(row[0]) for row in await _explained(connection, "EXPLAIN", statement)]
    [found] = await _explained(connection, "EXPLAIN (FORMAT JSON)", statement)
    tree = json.loads(found[0]) if isinstance(found[0], str) else found[0]
    nodes = list(_nodes(tree[0]["Plan"]))
    kinds = {node["Node Type"] for node in nodes}
    trouble = "reads the whole table" if "Seq Scan" in kinds else ""
    if paged and kinds & {"Sort", "Incremental Sort"}:
        trouble = trouble or "sorts all rows of the channel"
    indexes = (node.get("Index Name") for node in nodes)
    return _plan(query, indexes, trouble, lines)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


async def _sqlite(connection: AsyncConnection, query: str, statement: Statement, *, paged: bool) -> Plan:
    lines = [str(row[3]) for row in await _explained(connection, "EXPLAIN QUERY PLAN", statement)]
    trouble = ""
    if any(line.startswith("SCAN") and "INDEX" not in line and "subquery" not in line.lower() for line in lines):
        trouble = "reads the whole table"
    elif paged and any("TEMP B-TREE FOR" in line and "ORDER BY" in line for line in lines):
        trouble = "sorts all rows of the channel"
    return _plan(query, (_index_of(line) for line in lines), trouble, lines)


def _index_of(line: str) -> str | None:
    _, found, rest = line.partition(" INDEX ")
    return rest.partition(" ")[0] if found else None


async def _mysql(connection: AsyncConnection, query: str, statement: Statement, *, paged: bool) -> Plan:
    rows = [dict(row._mapping) for row in await _explained(connection, "EXPLAIN", statement)]
    trouble = ""
    for row in rows:
        large, derived = int(row["rows"] or 0) > SMALL_ROWS, str(row["table"] or "<").startswith("<")
        if not derived and row["key"] is None and (large or row["possible_keys"] is None):
            trouble = "reads the whole table"
        elif paged and large and "filesort" in str(row["Extra"]):
            trouble = trouble or "sorts all rows of the channel"
    lines = [" ".join(f"{name}={value}" for name, value in row.items() if value is not None) for row in rows]
    return _plan(query, (row["key"] or row["possible_keys"] for row in rows), trouble, lines)


def _plan(query: str, indexes: Iterator[str | None], trouble: str, lines: list[str]) -> Plan:
    named = tuple(dict.fromkeys(index for index in indexes if index))
    return Plan(query=query, indexes=named, trouble=trouble, text="\n".join(lines))
