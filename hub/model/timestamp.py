"""Times as they are written everywhere."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(moment: datetime | None = None) -> str:
    """`moment` (now by default) as ISO 8601 in UTC with milliseconds: `2025-07-31T13:00:00.000Z`."""
    utc = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
