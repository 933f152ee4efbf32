"""Workers in processes, which can be killed, and the jobs that they run."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.jobs import Item, Retry, job
from statushub.producers.jobs.redis_store import RedisStore
from statushub.producers.jobs.worker import Worker
from tests.support.command import END_SECONDS, environment
from tests.support.jobs import FAST, TENANT

ROOT: Final = Path(__file__).parents[2]

ITEM_SECONDS: Final = 0.03


@job(steps={"first": 1, "second": 2}, concurrency=4, retry=Retry(tries=3, first=0.05))
async def stamp(item: Item) -> Mapping[str, Any]:
    """Give each item a stamp of its own, so that two results of one differ; every seventh fails once."""
    for step in ("first", "second"):
        if step not in item.finished:
            async with item.step(step):
                await asyncio.sleep(ITEM_SECONDS)
    if item.number % 7 == 0 and item.tries == 1:
        raise ValueError("not now")
    return {"input": item.input, "stamp": secrets.token_hex(8)}


class WorkerProcess:
    """A worker in a process, with the short periods of the tests."""

    def __init__(self, url: str, folder: Path, *, name: str = "worker") -> None:
        parse_redis_url(url)
        self.log = folder / f"{name}.log"
        self._url = url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns before it works."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.job_worker", self._url],
                cwd=ROOT,
                env=environment(),
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """Send SIGTERM; the exit code."""
        if self._process is None:
            raise RuntimeError("it does not run")
        self._process.terminate()
        return self._process.wait(END_SECONDS)


async def _main(url: str) -> None:
    async with RedisStore(url) as store:
        worker = Worker(store, [stamp], tenants=(TENANT,), timing=FAST)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
