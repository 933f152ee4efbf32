"""The cancel poll: waits for requests to cancel, with one read a second of each tenant for all polls that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy
from typing import Final

import anyio

from statushub.hub.brokers.contract import Broker, Cancel, Cancels
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, TooManyRequests
from statushub.hub.replicas.loader import Start

READ_SECONDS: Final = 1.0
"""Between two reads of a tenant: a worker is told within about that time."""

WAITING: Final = 10_000
"""Most polls that wait at a hub: each costs some KB. Further workers learn of requests by their receipts."""

FULL_SECONDS: Final = 5.0
"""When a poll that finds too many may come again."""


class _Reads:
    """The reads of one tenant, while polls wait for them."""

    def __init__(self) -> None:
        self.waiting = 0
        self.latest: Cancels | None = None
        self.failure: Exception | None = None
        self._news = asyncio.Event()

    async def next(self) -> Cancels:
        """The next read. Raises what it raises."""
        await self._news.wait()
        if self.latest is None:
            # A copy for each: a shared one would keep the frames of everything that raised it.
            raise copy(self.failure or BrokerUnavailable("the hub is going down"))
        return self.latest

    def done(self, latest: Cancels | None, failure: Exception | None = None) -> None:
        """Tell those that wait of a read, or of its failure."""
        self.latest, self.failure = latest, failure
        news, self._news = self._news, asyncio.Event()
        news.set()


class CancelPoll:
    """Answers polls for the requests to cancel that are in force."""

    def __init__(self, broker: Broker, start: Start) -> None:
        self._broker = broker
        self._start = start
        self._reads: dict[str, _Reads] = {}
        self._waiting = 0

    async def wait(
        self,
        tenant: str,
        since: Cursor | None,
        seconds: float,
        *,
        wanted: Callable[[Cancel], bool],
        stop: Callable[[], bool],
    ) -> Cancels:
        """The requests after `since`, by default all, that are `wanted`: as soon as there are any, at the latest after
        `seconds`, or when `stop` is true after a read.

        Raises `BrokerUnavailable` where the broker cannot be read, `TooManyRequests` where too many polls wait.
        """
        if self._waiting >= WAITING:
            raise TooManyRequests("too many polls wait at this hub", retry_after=FULL_SECONDS, limit="hub")
        reads = self._joined(tenant)
        try:
            read = reads.latest or await reads.next()
            found = _after(read, since, wanted)
            with anyio.move_on_after(seconds):
                while not found.cancels and not stop():
                    found = _after(await reads.next(), since, wanted)
            return found
        finally:
            reads.waiting -= 1
            self._waiting -= 1

    def _joined(self, tenant: str) -> _Reads:
        reads = self._reads.get(tenant)
        if reads is None:
            reads = self._reads[tenant] = _Reads()
            self._start(self._serve, tenant, reads)
        reads.waiting += 1
        self._waiting += 1
        return reads

    async def _serve(self, tenant: str, reads: _Reads) -> None:
        try:
            while reads.waiting:
                try:
                    reads.done(await self._broker.cancels(tenant))
                except BrokerUnavailable as error:
                    reads.done(None, error)
                await anyio.sleep(READ_SECONDS)
        finally:
            del self._reads[tenant]
            reads.done(None)


def _after(read: Cancels, since: Cursor | None, wanted: Callable[[Cancel], bool]) -> Cancels:
    """Those of the requests that are `wanted`; all of them where `since` is of another life of the clock."""
    offset = since.offset if since is not None and since.epoch == read.cursor.epoch else 0
    return Cancels(cursor=read.cursor, cancels=[it for it in read.cancels if it.offset > offset and wanted(it)])
