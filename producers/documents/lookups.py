"""Look-ups of keywords: each from what was counted within a day, else from the source, with a pause between two."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.event import Event, decode
from statushub.hub.model.keywords import spelled
from statushub.hub.model.publication import publication
from statushub.producers.documents.counter import Counter
from statushub.producers.jobs.store import Store

COUNTS: Final = "document-counts"
"""The channel whose contents are the counts of the last day."""

KEPT_SECONDS: Final = 24 * 3600.0
"""How long a count is good."""


class Counted(msgspec.Struct, frozen=True):
    """The documents of a keyword by category, and the calls of the source that it took."""

    counts: Mapping[str, int]
    calls: int


class _Stored(msgspec.Struct):
    counts: dict[str, Annotated[int, msgspec.Meta(ge=0)]]
    counted_at: float


class Lookups:
    """Looks keywords up for jobs and requests of one process. `pace` are the least seconds between two look-ups."""

    def __init__(self, counter: Counter, store: Store, *, pace: float) -> None:
        self._counter = counter
        self._store = store
        self._pace = pace
        self._next = 0.0
        self._turn = asyncio.Lock()

    @property
    def calls(self) -> int:
        """The calls of the source that one look-up takes."""
        return self._counter.calls

    async def known(self, tenant: str, keyword: str) -> Counted | None:
        """What was counted within a day; None where it must be counted. Raises `CountFailed`."""
        return await self._known(tenant, _content_id(await self._counter.source(), keyword))

    async def find(self, tenant: str, keyword: str) -> Counted:
        """The counts of a keyword. Raises `CountFailed`, and what a function of the program's own raises."""
        source = await self._counter.source()
        content_id = _content_id(source, keyword)
        if (known := await self._known(tenant, content_id)) is not None:
            return known
        async with self._turn:
            # Another request may have counted it meanwhile.
            if (known := await self._known(tenant, content_id)) is not None:
                return known
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._pace
            counts = await self._counter.count(keyword)
        await self._keep(tenant, content_id, keyword, source, counts)
        return Counted(counts, self._counter.calls)

    async def _known(self, tenant: str, content_id: str) -> Counted | None:
        try:
            (event,) = (await self._store.lookup(tenant, [content_id])).events
        except BrokerUnavailable:
            return None
        return None if event is None or event.removed else _read(event)

    async def _keep(self, tenant: str, content_id: str, keyword: str, source: str, counts: Mapping[str, int]) -> None:
        data: dict[str, Any] = {"status": "idle", "keyword": keyword, "source": source, "counts": counts}
        try:
            said = publication(channel=COUNTS, content_id=content_id, data={**data, "counted_at": time.time()}, lease=0)
            await self._store.publish(tenant, [said], retention=KEPT_SECONDS)
        except (BrokerUnavailable, Invalid):
            return  # counted anew the next time


def _content_id(source: str, keyword: str) -> str:
    told = f"{source}\0{spelled(keyword)}".encode()
    return f"count:{hashlib.blake2b(told, digest_size=16).hexdigest()}"


def _read(event: Event) -> Counted | None:
    try:
        stored = msgspec.convert(decode(event.data), _Stored)
    except (Invalid, msgspec.ValidationError):
        return None
    age = time.time() - stored.counted_at
    return Counted(stored.counts, 0) if -KEPT_SECONDS < age < KEPT_SECONDS else None
