"""Histograms of seconds, counted in plain numbers and read when they are scraped."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets: from an answer out of memory to a long poll that was waited for."""


class Histogram:
    """How many observations there were up to each bound, and their sum. Of a negative one, 0 is counted."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count an observation. Clocks of two machines differ, so that it may be negative."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        if seconds > 0:
            self.sum += seconds

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """The upper bounds, as Prometheus writes them, each with how many observations were no larger."""
        reached, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(repr, SECONDS), "+Inf"), self._counts, strict=True):
            reached += count
            buckets.append((bound, reached))
        return buckets
