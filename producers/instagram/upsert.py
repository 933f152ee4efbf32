"""Statements that insert rows, or bring those up to date that are there. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.sql.dml import Insert


def upsert(dialect: str, table: Table, columns: Sequence[str] | None = None) -> Insert:
    """The statement for rows of a table. Where a row has the same key, `columns` are replaced: by default all that are
    not of the key, and with an empty sequence none."""
    key = [column.name for column in table.primary_key]
    replaced = [column.name for column in table.columns if column.name not in key] if columns is None else columns
    if dialect in ("mysql", "mariadb"):
        insert = mysql.insert(table)
        # Without a column, one of the key is set to what it is.
        return insert.on_duplicate_key_update({name: insert.inserted[name] for name in replaced or key[:1]})
    made: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    if not replaced:
        statement: Insert = made.on_conflict_do_nothing(index_elements=key)
    else:
        statement = made.on_conflict_do_update(
            index_elements=key, set_={name: made.excluded[name] for name in replaced}
        )
    return statement
