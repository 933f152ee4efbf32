"""Long work is done in steps, between which the loop serves everything else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator

import pytest

from statushub.hub.replicas.scheduler import SLICE_SECONDS, Scheduler
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio


def work(steps: int, seconds: float, done: list[str], name: str) -> Generator[None, None, str]:
    """Work that keeps the loop for `seconds` in each step."""
    for _ in range(steps):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        done.append(name)
        yield
    return name


async def test_the_loop_runs_between_the_steps_of_all_work() -> None:
    """However many works there are, one iteration does no more than one of them would."""
    scheduler, done = Scheduler(), list[str]()
    works = [asyncio.create_task(scheduler.run(work(5, SLICE_SECONDS, done, str(n)))) for n in range(10)]
    most, before = 0, 0
    async with asyncio.timeout(WAIT_SECONDS):
        while len(done) < 50:
            await asyncio.sleep(0)
            most, before = max(most, len(done) - before), len(done)
    assert most == 1
    assert [await each for each in works] == [str(n) for n in range(10)]


async def test_works_run_round_robin() -> None:
    """A work that comes later does not wait for the end of another, nor overtakes it."""
    scheduler, done = Scheduler(), list[str]()
    works = [asyncio.create_task(scheduler.run(work(10, SLICE_SECONDS, done, name))) for name in "ab"]
    async with asyncio.timeout(WAIT_SECONDS):
        for each in works:
            await each
    assert done[:10].count("a") == 5


async def test_an_error_reaches_the_caller_and_no_other_work() -> None:
    """The others go on."""

    def failing() -> Generator[None]:
        yield
        raise ValueError("no")

    scheduler, done = Scheduler(), list[str]()
    other = asyncio.create_task(scheduler.run(work(3, 0, done, "other")))
    with pytest.raises(ValueError, match="no"):
        await scheduler.run(failing())
    assert await other == "other"


async def test_work_that_is_no_longer_wanted_is_given_up() -> None:
    """A client that disconnects costs no further step."""
    scheduler, done = Scheduler(), list[str]()
    task = asyncio.create_task(scheduler.run(work(1_000, SLICE_SECONDS, done, "unwanted")))
    while not done:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    count = len(done)
    await scheduler.run(work(3, 0, [], "next"))
    assert len(done) <= count + 1
