"""Reads a source for many polls: a short cache, single-flight, and a circuit breaker for a source that is away.

What is asked for in one round trip are keys of one group: contents of a tenant, for example.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import anyio
from cachetools import TTLCache

from statushub.hub.model.backoff import Backoff
from statushub.hub.sources.contract import SourceUnavailable

CACHED: Final = 10_000
"""Answers that are kept: a few megabytes, for as many polls within the time that an answer is fresh."""

FIRST_PAUSE_SECONDS: Final = 0.5
"""For which a source is not asked after its first failure; polls come every few seconds."""

LONGEST_PAUSE_SECONDS: Final = 5.0
"""The same after many: a source that is back is noticed within seconds."""

Start = Callable[[Callable[..., Coroutine[Any, Any, None]], Any], object]
"""Starts a task with its argument, as a task group's `start_soon` does."""

logger = logging.getLogger(__name__)


G = TypeVar("G", bound=Hashable)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
G_contra = TypeVar("G_contra", bound=Hashable, contravariant=True)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)
V_co = TypeVar("V_co", covariant=True)


class Readable(Protocol[G_contra, K_contra, V_co]):
    """What is read: a `Source`, or a part of one. The attributes are as there."""

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...

    @property
    def fresh(self) -> float: ...

    async def find(self, group: G_contra, keys: Sequence[K_contra], /) -> Sequence[V_co | None]:
        """What is known of each key, in one round trip. Raises `SourceUnavailable`."""


class Read(Generic[G, K, V]):
    """One read of keys of a group. Once it is `done`, `found` has what is known; it is empty where that failed."""

    def __init__(self, group: G) -> None:
        self.group = group
        self.asked: dict[K, None] = {}
        self.found: dict[K, V | None] = {}
        self.done = anyio.Event()


class ReadThrough(Generic[G, K, V]):
    """What a source knows, for polls. A source that is away knows nothing."""

    failures: int
    """Reads that failed."""

    reads: Counter[str]
    """Keys that were asked for: `hit` where the cache knew them, else `miss`."""

    def __init__(self, source: Readable[G, K, V], start: Start) -> None:
        """`start` starts a task; a read outlives the poll that began it, since others wait for it, too."""
        self.name = source.name
        self.failures = 0
        self.reads = Counter()
        self._source = source
        self._start = start
        self._cache: TTLCache[tuple[G, K], V | None] = TTLCache(CACHED, source.fresh)
        self._running: dict[G, Read[G, K, V]] = {}
        self._waiting: dict[G, Read[G, K, V]] = {}
        self._backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._paused_until = 0.0
        self._away = False

    async def find(self, group: G, keys: Sequence[K]) -> list[V | None]:
        """What is known of each key, in the order of the request. Raises nothing."""
        found: dict[K, V | None] = {}
        reads: dict[Read[G, K, V], None] = {}
        for key in keys:
            if (group, key) in self._cache:
                found[key] = self._cache[group, key]
            elif (read := self._joined(group, key)) is not None:
                reads[read] = None
        self.reads["hit"] += (hits := len(found))
        self.reads["miss"] += len({*keys}) - hits
        for read in reads:
            await read.done.wait()
            found.update(read.found)
        return [found.get(key) for key in keys]

    def _joined(self, group: G, key: K) -> Read[G, K, V] | None:
        """The read that brings this; None while the source is not asked."""
        running = self._running.get(group)
        if running is not None and key in running.asked:
            return running
        if time.monotonic() < self._paused_until:
            return None
        read = self._waiting.get(group)
        if read is None:
            read = self._waiting[group] = Read(group)
            if running is None:
                self._start(self._serve, group)
        read.asked[key] = None
        return read

    async def _serve(self, group: G) -> None:
        """Read until no poll of the group waits: one read at a time, so that the next one asks for all who came."""
        try:
            while (read := self._waiting.pop(group, None)) is not None:
                self._running[group] = read
                try:
                    await self._perform(read)
                finally:
                    read.done.set()
        finally:
            self._running.pop(group, None)
            if (left := self._waiting.pop(group, None)) is not None:
                left.done.set()

    async def _perform(self, read: Read[G, K, V]) -> None:
        if time.monotonic() < self._paused_until:
            return
        asked = [*read.asked]
        try:
            known = await self._source.find(read.group, asked)
        except SourceUnavailable as error:
            self._failed(error.message)
        except Exception as error:
            # A defect of this program: the polls are answered all the same.
            logger.exception("the source %s failed", self.name)
            self._failed(type(error).__name__)
        else:
            self._answered()
            read.found = dict(zip(asked, known, strict=True))
            self._cache.update({(read.group, key): value for key, value in read.found.items()})

    def _failed(self, reason: str) -> None:
        self.failures += 1
        self._paused_until = time.monotonic() + self._backoff.next()
        if not self._away:
            self._away = True
            logger.warning("%s: %s; what it knows counts as unknown until it is back", self.name, reason)

    def _answered(self) -> None:
        self._backoff.reset()
        if self._away:
            self._away = False
            logger.info("%s: %s answers again", self.name, self._source.where)
