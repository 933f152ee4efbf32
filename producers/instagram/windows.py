"""The time that a sync looks back on, and the windows in which insights are asked for. No I/O."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

WINDOW: Final = timedelta(days=30)
"""Longest time between `since` and `until` that the Graph API takes."""

MONTHS_MIN: Final = 1
MONTHS_MAX: Final = 12


def months_before(now: datetime, months: int) -> datetime:
    """Midnight, in UTC, of the day so many months before `now`; in a shorter month, of its last day."""
    now = now.astimezone(UTC)
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    day = min(now.day, calendar.monthrange(year, month + 1)[1])
    return datetime(year, month + 1, day, tzinfo=UTC)


def windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The months from that of `since` up to `until`, each in parts that the API takes.

    They begin at the same times whenever they are computed, so that what is stored of a window is brought up to date
    by the next sync, and not stored beside it.
    """
    start = since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while start < until:
        days = calendar.monthrange(start.year, start.month)[1] - start.day + 1
        end = start + min(timedelta(days=days), WINDOW)
        yield start, min(end, until)
        start = end
