"""Writes the keys of video workers, on the background thread of the process: the latest value of each, in order."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Final

from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.errors import BrokerUnavailable
from statushub.producers.background import waited
from statushub.producers.shared import shared

DEADLINE_SECONDS: Final = 1.0
"""For Redis to answer, and how long a call waits for its key: a caller may read what it has just written."""

CLOSE_SECONDS: Final = 0.2
"""How long an exiting process waits for its connections to close."""

logger = logging.getLogger(__name__)


class KeyWriter:
    """Writes keys with a TTL into one Redis, for the process that made it."""

    def __init__(self, url: str) -> None:
        """Raises `ConfigError` for a malformed URL."""
        address = parse_redis_url(url, field="keys")
        self.prefix = f"{address.prefix}:" if address.prefix else ""
        self.away = False
        self._client = Client(open_topology(address, DEADLINE_SECONDS), deadline=DEADLINE_SECONDS)
        self._background = shared().background
        self._waiting: dict[str, tuple[bytes, int]] = {}
        self._turn = asyncio.Lock()
        self._pid = os.getpid()
        atexit.register(self.close)

    def write(self, values: Mapping[str, bytes], ttl: int) -> Future[bool] | None:
        """Write these keys, for `ttl` seconds; returns whether they were, once that is known. None where it cannot be
        waited for, or is not worth it: Redis did not answer the last time."""
        written = self._background.submit(partial(self._write, values, ttl))
        return None if self.away or self._background.inside else written

    def close(self) -> None:
        """Close the connections, at the end of the process that made them."""
        if os.getpid() == self._pid and not self._background.inside:
            waited(self._background.submit(self._client.aclose), CLOSE_SECONDS)

    async def _write(self, values: Mapping[str, bytes], ttl: int) -> bool:
        self._waiting.update({self.prefix + name: (value, ttl) for name, value in values.items()})
        # One after the other: on two connections an older value could come last.
        async with self._turn:
            waiting, self._waiting = self._waiting, {}
            commands = [(name, ("SET", name, value, "EX", ttl)) for name, (value, ttl) in waiting.items()]
            try:
                answers = await self._client.execute_all(commands)
                refused = next((str(it) for it in answers if isinstance(it, Exception)), None)
            except BrokerUnavailable as error:
                refused = error.message
            self._tell(refused)
        return refused is None

    def _tell(self, refused: str | None) -> None:
        if refused is not None and not self.away:
            logger.warning("the keys of videos are not written: %s", refused)
        elif refused is None and self.away:
            logger.info("the keys of videos are written again")
        self.away = refused is not None
