"""Times as the columns of a record hold them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Date, DateTime, Float, Numeric, String
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import NullType

from statushub.hub.sources.sql.moment import instant, stamp

MOMENT = datetime(2025, 7, 31, 12, 0, 0, 987_654, tzinfo=UTC)
NAIVE = MOMENT.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("kind", "held", "expected"),
    [
        (DateTime(timezone=True), None, MOMENT),
        (DateTime(), None, NAIVE),
        (postgresql.TIMESTAMP(precision=3, timezone=True), None, MOMENT.replace(microsecond=987_000)),
        (postgresql.TIMESTAMP(precision=0), None, NAIVE.replace(microsecond=0)),
        (mysql.DATETIME(), None, NAIVE.replace(microsecond=0)),
        (mysql.TIMESTAMP(fsp=6), None, NAIVE),
        (Date(), None, date(2025, 7, 31)),
        (BigInteger(), None, 1753963200),
        (Float(), None, 1753963200.987654),
        (Numeric(14, 3), None, Decimal("1753963200.987")),
        (NullType(), 1753960000, 1753963200),
        (NullType(), 1753960000.5, 1753963200.987654),
        (NullType(), None, "2025-07-31 12:00:00.987654"),
        (NullType(), "2025-01-01 00:00:00", "2025-07-31 12:00:00"),
        (NullType(), "2025-01-01T00:00:00.123Z", "2025-07-31T12:00:00.987Z"),
        (String(), "2025-01-01T02:00:00+02:00", "2025-07-31T12:00:00+00:00"),
        (String(), "yesterday", "2025-07-31 12:00:00.987654"),
    ],
    ids=str,
)
def test_a_time_is_written_as_its_column_has_it(kind: Any, held: object, expected: object) -> None:
    """In its type and form, and cut to its digits, lest the database round it up; it reads as no later time."""
    value = stamp(Column("updated_at", kind), held, MOMENT)
    assert value == expected
    assert type(value) is type(expected)
    read = instant(value)
    assert read is not None
    assert MOMENT - timedelta(days=1) < read <= MOMENT


@pytest.mark.parametrize(
    "value",
    [
        datetime(2025, 7, 31, 14, tzinfo=timezone(timedelta(hours=2))),
        "2025-07-31 12:00:00",
        "2025-07-31T14:00:00+02:00",
        1753963200,
        Decimal(1753963200),
    ],
)
def test_a_time_without_a_zone_is_utc(value: object) -> None:
    """In every form that databases give."""
    assert instant(value) == datetime(2025, 7, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", "yesterday", float("inf"), float("nan"), 1e30, b"x"])
def test_what_is_no_time_is_none(value: object) -> None:
    """So any event is newer."""
    assert instant(value) is None
