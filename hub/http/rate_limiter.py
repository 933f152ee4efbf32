"""The rate limiter: what a publisher may publish, and who has just been refused.

The broker counts what is published, for all hubs together. A refusal is remembered here, so that further requests
are refused before their bodies are read.
"""

from __future__ import annotations

import time
from typing import Final

from cachetools import LRUCache

from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.limits import PublishRate

MAX_PUBLISHERS: Final = 10_000
"""Refused publishers that are remembered; of more, the one that was refused first has its request read."""


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
