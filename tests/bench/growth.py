"""What a delta costs onto a long text, beside one onto a short text: `python -m tests.bench.growth`.

Both contents are in one broker, and calls for each of them alternate, so that what else runs disturbs both alike.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.model.publication import Publication, publication
from tests.bench.load import Lost
from tests.support.redis_server import running_redis

SHORT_BYTES: Final = 1_000
LONG_BYTES: Final = 1_000_000
CHUNK_BYTES: Final = 50_000
"""Of the deltas that bring the texts to their lengths."""

DELTA: Final = "twenty characters ok"
CALL_DELTAS: Final = 5
"""Deltas of one call: a call with one costs mostly the way there and back, which would hide what is measured."""

CALLS: Final = 400
MOST_TIMES: Final = 1.2
"""What a delta onto the long text may cost, to one onto the short text."""

KINDS: Final = ("memory", "sqlite", "redis")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """The median microseconds of a delta onto either text, and the median of their ratios, call by call."""

    short_us: float
    long_us: float
    times: float


class Text:
    """A content that grows."""

    def __init__(self, broker: Broker, content_id: str) -> None:
        self._broker = broker
        self._content_id = content_id
        self._seq = 0

    async def begin(self, size: int) -> None:
        """Bring it to so many bytes."""
        self._seq = 1
        data = {"status": "generating"}
        await self._publish([publication(channel="c", content_id=self._content_id, seq=1, data=data)])
        for start in range(0, size, CHUNK_BYTES):
            await self._publish([self._delta("x" * min(CHUNK_BYTES, size - start))])

    async def grow(self) -> float:
        """Append some deltas in one call; returns the seconds of each."""
        deltas = [self._delta(DELTA) for _ in range(CALL_DELTAS)]
        began = time.perf_counter()
        await self._publish(deltas)
        return (time.perf_counter() - began) / CALL_DELTAS

    def _delta(self, text: str) -> Publication:
        self._seq += 1
        delta = {"follows": self._seq - 1, "append": {"text": text}}
        return publication(channel="c", content_id=self._content_id, seq=self._seq, delta=delta)

    async def _publish(self, publications: list[Publication]) -> None:
        for receipt in await self._broker.publish("acme", publications):
            if receipt.reason is not None:
                raise Lost(f"a delta was refused: {receipt.reason}")


async def measure(url: str, calls: int = CALLS) -> Cost:
    """The cost of deltas in the broker at `url`, which is empty."""
    async with open_broker(url) as broker:
        short, long = Text(broker, "short"), Text(broker, "long")
        await short.begin(SHORT_BYTES)
        await long.begin(LONG_BYTES)
        pairs: list[tuple[float, float]] = []
        for number in range(calls):
            if number % 2:
                one, other = await short.grow(), await long.grow()
            else:
                other, one = await long.grow(), await short.grow()
            pairs.append((one, other))
    return Cost(
        short_us=statistics.median(one for one, _ in pairs) * 1e6,
        long_us=statistics.median(other for _, other in pairs) * 1e6,
        times=statistics.median(other / one for one, other in pairs),
    )


@contextmanager
def serving(kind: str) -> Iterator[str]:
    """The URL of an empty broker of that kind."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "memory":
            yield "memory:"
        elif kind == "sqlite":
            yield f"sqlite:///{Path(folder) / 'hub.db'}"
        else:
            with running_redis(Path(folder), appendonly=False) as server:
                yield server.url


def main() -> int:
    """Measure and print; returns 1 where the limit is exceeded."""
    exceeded = False
    for kind in KINDS:
        with serving(kind) as url:
            cost = asyncio.run(measure(url))
        exceeded = exceeded or cost.times > MOST_TIMES
        print(
            f"{kind:8} {cost.short_us:7.1f} µs onto 1 KB  {cost.long_us:7.1f} µs onto 1 MB  "
            f"{cost.times:.2f} times (at most {MOST_TIMES})"
        )
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
