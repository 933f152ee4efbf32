"""What an item of a job may ask of its runner, over each broker."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.vocabulary import Phase
from statushub.producers.jobs.definition import job
from statushub.producers.jobs.item import Item, PermanentFailure, RetryLater
from statushub.producers.jobs.log import JobLog
from statushub.producers.jobs.retry import Retry
from tests.support.jobs import TENANT, ended, items, results, start, working
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

QUICK = Retry(tries=2, first=0.001)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def kind(request: pytest.FixtureRequest) -> str:
    """As for other tests of jobs."""
    return str(request.param)


async def test_what_items_add_is_summed_over_all_tries_and_workers(broker: Broker) -> None:
    """The sums of a job count what failed tries have added, and those of a worker that is gone."""
    hung, again = asyncio.Event(), asyncio.Event()

    @job(retry=QUICK)
    async def fetch(item: Item) -> str:
        item.add("requests", 2)
        if item.number == 2 and item.tries == 1:
            raise ValueError("not now")
        if item.number == 3 and not again.is_set():
            hung.set()
            await again.wait()
        if item.number == 4:
            raise PermanentFailure("never")
        return item.tenant

    async with working(broker, fetch):
        job_id = await start(broker, fetch, "abcd")
        await until(hung.is_set)
    again.set()
    async with working(broker, fetch, exclusive=True):
        state = await ended(broker, job_id)
    assert (state.data["sums"], state.data["failed"]) == ({"requests": 10}, 1)
    assert await results(broker, job_id) == [TENANT, TENANT, TENANT, None]


async def test_a_pause_that_is_asked_for_holds_for_all_items_and_is_no_try(broker: Broker) -> None:
    """Where one item is told to come back later, none begins before that, and it is tried as often as any other."""
    begun: list[tuple[Any, float]] = []
    pause = 0.2

    @job(retry=QUICK)
    async def polite(item: Item) -> None:
        begun.append((item.input, time.monotonic()))
        before = Counter(name for name, _ in begun)[item.input]
        if item.input == "busy" and before <= 3:
            raise RetryLater("come back later", after=pause)
        if item.input == "busy" and before == 4:
            raise ValueError("and a failure after that")

    async with working(broker, polite):
        job_id = await start(broker, polite, ["busy", "next"])
        state = await ended(broker, job_id)
    assert (state.phase, state.data["failed"]) == (Phase.COMPLETED, 0)
    assert Counter(name for name, _ in begun) == {"busy": 5, "next": 1}
    refused = [at for name, at in begun if name == "busy"][:3]
    for at in refused:
        assert min((other - at for _, other in begun if other > at), default=pause) >= pause
    assert (await items(broker, job_id))[1]["tries"] == 2


async def test_an_item_that_needs_no_pace_lets_the_next_one_begin(broker: Broker) -> None:
    """With the pause between all of them the job would take longer than a test waits."""

    @job(pace=1.5)
    async def cached(item: Item) -> None:
        item.unpace()

    async with working(broker, cached):
        state = await ended(broker, await start(broker, cached, range(50)))
    assert state.phase is Phase.COMPLETED


async def test_a_job_may_have_words_of_its_own(broker: Broker) -> None:
    """Its log is told how many items are over, and which failed."""
    said: list[str] = []

    class Words(JobLog):
        def begun(self, job_id: str, *, goes_on: bool) -> None:
            said.append("begun")

        def ended_item(
            self, job_id: str, number: int, input: Any, *, done: int, total: int, problem: str | None
        ) -> None:
            said.append(f"{done}/{total} {input} {problem}")

        def ended(self, job_id: str, status: str, *, completed: int, failed: int) -> None:
            said.append(f"{status} {completed} {failed}")

    @job(log=Words(), retry=Retry(tries=1))
    async def inverse(item: Item) -> float:
        return float(1 / item.input)

    async with working(broker, inverse):
        await ended(broker, await start(broker, inverse, [1, 0]))
    assert said == ["begun", "1/2 1 None", "2/2 0 division by zero", "completed 1 1"]
