"""The table of the record, and the statements that read it. No I/O but for its reflection."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlalchemy import (
    INTEGER,
    JSON,
    VARCHAR,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    Select,
    SmallInteger,
    String,
    Table,
    Time,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    event,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy import Update as UpdateStatement
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.sql.expression import CompoundSelect
from sqlalchemy.types import NullType

from statushub.hub.model.record_names import NEEDED, RecordNames
from statushub.hub.sources.contract import SourceUnavailable
from statushub.hub.sources.row import Position

EMPTY_METADATA: Final = ("", "{}", "[]", "null", '""')
"""Texts of a column of JSON which says nothing."""

INTEGER_BITS: Final = 63
"""Of a whole number: a larger one would be an error of the driver, and would count as one of the database."""

TENANT: Final = " tenant"
"""The label of the tenant column, which no column has as its name."""

# SQLite's columns hold any value; these types would fail at one in another form than SQLAlchemy writes.
_STRICT: Final = (DateTime, Date, Time, JSON, Numeric)


class RecordTable:
    """The table, as a database has it at this moment."""

    def __init__(self, table: Table, names: RecordNames) -> None:
        """Raises `SourceUnavailable` where a column is missing that every read needs."""
        self.table = table
        self._names = names
        ours = {column: name for name, column in names.columns.items()}
        self._columns: dict[str, Column[Any]] = {}
        for column in table.columns:
            # One that has the name of another that is mapped is not passed on.
            if (name := ours.get(column.name, column.name)) not in names.columns or column.name in ours:
                self._columns[name] = column
        needed = [(name, names.column(name)) for name in NEEDED]
        missing = [column for name, column in needed if name not in self._columns]
        if names.tenant_column and names.tenant_column not in table.columns:
            missing.append(names.tenant_column)
        if missing:
            raise SourceUnavailable(f"the table {names.table} has no column {', '.join(missing)}")

    @classmethod
    def reflect(cls, connection: Connection, names: RecordNames) -> RecordTable:
        """The table that there is. Raises `SourceUnavailable` where there is none."""
        schema, _, name = names.table.rpartition(".")
        metadata = MetaData()
        if connection.dialect.name == "sqlite":
            event.listen(metadata, "column_reflect", _loosen)
        try:
            table = Table(name, metadata, schema=schema or None, autoload_with=connection, resolve_fks=False)
        except NoSuchTableError as error:
            raise SourceUnavailable(f"there is no table {names.table}") from error
        return cls(table, names)

    def __contains__(self, name: str) -> bool:
        """Whether the table has the column `name`."""
        return name in self._columns

    def column(self, name: str) -> Column[Any]:
        """The column that the hub calls `name`."""
        return self._columns[name]

    def found(
        self, tenant: str, content_ids: Sequence[str], columns: Sequence[str] | None = None
    ) -> Select[Any] | None:
        """The rows of these contents, or these columns of them, in any order; None where none of these can be an id."""
        ids = [bound for content_id in content_ids if (bound := bind(self.column("id"), content_id)) is not None]
        owned = self._owned(tenant)
        if not ids or owned is None:
            return None
        return self._rows(columns).where(self.column("id").in_(ids), *owned)

    def change(self, tenant: str, names: Collection[str], *, timed: bool) -> UpdateStatement | None:
        """What gives a row values for the columns `names`, where it still is of its channel and has its `updated_at`,
        which is a time or not; None where the tenant has no rows. Its parameters are `parameters`."""
        owned = self._owned(tenant)
        if owned is None:
            return None
        id, channel, updated = self.column("id"), self.column("channel_id"), self.column("updated_at")
        same = [id == bindparam("old_id"), channel == bindparam("old_channel_id")]
        same.append(updated == bindparam("old_updated_at") if timed else updated.is_(None))
        values: dict[Any, Any] = {self.column(name): bindparam(f"new_{name}") for name in names}
        return self.table.update().where(*same, *owned).values(values)

    def page(self, tenant: str, channel: str, after: Position | None, limit: int) -> list[Select[Any]]:
        """The rows of a channel after a position, the latest first: those of each statement after all of the one
        before. Rows without a time are the last."""
        inside = self._inside(tenant, channel)
        id, updated = self.column("id"), self.column("updated_at")
        last = None if after is None else bind(id, after.id)
        moment = None if after is None else bind(updated, after.updated)
        if inside is None or (after is not None and (last is None or (moment is None) != (after.updated is None))):
            return []
        statements = []
        if after is None or moment is not None:
            # Not a comparison of pairs: MySQL uses no index for one.
            later = [] if after is None else [updated <= moment, or_(updated < moment, id < last)]
            timed = self._rows().where(*inside, updated.is_not(None), *later)
            statements.append(timed.order_by(updated.desc(), id.desc()).limit(limit))
        if updated.nullable:
            later = [] if after is None or moment is not None else [id < last]
            untimed = self._rows().where(*inside, updated.is_(None), *later)
            statements.append(untimed.order_by(id.desc()).limit(limit))
        return statements

    def counts(
        self, tenant: str, channel: str, content_ids: Sequence[str] | None = None
    ) -> Select[Any] | CompoundSelect[Any] | None:
        """How many rows of a channel, or of it and of these contents, have which words: `status`,
        `processing_status`, whether there are metadata (0 or 1), and the number."""
        inside = self._inside(tenant, channel)
        if inside is None:
            return None
        if content_ids is not None:
            id = self.column("id")
            inside.append(id.in_([it for content_id in content_ids if (it := bind(id, content_id)) is not None]))
        silent = self._silent(inside)
        if "status" not in self:
            return silent
        status = self.column("status")
        # Apart, and by the columns themselves, so that an index can answer it alone: metadata are long.
        grouped = [self.column(name) for name in ("status", "processing_status") if name in self]
        words = self._word("status"), self._word("processing_status")
        said = select(*words, literal(0), func.count()).where(*inside, status.is_not(None)).group_by(*grouped)
        return union_all(said, silent) if status.nullable else said

    def _silent(self, inside: list[ColumnElement[bool]]) -> Select[Any]:
        """`counts` of the rows without a status."""
        step = self._word("processing_status")
        if "status" in self:
            inside = [*inside, self.column("status").is_(None)]
        told: ColumnElement[int] = literal(0)
        if "ai_gen_metadata" in self:
            text = cast(self.column("ai_gen_metadata"), String)
            told = case((and_(text.is_not(None), text.not_in(EMPTY_METADATA)), 1), else_=0)
        inner = select(step.label("step"), told.label("told")).where(*inside).subquery()
        columns = inner.c.step, inner.c.told
        return select(cast(null(), String), *columns, func.count()).group_by(*columns)

    def _word(self, name: str) -> ColumnElement[Any]:
        """A column that holds a word, as a text, and NULL where there is no such column."""
        if name not in self:
            return cast(null(), String)
        column = self.column(name)
        return column if type(column.type) in (String, VARCHAR) else cast(column, String)

    def _rows(self, only: Sequence[str] | None = None) -> Select[Any]:
        columns = [column.label(name) for name, column in self._columns.items() if only is None or name in only]
        if self._names.tenant_column:
            columns.append(self.table.columns[self._names.tenant_column].label(TENANT))
        return select(*columns)

    def _owned(self, tenant: str) -> list[ColumnElement[bool]] | None:
        """What holds of the rows of a tenant; None where it has none."""
        value = self._names.tenant_value(tenant)
        if not self._names.tenant_column:
            return None if value is None else []
        column = self.table.columns[self._names.tenant_column]
        bound = None if value is None else bind(column, value)
        return None if bound is None else [column == bound]

    def _inside(self, tenant: str, channel: str) -> list[ColumnElement[bool]] | None:
        """What holds of the rows of a channel; None where it has none."""
        owned, bound = self._owned(tenant), bind(self.column("channel_id"), channel)
        return None if owned is None or bound is None else [self.column("channel_id") == bound, *owned]


def parameters(row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `change`: for a row as it was read, and its new values."""
    old = {f"old_{name}": row[name] for name in ("id", "channel_id", "updated_at") if row[name] is not None}
    return old | {f"new_{name}": value for name, value in values.items()}


