"""Times as they are written everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def timestamp(moment: datetime | None = None) -> str:
    """`moment` (now by default) as ISO 8601 in UTC with milliseconds: `2025-07-31T13:00:00.000Z`."""
    utc = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def timestamp_at(seconds: float) -> str:
    """Unix seconds in the same form."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def estimated_completion(moment: str, remaining: object) -> str | None:
    """When work is done of which `remaining` seconds were left at that time; None where that is not known."""
    if isinstance(remaining, bool) or not isinstance(remaining, int | float) or remaining < 0:
        return None
    try:
        return timestamp(datetime.fromisoformat(moment) + timedelta(seconds=remaining))
    except (ValueError, OverflowError):
        return None
