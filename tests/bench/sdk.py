"""Publishes through the SDK as fast as possible: `python sdk.py URL EVENTS`.

Each event belongs to another work, because the states of one work supersede each other before they are sent.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

from statushub import Producer

BATCH: Final = 1_000
"""Works that report before the event loop runs: as many as the SDK sends in one call."""


async def main(url: str, events: int) -> None:
    began, used = time.monotonic(), time.process_time()
    async with Producer(url, patience=60) as producer:
        for number in range(events):
            work = producer.work(f"c-{number:06}", channel="ch-000000", lease=None)
            await work.update("generating", processing_status="summarizing", progress=number % 100)
            if number % BATCH == 0:
                await asyncio.sleep(0)
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    print(f'{{"seconds":{seconds:.6f},"cpu":{cpu:.6f}}}')


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