def bind(column: Column[Any], said: Any) -> Any:
    """A text, or a time as JSON has it, as a value of the column's type; None where there is no such value."""
    kind = column.type
    try:
        if isinstance(kind, Integer):
            number = int(said) if len(str(said)) < 20 else 2**INTEGER_BITS
            return number if str(number) == str(said) and abs(number) < 2 ** _bits(kind) else None
        if isinstance(kind, Uuid):
            value = uuid.UUID(said)
            return (value if kind.as_uuid else said) if str(value) == said else None
        if isinstance(kind, DateTime):
            return _moment(datetime.fromisoformat(said), zoned=kind.timezone)
        if isinstance(kind, Numeric):
            return Decimal(said)
    except (ValueError, TypeError, OverflowError, InvalidOperation):
        return None
    if isinstance(said, str):
        # PostgreSQL holds no NUL.
        return None if "\0" in said else said
    return said if isinstance(kind, NullType) and abs(said or 0) < 2**INTEGER_BITS else None


def _bits(kind: Integer) -> int:
    """Of the largest number of a type. Only PostgreSQL's driver refuses what is too large for its own."""
    if isinstance(kind, SmallInteger):
        return 15
    return 31 if isinstance(kind, INTEGER) and not isinstance(kind, BigInteger) else INTEGER_BITS


def _moment(said: datetime, *, zoned: bool) -> datetime:
    """A time with a zone, or without one in UTC."""
    if zoned:
        return said if said.tzinfo else said.replace(tzinfo=UTC)
    return said.astimezone(UTC).replace(tzinfo=None) if said.tzinfo else said


def _loosen(inspector: object, table: Table, column: Any) -> None:
    if isinstance(column["type"], _STRICT):
        column["type"] = NullType()
