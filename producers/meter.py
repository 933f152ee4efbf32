"""Counts the items of a loop, and estimates its pace and the time left. No I/O."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from statushub.hub.model.errors import Invalid
from statushub.hub.model.timestamp import timestamp
from statushub.producers.values import plain

SMOOTHING: Final = 0.3
"""Weight of the latest pace in the exponential moving average: it follows changes without jumping."""


class Meter:
    """Counts finished items, and estimates the pace and the remaining time.

    The loop counts in `done` and does nothing else; another thread reads it.
    """

    __slots__ = ("_counted", "_counted_at", "_rate", "done", "total")

    def __init__(self, total: float | None) -> None:
        self.done = 0
        self.total = total
        self._rate: float | None = None
        self._counted = 0
        self._counted_at = time.monotonic()

    def fields(self) -> dict[str, Any]:
        """`done`, `total`, `rate` (items a second), `progress` (0 to 100), `remaining_seconds` and
        `estimated_completion` (ISO 8601, UTC), as far as they are known."""
        self._measure()
        done, total = self.done, self.total
        said: dict[str, Any] = {"done": done, "total": total}
        if self._rate is not None:
            said["rate"] = round(self._rate, 3)
        if total is not None:
            said["progress"] = round(100 * min(done / total, 1.0), 2) if total else 100
        if total is not None and self._rate:
            seconds = max(total - done, 0) / self._rate
            said["remaining_seconds"] = round(seconds, 1)
            said["estimated_completion"] = _in(seconds)
        return said

    def ending(self) -> dict[str, Any]:
        """The fields of a loop that ran to its end; the total is the number of its items."""
        self.total = self.done
        return {**self.fields(), "remaining_seconds": 0, "estimated_completion": _in(0)}

    def leaving(self) -> dict[str, Any]:
        """The fields of a loop that was left early, on purpose."""
        return {**self.fields(), "remaining_seconds": 0, "estimated_completion": _in(0), "completed": False}

    def _measure(self) -> None:
        now = time.monotonic()
        done = self.done
        if now <= self._counted_at or done == self._counted:
            return
        pace = (done - self._counted) / (now - self._counted_at)
        self._rate = pace if self._rate is None else SMOOTHING * pace + (1 - SMOOTHING) * self._rate
        self._counted, self._counted_at = done, now


def length(items: object) -> int | None:
    """`len(items)`, or None where there is none, or it raises."""
    try:
        return len(items)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - a program's own method may raise anything
        return None


def checked_total(value: Any) -> float | None:
    """`value` as a number of items. None where it is unknown, or not finite; raises `Invalid` where it is no number."""
    number = plain(value)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise Invalid("total must be a number of items", field="total")
    return max(number, 0)


def labels(description: object, unit: object, postfix: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """The fields that describe a loop, as far as they are given."""
    given = {"description": description, "unit": unit, "postfix": postfix}
    return {name: plain(value) for name, value in given.items() if value is not None}


def _in(seconds: float) -> str | None:
    try:
        return timestamp(datetime.now(UTC) + timedelta(seconds=seconds)) if math.isfinite(seconds) else None
    except OverflowError:
        return None  # at this pace, after the year 9999
