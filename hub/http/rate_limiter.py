"""The rate limiter: a token bucket for each publisher."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Final

from cachetools import LRUCache

from statushub.hub.model.errors import TooManyRequests

MAX_PUBLISHERS: Final = 10_000
"""Buckets kept: a few MB. Beyond that the one that was used least recently is dropped, and is full again."""


class RateLimiter:
    """`rate` events a second for each publisher, and a burst of one second's worth.

    A call is let through whole where anything is left, and its excess is owed: a batch may be larger than the
    bucket, and the average holds.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: LRUCache[Hashable, tuple[float, float]] = LRUCache(MAX_PUBLISHERS)

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, publisher: Hashable, events: int, now: float | None = None) -> None:
        """Count `events` of this publisher. Raises `TooManyRequests` where its bucket is empty."""
        now = time.monotonic() if now is None else now
        left, since = self._buckets.get(publisher, (self._rate, now))
        left = min(self._rate, left + (now - since) * self._rate)
        self._buckets[publisher] = (left - events if left > 0 else left, now)
        if left <= 0:
            raise TooManyRequests(
                f"more than {self._rate:g} events a second were published",
                retry_after=-left / self._rate,
                limit="publish_rate",
            )
