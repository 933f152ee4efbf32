"""The cache of the record: what the database said, for as long as the teams' own caches keep it.

Keys, with `tenant:{tenant}:` before them unless the tenant is `default`, and their values:

channel:{channel_id}:contents    300 s   the first page of a channel: `{"contents":[…],"next":…}`
content:{content_id}:status       30 s   a content: its fields
channel:{channel_id}:processing   10 s   how many contents are in which phase
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol, Self

from cachetools import TLRUCache

from statushub.hub.model.names import DEFAULT_TENANT


class Kind(StrEnum):
    """What is kept, as the metrics call it."""

    PAGE = "contents"
    CONTENT = "status"
    TOTALS = "processing"


SECONDS: Final = {Kind.PAGE: 300, Kind.CONTENT: 30, Kind.TOTALS: 10}
"""For which each is kept."""

CACHE_BYTES: Final = 32 * 1024**2
"""Of the values kept in memory: a few hundred pages of ordinary rows."""

VALUE_BYTES: Final = 4 * 1024**2
"""Largest value that is kept: a page of 100 contents of 40 KB."""

UNKNOWN: Final = b"null"
"""The value of a content that the record does not know."""


def cache_key(tenant: str, kind: Kind, name: str) -> str:
    """The key of a channel's page or totals, or of a content."""
    owner = "" if tenant == DEFAULT_TENANT else f"tenant:{tenant}:"
    return f"{owner}{'content' if kind is Kind.CONTENT else 'channel'}:{name}:{kind}"


class Cache(Protocol):
    """Keeps values for a while. An async context manager. Nothing of it raises where it is away."""

    async def __aenter__(self) -> Self:
        """Open it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened here."""

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """The value of each key, in the order asked; None where there is none."""

    async def put(self, values: Mapping[str, bytes], seconds: float) -> None:
        """Keep these values for so many seconds."""

    def drop(self, keys: Iterable[str]) -> None:
        """Forget these keys: what is asked for from now on finds none of the values that were there."""


class MemoryCache:
    """A cache of this process."""

    def __init__(self) -> None:
        self._kept: TLRUCache[str, tuple[float, bytes]] = TLRUCache(
            CACHE_BYTES,
            ttu=lambda _key, value, now: now + value[0],
            timer=time.monotonic,
            getsizeof=lambda value: len(value[1]) + 1,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.clear()

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        return [found[1] if (found := self._kept.get(key)) is not None else None for key in keys]

    async def put(self, values: Mapping[str, bytes], seconds: float) -> None:
        for key, value in values.items():
            if len(value) <= VALUE_BYTES:
                self._kept[key] = seconds, value

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._kept.pop(key, None)


_fits: type[Cache] = MemoryCache
