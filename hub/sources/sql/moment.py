"""Times as the columns of a record hold them. No I/O."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Column, Date, DateTime, Float, Integer, Numeric

MICROSECOND_DIGITS: Final = 6

_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d(?P<between>[T ])[0-9:]+(?:[.,](?P<digits>\d+))?(?P<zone>Z|[+-][\d:]+)?")


def instant(value: object) -> datetime | None:
    """The time that a column holds, in UTC, which one without a zone is in; None where it is none."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, int | float | Decimal):
            return datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def stamp(column: Column[Any], held: object, moment: datetime) -> Any:
    """A time in UTC as the column would hold it, no later than it is: in the type of the column and to its digits, and
    where that may hold any text, in the form of what it holds."""
    kind = column.type
    if isinstance(kind, DateTime):
        cut = _cut(moment, _digits(kind))
        return cut if kind.timezone else cut.replace(tzinfo=None)
    if isinstance(kind, Date):
        return moment.date()
    if isinstance(kind, Integer):
        return int(moment.timestamp())
    if isinstance(kind, Float):
        return moment.timestamp()
    if isinstance(kind, Numeric):
        return Decimal(str(_cut(moment, min(kind.scale or 0, MICROSECOND_DIGITS)).timestamp()))
    if isinstance(held, int):
        return int(moment.timestamp())
    return moment.timestamp() if isinstance(held, float) else _text(held, moment)


def _text(held: object, moment: datetime) -> str:
    like = _TEXT.fullmatch(held) if isinstance(held, str) else None
    if like is None:
        # As SQLAlchemy writes times into SQLite.
        return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    digits = min(len(like["digits"] or ""), MICROSECOND_DIGITS)
    seconds = _cut(moment, digits).replace(tzinfo=None).isoformat(sep=like["between"], timespec="microseconds")
    text = seconds[: len(seconds) - MICROSECOND_DIGITS + digits] if digits else seconds.partition(".")[0]
    zone = like["zone"] or ""
    return text + (zone if zone in ("", "Z") else "+00:00")


def _digits(kind: DateTime) -> int:
    """Of the fraction of a second that a column keeps. A further one would be rounded up."""
    if hasattr(kind, "fsp"):
        return kind.fsp or 0
    precision: int | None = getattr(kind, "precision", None)
    return MICROSECOND_DIGITS if precision is None else precision


def _cut(moment: datetime, digits: int) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 10 ** (MICROSECOND_DIGITS - digits))
