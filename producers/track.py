"""Publishes the progress of a loop: `for page in track(pages, channel="jobs", content_id="import-7")`."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Sized
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from statushub.hub.model.timestamp import timestamp
from statushub.producers.producer import Producer
from statushub.producers.sync import SyncProducer

T = TypeVar("T")

INTERVAL_SECONDS: Final = 0.1
"""Least time between two reports; by default no producer sends more often."""

SMOOTHING: Final = 0.3
"""Weight of the latest pace in the exponential moving average: it follows changes without jumping."""


class Meter:
    """Counts finished items, and estimates the pace and the remaining time."""

    def __init__(self, total: int | None, interval: float) -> None:
        self.done = 0
        self._total = total
        self._interval = interval
        self._rate: float | None = None
        self._counted = 0
        self._counted_at = time.monotonic()

    def count(self) -> bool:
        """Count one more item; returns whether it is time to report."""
        self.done += 1
        return time.monotonic() - self._counted_at >= self._interval

    def fields(self) -> dict[str, Any]:
        """`done`, `total`, `rate` (items a second), `progress` (0 to 100), `remaining_seconds` and
        `estimated_completion` (ISO 8601, UTC), as far as they are known."""
        self._measure()
        said: dict[str, Any] = {"done": self.done, "total": self._total}
        if self._rate is not None:
            said["rate"] = round(self._rate, 3)
        if self._total is not None:
            said["progress"] = round(100 * min(self.done / self._total, 1.0), 2) if self._total else 100
        if self._total is not None and self._rate:
            seconds = max(self._total - self.done, 0) / self._rate
            said["remaining_seconds"] = round(seconds, 1)
            said["estimated_completion"] = _in(seconds)
        return said

    def ending(self) -> dict[str, Any]:
        """The fields of a loop that ran to its end; the total is the number of its items."""
        self._total = self.done
        return {**self.fields(), "remaining_seconds": 0, "estimated_completion": _in(0)}

    def _measure(self) -> None:
        now = time.monotonic()
        if now <= self._counted_at or self.done == self._counted:
            return
        pace = (self.done - self._counted) / (now - self._counted_at)
        self._rate = pace if self._rate is None else SMOOTHING * pace + (1 - SMOOTHING) * self._rate
        self._counted, self._counted_at = self.done, now


def track(
    items: Iterable[T],
    *,
    channel: str,
    content_id: str,
    total: int | None = None,
    producer: SyncProducer | None = None,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
    interval: float = INTERVAL_SECONDS,
    **fields: Any,
) -> Generator[T, None, None]:
    """Yield `items`, and publish the progress of the loop: the fields of `Meter.fields`, besides `fields`.

    `total` is by default `len(items)` where they have a length. Without a `producer`, one is created for the loop from
    `url`, `tenant` and `token`. An error raised by `items` is reported; a loop that is left early, by `break` or by an
    error in its body, is reported as `cancelled`, because a generator cannot distinguish the two. Raises what
    `Producer` and `Producer.work` raise, at the first item.
    """
    meter = Meter(_length(items) if total is None else total, interval)
    with ExitStack() as stack:
        if producer is None:
            producer = stack.enter_context(SyncProducer(url, tenant=tenant, token=token))
        work = stack.enter_context(producer.work(content_id, channel=channel, **fields))
        work.update(**meter.fields())
        for item in items:
            yield item
            if meter.count():
                work.update(**meter.fields())
        work.complete(**meter.ending())


async def atrack(
    items: AsyncIterable[T],
    *,
    channel: str,
    content_id: str,
    total: int | None = None,
    producer: Producer | None = None,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
    interval: float = INTERVAL_SECONDS,
    **fields: Any,
) -> AsyncGenerator[T, None]:
    """As `track`, for `async for`. A loop that is left early is reported when its generator is closed: with
    `contextlib.aclosing` at the end of its block, otherwise when the event loop finalizes it."""
    meter = Meter(_length(items) if total is None else total, interval)
    async with AsyncExitStack() as stack:
        if producer is None:
            producer = await stack.enter_async_context(Producer(url, tenant=tenant, token=token))
        work = await stack.enter_async_context(producer.work(content_id, channel=channel, **fields))
        await work.update(**meter.fields())
        async for item in items:
            yield item
            if meter.count():
                await work.update(**meter.fields())
        await work.complete(**meter.ending())


def _length(items: object) -> int | None:
    return len(items) if isinstance(items, Sized) else None


def _in(seconds: float) -> str | None:
    try:
        return timestamp(datetime.now(UTC) + timedelta(seconds=seconds)) if math.isfinite(seconds) else None
    except OverflowError:
        return None  # at this pace, after the year 9999
