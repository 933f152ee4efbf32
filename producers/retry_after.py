"""The pause that a server asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_SECONDS: Final = 300.0
"""Longest `Retry-After` that is obeyed: a hub that is back in five minutes should not be taken for gone."""

RETRIED: Final = frozenset({408, 425, 429})
"""The statuses under 500 after which the same request may succeed later (RFC 9110, 15.5.9; 8470; 6585)."""


def retry_after(value: str | None, *, longest: float = RETRY_AFTER_SECONDS) -> float | None:
    """The seconds of a `Retry-After` (RFC 9110, 10.2.3): a number, or a date. It is at most `longest`."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.isdigit() else _until(value)
    except ValueError:
        return None
    return min(max(seconds, 0.0), longest)


def _until(value: str) -> float:
    date = parsedate_to_datetime(value)
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
