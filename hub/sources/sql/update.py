"""What of a row changes when a content's state is written into it: values for its columns. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, Column, Enum, Float, Integer, Numeric, String
from sqlalchemy.types import NullType

from statushub.hub.model.vocabulary import CONTENT_STATUS, VIDEO_STATUS, Phase, meaning_of
from statushub.hub.sources.row import UPLOADING
from statushub.hub.sources.sql.moment import instant, stamp
from statushub.hub.sources.sql.table import RecordTable
from statushub.hub.sources.states import Outcome, State

WORDS: Final = ("status", "processing_status")
"""The columns that every state has a value for."""

COMPARED: Final = (*WORDS, "hls_path", "duration", "error_reason")
"""The columns that tell whether a row says a state already; metadata may be long."""

_JOB_STATUS: Final[Mapping[Phase, str]] = {
    Phase.IDLE: "pending",
    Phase.PENDING: "pending",
    Phase.PROCESSING: "processing",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
}
"""The job vocabulary, in a row."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the columns that change, by the hub's names, with the new `updated_at`."""

    values: Mapping[str, Any]


def update_of(
    table: RecordTable, row: Mapping[str, Any], state: State, *, own: bool, now: datetime
) -> Update | Outcome:
    """What brings a row up to a state, or why nothing does. `row` has the values of its columns by the hub's names, and
    `own` tells that the hub itself gave it its `updated_at`."""
    held, column = instant(row["updated_at"]), table.column("updated_at")
    at = state.moment or now
    if own and held is not None:
        # What came before in the hub cannot be newer, whatever its time says.
        at = max(at, held)
    value = stamp(column, row["updated_at"], at)
    written = instant(value)
    if held is not None and written is not None and held > written and not own:
        return Outcome.NEWER
    values = _values(table, row, state)
    if all(_equal(row[name], values[name]) for name in COMPARED if name in values) and (
        held is not None and (held == written or state.moment is None)
    ):
        return Outcome.SAME
    return Update(values={**values, "updated_at": value})


def _values(table: RecordTable, row: Mapping[str, Any], state: State) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "status" in table and (word := _status(table.column("status"), row["status"], state.phase)) is not None:
        values["status"] = word
    if "processing_status" in table:
        column = table.column("processing_status")
        step = state.processing_status or (None if column.nullable else UPLOADING)
        if step is None or _takes(column, step):
            values["processing_status"] = step
    if "error_reason" in table and isinstance(table.column("error_reason").type, String | NullType):
        column = table.column("error_reason")
        values["error_reason"] = _shortened(column, state.error) or (None if column.nullable else "")
    for name, said in state.fields.items():
        if name in table and (value := _bound(table.column(name), said)) is not None:
            values[name] = value
    return values


def _status(column: Column[Any], held: object, phase: Phase) -> str | None:
    """The word for a phase, in the vocabulary that the row or its column has; None where the row has a word that is no
    status of the hub's, which is left to those who wrote it."""
    if isinstance(held, str) and held and meaning_of(held) is None:
        return None
    words = next((it for it in (VIDEO_STATUS, _JOB_STATUS) if held in it.values()), CONTENT_STATUS)
    word = words[phase]
    if _takes(column, word):
        return word
    known: list[str] = column.type.enums if isinstance(column.type, Enum) else []
    return next((it for it in known if (meaning := meaning_of(it)) is not None and meaning.phase is phase), None)


def _takes(column: Column[Any], text: str) -> bool:
    """Whether a column of texts has room for this one, and knows it where it knows only some."""
    if isinstance(column.type, Enum):
        return text in column.type.enums
    return isinstance(column.type, NullType) or (
        isinstance(column.type, String) and len(text) <= (column.type.length or len(text))
    )


def _shortened(column: Column[Any], text: str) -> str:
    most: int | None = getattr(column.type, "length", None)
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def _bound(column: Column[Any], said: Any) -> Any:
    """What an event says as a value of the column's type; None where there is no such value."""
    kind = column.type
    if isinstance(kind, JSON):
        return said
    if isinstance(kind, Integer | Numeric | Float):
        if isinstance(said, bool) or not isinstance(said, int | float):
            return None
        if isinstance(kind, Integer):
            return round(said) if abs(said) < 2**31 else None
        return float(said) if isinstance(kind, Float) else Decimal(str(said))
    if isinstance(kind, NullType) and isinstance(said, int | float):
        return said
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    return text if _takes(column, text) else None


def _equal(held: Any, value: Any) -> bool:
    if isinstance(held, int | float | Decimal) and isinstance(value, int | float | Decimal):
        return float(held) == float(value)
    return bool(held == value)


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)
