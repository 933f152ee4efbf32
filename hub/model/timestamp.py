"""Times as they are written everywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

OFFSET: Final = "+00:00"
"""How Python writes that of UTC."""


def timestamp(moment: datetime | None = None) -> str:
    """`moment` (now by default) as ISO 8601 in UTC with milliseconds: `2025-07-31T13:00:00.000Z`."""
    return _at(time.time_ns() // 1_000_000) if moment is None else _written(moment.astimezone(UTC))


@lru_cache(maxsize=1)
def _at(milliseconds: int) -> str:
    """Unix milliseconds in this form. Many events come in one, and writing it costs more than all else of it."""
    return _written(datetime.fromtimestamp(milliseconds / 1000, UTC))


def _written(utc: datetime) -> str:
    return f"{utc.isoformat(timespec='milliseconds')[: -len(OFFSET)]}Z"


def is_timestamp(text: str) -> bool:
    """Whether `text`, which `datetime.fromisoformat` reads, is in that form."""
    return len(text) == 24 and text[7] == "-" and text[10] == "T" and text[19] == "." and text[23] == "Z"


def timestamp_at(seconds: float) -> str:
    """Unix seconds in the same form."""
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def estimated_completion(moment: str, remaining: object) -> str | None:
    """When work is done of which `remaining` seconds were left at that time; None where that is not known."""
    if isinstance(remaining, bool) or not isinstance(remaining, int | float) or remaining < 0:
        return None
    try:
        return timestamp(datetime.fromisoformat(moment) + timedelta(seconds=remaining))
    except (ValueError, OverflowError):
        return None
