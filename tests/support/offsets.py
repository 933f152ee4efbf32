"""Offsets of a clock, which begins at no known number."""

from __future__ import annotations

from collections.abc import Sequence


def consecutive(offsets: Sequence[int | None], count: int) -> bool:
    """Whether these are so many offsets, each one more than the one before."""
    first = offsets[0] or 0
    return list(offsets) == list(range(first, first + count))
