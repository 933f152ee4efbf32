"""`python -m tests.bench.neighbour`: how long a tenant waits while one token of another follows tens of thousands of
channels that do not exist, and while Redis' pub/sub connection is cut and comes back."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec

from tests.bench import report
from tests.bench.harness import Waits
from tests.support.hub_process import hub_process
from tests.support.publishing import publish_all
from tests.support.redis_server import running_redis
from tests.support.tokens import SECRET, bearer

CONNECTING: Final = 50
"""Streams that are opened simultaneously."""

WAIT_SECONDS: Final = 180.0
"""For all streams to be answered, or to be served again."""

POLL_PAUSE: Final = 0.02
"""Between two polls of the other tenant."""

LIFTED: Final = {"max_channels_sub": 1_000_000, "max_channels_tenant": 1_000_000}
"""Settings with which no followed channel is refused: what is left is the fairness of turns."""

DOCS: Final = Path(__file__).parent.parent.parent / "docs"

NEIGHBOUR: Final = bearer(tenant="neighbour", jti="one")
OTHER: Final = bearer(tenant="other", sub="victim")


class Polls(threading.Thread):
    """Polls of the other tenant, one after the other."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._base_url = base_url
        self._done = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._base_url, headers=OTHER, timeout=WAIT_SECONDS) as client:
            number, began = 0, 0.0
            while not self._done.wait(POLL_PAUSE):
                number, began = number + 1, began or time.monotonic()
                if client.get(f"/api/contents/room-{number}/status").status_code == httpx.codes.OK:
                    self.waits.append((time.monotonic() - began) * 1e3)
                    began = 0.0

    async def more(self, polls: int) -> int:
        """Wait for so many further polls; returns how many there are then."""
        count = len(self.waits) + polls
        while len(self.waits) < count:
            await asyncio.sleep(POLL_PAUSE)
        return len(self.waits)

    def stop(self) -> None:
        self._done.set()
        self.join()


class Stream:
    """One of the neighbour's streams, over a plain socket."""

    def __init__(self, channels: Sequence[str]) -> None:
        self.channels = channels

    async def open(self, port: int) -> bool:
        """Returns whether it is served, once that is known."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        query = "&".join(f"channel={channel}" for channel in self.channels)
        head = f"GET /api/events?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {NEIGHBOUR['Authorization']}\r\n"
        self._writer.write(f"{head}\r\n".encode())
        return await self.until(b"event: ready", b"event: drain") == b"event: ready"

    async def until(self, *words: bytes) -> bytes:
        """The first of these words that comes."""
        seen = b""
        while True:
            seen = seen[-32:] + await self._reader.read(65_536)
            for word in words:
                if word in seen:
                    return word

    def close(self) -> None:
        self._writer.transport.abort()


async def _opened(port: int, streams: Sequence[Stream]) -> list[bool]:
    limit = asyncio.Semaphore(CONNECTING)

    async def opened(stream: Stream) -> bool:
        async with limit:
            return await stream.open(port)

    return await asyncio.gather(*map(opened, streams))


async def measure(folder: Path, streams: int, channels: int, settings: dict[str, int]) -> Waits:
    """Measure one hub on one Redis, both started here."""
    followed = [Stream([f"ghost-{s}-{c}" for c in range(channels)]) for s in range(streams)]
    (folder / "redis").mkdir()
    with (
        running_redis(folder / "redis", appendonly=False) as redis,
        hub_process(
            folder, broker=redis.url, secret=SECRET, ticket_secret=SECRET, log_level="error", **settings
        ) as hub,
    ):
        polls = Polls(hub.base_url)
        polls.start()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                began = time.monotonic()
                served = await _opened(hub.port, followed)
                opened = time.monotonic() - began
                first = await polls.more(1)
                last = followed[served.index(True) if not served[-1] else -1]
                cut = time.monotonic()
                redis.command("CLIENT", "KILL", "TYPE", "pubsub")
                event = {"channel": last.channels[-1], "content_id": "x", "data": {"status": "complete"}}
                publish_all(hub.base_url, [event], headers=NEIGHBOUR)
                await last.until(b"processing_complete")
                again = time.monotonic() - cut
                # The other tenant may wait still.
                await polls.more(2)
        finally:
            polls.stop()
            for stream in followed:
                stream.close()
    before = sorted(polls.waits[:first])
    return Waits(
        served=sum(served),
        opened=opened * 1e3,
        median=before[len(before) // 2],
        worst=before[-1],
        again=again * 1e3,
        worst_again=max(polls.waits[first:]),
    )


def main(arguments: Sequence[str]) -> int:
    """Measure, and print what is found as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.neighbour", description=__doc__)
    parser.add_argument("--streams", type=int, default=600)
    parser.add_argument("--channels", type=int, default=64, help="channels of each stream")
    parser.add_argument("--lifted", action="store_true", help="without limits of followed channels")
    parser.add_argument("--write", metavar="LABEL", help="write it into the report as the row of this name")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        limits = LIFTED if options.lifted else {}
        found = asyncio.run(measure(Path(folder), options.streams, options.channels, limits))
    print(msgspec.json.encode(found).decode())
    if options.write:
        results = report.read(DOCS)
        results.neighbours[options.write] = found
        report.write(results, DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
