"""The cache of the record in a Redis, which all hubs share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import anyio
from redis.exceptions import ResponseError

from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.redaction import censored
from statushub.hub.sources.record_cache import SECONDS, UNKNOWN, VALUE_BYTES, Cache, MemoryCache

DEADLINE_SECONDS: Final = 1.0
"""For Redis to answer; the database is asked after that."""

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0
"""The first and the longest time for which a Redis that has failed is not asked."""

DROPPED_MAX: Final = 10_000
"""Keys that wait to be deleted. Beyond that, what Redis holds is not believed until all of it is too old."""

WRONG_TYPE: Final = "WRONGTYPE"

logger = logging.getLogger(__name__)


class RedisCache:
    """A cache in a Redis. While it is away, or refuses, there is one in memory."""

    def __init__(self, url: str) -> None:
        """Raises `ConfigError` where `url` is malformed."""
        address = parse_redis_url(url)
        self._prefix = f"{address.prefix}:" if address.prefix else ""
        self._client = Client(open_topology(address, DEADLINE_SECONDS), deadline=DEADLINE_SECONDS)
        self._memory = MemoryCache()
        self._backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._away = False
        self._paused_until = 0.0
        self._doubted_until = 0.0
        # Those that are to be deleted, and those that are being deleted.
        self._dropped: set[str] = set()
        self._deleting: set[str] = set()
        self._told = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._delete)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(kind, error, trace)
        await self._client.aclose()

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        found = await self._memory.get(keys)
        if time.monotonic() < self._doubted_until:
            return found
        # Not GET: a value of another program may have any size.
        asked = [key for key, value in zip(keys, found, strict=True) if value is None and not self._is_dropped(key)]
        commands = [(self._prefix + key, ("GETRANGE", self._prefix + key, 0, VALUE_BYTES)) for key in asked]
        answers = dict(zip(asked, await self._execute(commands) or [None] * len(asked), strict=True))
        return [
            # What was dropped while it was read is not found, either.
            value if value is not None or self._is_dropped(key) else answers.get(key)
            for key, value in zip(keys, found, strict=True)
        ]

    async def put(self, values: Mapping[str, bytes], seconds: float) -> None:
        known = {key: value for key, value in values.items() if value != UNKNOWN}
        # Anyone may ask for what there is not: that fills no Redis. What Redis is still to forget is kept here.
        kept = {key: value for key, value in values.items() if key not in known or self._is_dropped(key)}
        commands = [
            (self._prefix + key, ("SET", self._prefix + key, value, "EX", int(seconds)))
            for key, value in known.items()
            if len(value) <= VALUE_BYTES and not self._is_dropped(key)
        ]
        if await self._execute(commands) is None:
            kept = dict(values)
        await self._memory.put(kept, seconds)

    def drop(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self._memory.drop(keys)
        self._dropped.update(keys)
        if len(self._dropped) > DROPPED_MAX:
            self._dropped.clear()
            self._doubted_until = time.monotonic() + max(SECONDS.values())
        self._told.set()

    def _is_dropped(self, key: str) -> bool:
        return key in self._dropped or key in self._deleting

    async def _delete(self) -> None:
        """Delete what was dropped, all of one turn together."""
        while True:
            await self._told.wait()
            self._told.clear()
            while self._dropped:
                self._deleting, self._dropped = self._dropped, set()
                names = [self._prefix + key for key in self._deleting]
                if await self._execute([(name, ("UNLINK", name)) for name in names]) is None:
                    self._dropped |= self._deleting
                    await anyio.sleep(max(self._paused_until - time.monotonic(), 0))
                self._deleting = set()

    async def _execute(self, commands: Sequence[tuple[str, tuple[Any, ...]]]) -> list[bytes | None] | None:
        """The answers, each None where there is nothing of use; None altogether where Redis is away."""
        if not commands:
            return []
        if time.monotonic() < self._paused_until:
            return None
        try:
            answers = await self._client.execute_all(commands)
        except BrokerUnavailable as error:
            self._failed(error.message)
            return None
        refused = [it for it in answers if isinstance(it, Exception) and WRONG_TYPE not in str(it)]
        if refused:
            self._failed(censored(str(refused[0])))
            return None
        self._backoff.reset()
        if self._away:
            self._away = False
            logger.info("%s caches the record again", self._client.where)
        return [_value(answer) for answer in answers]

    def _failed(self, reason: str) -> None:
        self._paused_until = time.monotonic() + self._backoff.next()
        if not self._away:
            self._away = True
            logger.warning("the record is cached in memory, until Redis does it: %s", reason)


def _value(answer: Any) -> bytes | None:
    if isinstance(answer, ResponseError) or not answer:
        return None
    value = answer.encode() if isinstance(answer, str) else answer
    return value if isinstance(value, bytes) and value != UNKNOWN and len(value) <= VALUE_BYTES else None


_fits: type[Cache] = RedisCache
