"""The migration of a team's table: the columns, the back-fill and the indexes that the hub asks for. No I/O.

The text is migration.sql, in which what databases write differently has names.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Final

from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect

from statushub.hub.model.record_names import COLUMNS, RecordNames

INDEXES: Final = ("channel_status", "processing_status", "updated_at")
"""The indexes; their names begin with `idx_` and that of the table, since a schema has one index of a name: that of
another table would be taken for the one that is there already."""

TABLE_CHARACTERS: Final = 40
"""How much of a table's name is in those of its indexes: PostgreSQL knows names of 63 bytes."""

_IF_MISSING: Final = "IF NOT EXISTS "

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "postgresql": {
        "new_column": _IF_MISSING,
        "new_index": _IF_MISSING,
        "text": "TEXT",
        "lockless": "CREATE INDEX CONCURRENTLY, each outside of a transaction.",
    },
    "mysql": {
        "new_column": "",
        "new_index": "",
        "text": "CHAR",
        "lockless": "CREATE INDEX … ALGORITHM=INPLACE LOCK=NONE, which is InnoDB's default where it can.",
    },
    "mariadb": {
        "new_column": _IF_MISSING,
        "new_index": _IF_MISSING,
        "text": "CHAR",
        "lockless": "CREATE INDEX … ALGORITHM=INPLACE LOCK=NONE, which is InnoDB's default where it can.",
    },
    "sqlite": {
        "new_column": "",
        "new_index": _IF_MISSING,
        "text": "TEXT",
        "lockless": "SQLite has no such way; its readers go on in WAL mode.",
    },
}

_MARK: Final = "-- name: "


def migration(dialect: str, names: RecordNames) -> str:
    """The statements that bring a table up to date; each ends in a semicolon at the end of a line."""
    return _written("migration", dialect, names)


def reversal(dialect: str, names: RecordNames) -> str:
    """The statements that take back those of `migration`."""
    return _written("reversal", dialect, names)


def _written(part: str, dialect: str, names: RecordNames) -> str:
    text = files("statushub.hub.sources.sql").joinpath("migration.sql").read_text(encoding="utf-8")
    _, _, body = text.partition(f"{_MARK}{part}\n")
    return Template(body.partition(_MARK)[0].strip() + "\n").substitute(_values(dialect, names))


def _values(dialect: str, names: RecordNames) -> dict[str, str]:
    quote = _dialect(dialect).identifier_preparer.quote
    schema, _, name = names.table.rpartition(".")
    qualified = f"{quote(schema)}." if schema else ""
    table = qualified + quote(name)
    columns = {name: quote(names.column(name)) for name in COLUMNS}
    owner = [quote(names.tenant_column)] if names.tenant_column else []
    of_table = dialect in ("mysql", "mariadb")
    return {
        **columns,
        **{f"idx_{index}": quote(f"idx_{name[:TABLE_CHARACTERS]}_{index}") for index in INDEXES},
        **_WORDS[dialect],
        "table": table,
        "inside": ", ".join([columns["channel_id"], *owner]),
        # Where an index belongs to a schema, and not to its table.
        "schema": "" if of_table else qualified,
        "on_table": f" ON {table}" if of_table else "",
    }


def _dialect(name: str) -> Dialect:
    known = {"postgresql": postgresql.dialect, "sqlite": sqlite.dialect}
    dialect: Dialect = known.get(name, mysql.dialect)()
    return dialect
