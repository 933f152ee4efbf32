"""The rates of publishers: token buckets in memory, since an embedded broker has one process."""

from __future__ import annotations

import time
from typing import Final

from cachetools import LRUCache

from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.limits import PublishRate

MAX_PUBLISHERS: Final = 10_000
"""Buckets kept: a few MB. Beyond that the one that was used least recently is dropped, and is full again."""


class Rates:
    """Each publisher has a bucket of events and one of bytes, and each holds a second's worth.

    A call is let through whole where anything is left, and its excess is owed: a batch may be larger than the
    bucket, and the average holds.
    """

    def __init__(self) -> None:
        self._buckets: LRUCache[tuple[str, str], tuple[float, float, float]] = LRUCache(MAX_PUBLISHERS)

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, tenant: str, rate: PublishRate, events: int, size: int, now: float | None = None) -> None:
        """Count `events` of `size` bytes. Raises `TooManyRequests` where a bucket is empty."""
        now = time.monotonic() if now is None else now
        held_events, held_bytes, since = self._buckets.get((tenant, rate.sub), (rate.events, rate.bytes, now))
        passed = max(now - since, 0.0)
        left = []
        for name, held, refill in (("events", held_events, rate.events), ("bytes", held_bytes, rate.bytes)):
            left.append(min(refill, held + passed * refill))
            if left[-1] <= 0:
                raise exceeded(name, -left[-1] / refill)
        self._buckets[(tenant, rate.sub)] = (left[0] - events, left[1] - size, now)


def exceeded(name: str, retry_after: float) -> TooManyRequests:
    """The refusal of a publisher that exceeds its rate of `name`."""
    return TooManyRequests(
        f"more {name} were published in a second than this publisher may",
        retry_after=retry_after,
        limit="publish_rate",
    )
