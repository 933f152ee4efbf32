"""Turns of jobs, over each broker."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.publication import publication
from statushub.hub.model.vocabulary import Phase
from statushub.producers.jobs.definition import job
from statushub.producers.jobs.item import Item
from statushub.producers.jobs.names import JOBS, TURNS, new_job_id, turn_id
from statushub.producers.jobs.start import new_job
from statushub.producers.jobs.turns import START_SECONDS, take_turn, was_ended
from tests.support.jobs import TENANT, ended, job_state, jobs_of, working

pytestmark = pytest.mark.anyio


@job(group="only")
async def one(item: Item) -> Any:
    return item.input


async def turn(broker: Broker, job_id: str | None = None) -> str | None:
    """The id of the job whose turn it is, if it is this one's."""
    job_id = job_id or new_job_id("one")
    return job_id if await take_turn(broker, TENANT, "one", "only", job_id) else None


async def publish(broker: Broker, job_id: str) -> bool:
    _, publications = new_job(one, ["a"], job_id=job_id)
    return all(receipt.accepted for receipt in await broker.publish(TENANT, publications))


async def test_of_many_that_take_a_turn_one_has_it(broker: Broker) -> None:
    """However many hubs start a job in the same moment, and again after each of them has ended."""
    for _ in range(5):
        taken = [job_id for job_id in await asyncio.gather(*(turn(broker) for _ in range(10))) if job_id]
        assert len(taken) == 1
        assert await publish(broker, taken[0])
        assert not await was_ended(broker, TENANT, taken[0])
        assert await turn(broker) is None
        async with working(broker, one):
            await ended(broker, taken[0])
    assert len(await jobs_of(broker)) == 5


async def test_a_job_that_was_forgotten_is_over(broker: Broker) -> None:
    """What is removed keeps none waiting, and leaves no trace."""
    job_id = await turn(broker)
    assert job_id is not None
    await publish(broker, job_id)
    await broker.remove(TENANT, JOBS, [job_id])
    assert await turn(broker) is not None
    assert await jobs_of(broker) == []


async def test_a_turn_that_was_removed_is_taken_again(broker: Broker) -> None:
    """Removing the channel of turns stops no job from beginning."""
    for _ in range(5):
        job_id = await turn(broker)
        assert job_id is not None
        await publish(broker, job_id)
        async with working(broker, one):
            await ended(broker, job_id)
    await broker.remove(TENANT, TURNS)
    taken = [job_id for job_id in await asyncio.gather(*(turn(broker) for _ in range(5))) if job_id]
    assert len(taken) == 1


async def test_a_hub_that_dies_before_its_job_is_there_blocks_none(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time that it may take its turn is kept; after it the job is ended, so that it never begins beside
    another."""
    slow = await turn(broker)
    assert slow is not None
    assert await turn(broker) is None
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + START_SECONDS + 1)
    assert await turn(broker) is not None
    await publish(broker, slow)
    assert await was_ended(broker, TENANT, slow)
    state = await job_state(broker, slow)
    assert state is not None
    assert state.phase is Phase.FAILED


async def test_a_turn_that_says_nothing_keeps_none_waiting(broker: Broker) -> None:
    """A foreign publisher in its place is no job that runs."""
    data = {"status": "idle", "turn": "x"}
    await broker.publish(TENANT, [publication(channel=TURNS, content_id=turn_id("only"), data=data)])
    assert await turn(broker) is not None or await turn(broker) is not None
