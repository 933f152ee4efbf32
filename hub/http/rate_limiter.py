"""The rate limiters: what a publisher may publish, and who has just been refused; and what a reader may read.

The broker counts what is published, for all hubs together. A refusal is remembered here, so that further requests
are refused before their bodies are read. What is read is counted here, for each process.
"""

from __future__ import annotations

import time
from typing import Final

from cachetools import LRUCache

from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.limits import PublishRate

MAX_PUBLISHERS: Final = 10_000
"""Refused publishers that are remembered; of more, the one that was refused first has its request read."""

MAX_READERS: Final = 10_000
"""Readers whose buckets are kept; of more, the one that has not read for longest begins with a full one."""


class RateLimiter:
    """`events` and `size` (in bytes) are what each publisher may publish in a second."""

    def __init__(self, events: float, size: float) -> None:
        self._events = events
        self._bytes = size
        self._refusals: LRUCache[tuple[str, str], tuple[float, TooManyRequests]] = LRUCache(MAX_PUBLISHERS)

    def rate(self, tenant: str, publisher: str) -> PublishRate:
        """The publisher's rate. Raises `TooManyRequests` until its last refusal is over."""
        until, refusal = self._refusals.get((tenant, publisher), (0.0, None))
        left = until - time.monotonic()
        if refusal is not None and left > 0:
            raise TooManyRequests(refusal.message, retry_after=left, limit=refusal.limit or "")
        return PublishRate(sub=publisher, events=self._events, bytes=self._bytes)

    def refused(self, tenant: str, publisher: str, refusal: TooManyRequests) -> None:
        """Remember that the broker has refused this publisher."""
        self._refusals[(tenant, publisher)] = (time.monotonic() + refusal.retry_after, refusal)


class ReadLimiter:
    """A token bucket for each reader, which holds the contents of one second. What is read is known only afterwards,
    so a bucket may go below zero; its reader is refused until it is refilled."""

    def __init__(self, contents: float) -> None:
        """`contents` is how many a reader may read in a second."""
        self._rate = contents
        # What was left at a moment of the monotonic clock, by the reader's hash: an address may be as long as a head.
        self._left: LRUCache[int, tuple[float, float]] = LRUCache(MAX_READERS)

    def admit(self, tenant: str, reader: str) -> None:
        """Raise `TooManyRequests` where the reader has read more than its rate allows."""
        left = self._now(tenant, reader)
        if left <= 0:
            raise TooManyRequests(
                f"this reader has read more than {self._rate:g} contents per second",
                retry_after=(1 - left) / self._rate,
                limit="read_rate",
            )

    def spend(self, tenant: str, reader: str, contents: int) -> None:
        """Count what is read; an empty answer, too, counts as one content."""
        self._left[hash((tenant, reader))] = self._now(tenant, reader) - max(contents, 1), time.monotonic()

    def _now(self, tenant: str, reader: str) -> float:
        left, at = self._left.get(hash((tenant, reader)), (self._rate, 0.0))
        return min(self._rate, left + (time.monotonic() - at) * self._rate)


class WriteLimiter:
    """A token bucket for each writer, which holds the writes of one second. `limit` is the limit's name."""

    def __init__(self, writes: float, limit: str) -> None:
        """`writes` is how many a writer may send in a second."""
        self._rate = writes
        self._limit = limit
        self._left: LRUCache[int, tuple[float, float]] = LRUCache(MAX_READERS)

    def check(self, tenant: str, writer: str) -> None:
        """Raise `TooManyRequests` where the writer has written more than its rate allows."""
        left = self._now(tenant, writer)
        if left <= 0:
            raise TooManyRequests(
                f"more than {self._rate:g} writes were sent in a second",
                retry_after=(1 - left) / self._rate,
                limit=self._limit,
            )

    def take(self, tenant: str, writer: str, writes: int = 1) -> None:
        """As `check`, and count the writes."""
        self.check(tenant, writer)
        self._left[hash((tenant, writer))] = self._now(tenant, writer) - writes, time.monotonic()

    def _now(self, tenant: str, writer: str) -> float:
        left, at = self._left.get(hash((tenant, writer)), (max(self._rate, 1.0), 0.0))
        return min(max(self._rate, 1.0), left + (time.monotonic() - at) * self._rate)
