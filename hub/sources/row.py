"""A row of the record: a content as the database has it, with its status in the hub's words. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from statushub.hub.model.status import Status
from statushub.hub.model.vocabulary import CONTENT_STATUS, PROCESSING_PHASES, Phase, meaning_of, phase_of
from statushub.hub.sources.contract import Record

UPLOADING: Final = "uploading"
"""The `processing_status` of a row that says nothing: the default of the column in the migration."""

JSON_COLUMNS: Final = ("ai_gen_metadata", "link_preview_metadata")
"""Columns whose texts are JSON, where the database has no type for it."""

PROCESSING_STATUS: Final = {Phase.PENDING: "pending", Phase.COMPLETED: "completed", Phase.FAILED: "failed"}
"""The `processing_status` that follows from a `status` without one."""


class Row(Record, frozen=True, kw_only=True):
    """A row of the record: the fields are those of `status.data`, which JSON can hold, each as the database gives it.

    `status` is always there, in the words of contents, and so is `processing_status`.
    """

    id: str

    @property
    def updated(self) -> Any:
        """When the row was changed, as the database says it; None where it does not."""
        return self.status.data.get("updated_at")

    @property
    def moment(self) -> float:
        """The same in Unix seconds, a time without a zone read as UTC; 0 where it is unknown."""
        return moment_of(self.updated)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a channel's rows, the latest first: behind the row with this time and id."""

    updated: Any
    id: str


class RowPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a channel, the latest first; `next` is the position after which the next page begins, None where there
    is none. There may be fewer rows than were asked for before it."""

    rows: list[Row]
    next: Position | None


def read_row(fields: dict[str, Any]) -> Row:
    """The row with these columns, by the hub's names; `id` and `channel_id` are among them."""
    data = {name: _plain(value) for name, value in fields.items()}
    for name in JSON_COLUMNS:
        if isinstance(data.get(name), str):
            data[name] = _parsed(data[name])
    return stored_row(data)


def position_of(fields: dict[str, Any]) -> Position:
    """The place behind the row with these columns."""
    return Position(updated=_plain(fields["updated_at"]), id=str(fields["id"]))


def stored_row(data: dict[str, Any]) -> Row:
    """The same of fields that JSON can hold, such as those of another row."""
    phase, processing_status = _status(data)
    said = {**data, "status": CONTENT_STATUS[phase], "processing_status": processing_status}
    return Row(id=str(data["id"]), channel=str(data["channel_id"]), status=Status(phase=phase, data=said))


def row_phase(word: object, step: object, told: bool) -> Phase:
    """The phase of a row with this `status`, this `processing_status`, and `told` for metadata that say something."""
    return _status({"status": word, "processing_status": step, "ai_gen_metadata": told})[0]


def moment_of(said: object) -> float:
    """Unix seconds of a time as a database or a producer says it: ISO 8601, or seconds; 0 where it is none."""
    if isinstance(said, int | float):
        return float(said)
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        return 0.0
    if moment is None:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _status(data: dict[str, Any]) -> tuple[Phase, str | None]:
    """The phase and the `processing_status` of a row: what it says, else what its metadata imply."""
    word, step = data.get("status"), data.get("processing_status")
    step = step if isinstance(step, str) and step else None
    if meaning_of(word) is not None:
        phase = phase_of({"status": word, "processing_status": step})
        return phase, step or PROCESSING_STATUS.get(phase)
    if step is not None and (known := PROCESSING_PHASES.get(step)) is not None:
        return known, step
    if data.get("ai_gen_metadata"):
        return Phase.COMPLETED, step or PROCESSING_STATUS[Phase.COMPLETED]
    return Phase.IDLE, step or UPLOADING


def _plain(value: object) -> Any:
    """What JSON can hold of a value: a number stays one, a time is ISO 8601."""
    if isinstance(value, Decimal):
        return (int(value) if value == value.to_integral_value() else float(value)) if value.is_finite() else None
    if isinstance(value, memoryview):
        value = bytes(value)
    return msgspec.to_builtins(value, enc_hook=str, str_keys=True)


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
