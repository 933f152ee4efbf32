"""Jobs over each broker, with workers in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import decode
from statushub.hub.model.publication import publication
from statushub.hub.model.timestamp import timestamp
from statushub.hub.model.vocabulary import Phase
from statushub.producers.jobs.board import Board
from statushub.producers.jobs.claims import claim
from statushub.producers.jobs.definition import Job, job
from statushub.producers.jobs.execution import CRASHES_MAX
from statushub.producers.jobs.item import Item, PermanentFailure
from statushub.producers.jobs.names import JOBS, item_id, items_channel, schedule_id
from statushub.producers.jobs.retry import Retry
from statushub.producers.jobs.schedules import Schedules
from statushub.producers.jobs.state import item_publication
from statushub.producers.jobs.timing import Timing
from statushub.producers.jobs.worker import Worker
from tests.support.jobs import (
    FAST,
    TENANT,
    ended,
    item_events,
    items,
    job_state,
    jobs_of,
    results,
    start,
    working,
)
from tests.support.recorder import Recorder
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio

QUICK = Retry(tries=3, first=0.001)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def kind(request: pytest.FixtureRequest) -> str:
    """A file is to jobs what memory is; tests/live/test_jobs_kills.py has one."""
    return str(request.param)


@job()
async def double(item: Item) -> Any:
    return item.input * 2


class Gate:
    """A job whose items wait until they are let through, and which counts how often each was begun."""

    def __init__(self, **options: Any) -> None:
        self.begun: Counter[Any] = Counter()
        self.order: list[Any] = []
        self.open = asyncio.Event()
        self.let: set[Any] = set()
        self.running = self.most = 0
        self.job: Job = job(**{"name": "gate"} | options)(self._run)

    async def _run(self, item: Item) -> Any:
        self.begun[item.input] += 1
        self.order.append(item.input)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if item.input not in self.let:
                await self.open.wait()
        finally:
            self.running -= 1
        return item.input


async def test_each_item_of_a_job_gets_its_result(broker: Broker) -> None:
    """A job runs all of its items, and ends with the counts of them."""
    async with working(broker, double):
        job_id = await start(broker, double, [1, "a", [2]])
        state = await ended(broker, job_id)
    assert state.phase is Phase.COMPLETED
    assert {name: state.data[name] for name in ("progress", "current", "total", "failed")} == {
        "progress": 100,
        "current": 3,
        "total": 3,
        "failed": 0,
    }
    assert await results(broker, job_id) == [2, "aa", [2, 2]]


async def test_a_failed_item_is_tried_again_and_does_not_end_the_job(broker: Broker) -> None:
    """An item is tried as often as declared, unless it says that this is useless; the others go on."""
    tries: Counter[str] = Counter()

    @job(retry=QUICK)
    async def moody(item: Item) -> None:
        tries[item.input] += 1
        if item.input == "never":
            raise PermanentFailure("no such word")
        if item.input == "bad" or (item.input == "later" and item.tries < 3):
            raise ValueError("bad luck")

    async with working(broker, moody):
        job_id = await start(broker, moody, ["good", "later", "bad", "never"])
        state = await ended(broker, job_id)
    assert tries == {"good": 1, "later": 3, "bad": 3, "never": 1}
    assert (state.phase, state.data["failed"]) == (Phase.COMPLETED, 2)
    found = await items(broker, job_id)
    assert [found[number]["status"] for number in (1, 2, 3, 4)] == ["complete", "complete", "error", "error"]
    assert (found[3]["error_message"], found[4]["error_message"]) == ("bad luck", "no such word")


@pytest.mark.parametrize(("partial", "inputs"), [(False, [0, 1]), (True, [0])])
async def test_a_job_fails_as_declared(broker: Broker, partial: bool, inputs: list[int]) -> None:
    """Without `partial` one failure fails the job, with it only that of all items."""

    @job(partial=partial, retry=Retry(tries=1))
    async def inverse(item: Item) -> float:
        return float(1 / item.input)

    async with working(broker, inverse):
        state = await ended(broker, await start(broker, inverse, inputs))
    assert state.phase is Phase.FAILED
    assert state.data["error_message"] == f"1 of {len(inputs)} items failed."


async def test_a_try_that_takes_too_long_fails(broker: Broker) -> None:
    """`timeout` ends a try, and the error says so."""

    @job(timeout=0.01, retry=Retry(tries=1))
    async def hang(item: Item) -> None:
        await asyncio.Event().wait()

    async with working(broker, hang):
        job_id = await start(broker, hang, ["a"])
        await ended(broker, job_id)
    found = await items(broker, job_id)
    assert found[1]["error_code"] == "timeout"


async def test_an_item_that_cancels_itself_has_failed(broker: Broker) -> None:
    """A `CancelledError` of the program's own ends the item, not the worker."""

    @job()
    async def odd(item: Item) -> None:
        raise asyncio.CancelledError

    async with working(broker, odd):
        assert (await ended(broker, await start(broker, odd, ["a"]))).phase is Phase.FAILED


async def test_a_result_that_is_too_large_fails_its_item(broker: Broker) -> None:
    """A result over the limit of an event is the failure of its item."""

    @job(retry=QUICK)
    async def vast(item: Item) -> str:
        return "x" * int(item.input)

    async with working(broker, vast):
        job_id = await start(broker, vast, [10, 100_000])
        state = await ended(broker, job_id)
    assert (state.phase, state.data["failed"]) == (Phase.COMPLETED, 1)


async def test_steps_count_what_is_done_of_each(broker: Broker, listener: Recorder) -> None:
    """The progress of a job is that of its steps, by their weights; a worker's death does not set it back."""
    open_, begun = asyncio.Event(), Counter[str]()

    @job(steps={"load": 1, "count": 3}, concurrency=4)
    async def stepped(item: Item) -> None:
        if "load" not in item.finished:
            async with item.step("load"):
                begun["load"] += 1
        async with item.step("count"):
            await open_.wait()

    def reports(claim: int) -> list[dict[str, Any]]:
        data = [decode(event.data) for event in listener.events if event.content_id == job_id]
        return [said for said in data if said["runner"]["claim"] == claim and "steps" in said]

    await broker.subscribe(TENANT, [JOBS])
    job_id = await start(broker, stepped, [1, 2, 3, 4])
    async with working(broker, stepped):
        await until(lambda: reports(1) and reports(1)[-1]["progress"] == 25)
    assert reports(1)[-1]["steps"] == [
        {"name": "load", "current": 4, "total": 4, "progress": 100},
        {"name": "count", "current": 0, "total": 4, "progress": 0},
    ]
    async with working(broker, stepped, exclusive=True):
        # The claim, the beginning, and what it has read itself.
        await until(lambda: len(reports(2)) >= 4)
        open_.set()
        state = await ended(broker, job_id)
    await until(lambda: reports(2)[-1]["progress"] == 100)
    assert begun["load"] == 4
    assert [step["current"] for step in state.data["steps"]] == [4, 4]
    progress = [said["progress"] for said in reports(1) + reports(2)]
    assert progress == sorted(progress)


async def test_a_job_goes_on_where_its_worker_died(broker: Broker) -> None:
    """Another worker runs what is not done, and only that; the job began when it did."""
    gate = Gate(concurrency=2)
    gate.let = {1, 2, 3}
    job_id = await start(broker, gate.job, [1, 2, 3, 4, 5])
    async with working(broker, gate.job):
        await until(lambda: gate.begun[4] and gate.begun[5])
        before = await job_state(broker, job_id)
        kept = {number: event.offset for number, event in (await item_events(broker, job_id)).items() if number < 4}
    gate.open.set()
    async with working(broker, gate.job):
        state = await ended(broker, job_id)
    assert [gate.begun[number] for number in (1, 2, 3)] == [1, 1, 1]
    assert before is not None
    assert state.data["started_at"] == before.data["started_at"]
    assert await results(broker, job_id) == [1, 2, 3, 4, 5]
    after = await item_events(broker, job_id)
    assert kept == {number: after[number].offset for number in kept}


async def test_of_many_claims_one_succeeds(broker: Broker) -> None:
    """Workers that claim a job in the same moment are told apart by the fence."""
    await start(broker, double, [1])
    boards = [Board(broker, TENANT, period=1, clock=asyncio.get_running_loop().time) for _ in range(8)]
    for board in boards:
        await board.read()

    async def attempt(number: int) -> bool:
        (state,) = boards[number]
        mine = await claim(broker, boards[number], TENANT, state, double, f"w{number}", retention=600)
        return mine is not None

    assert sum(await asyncio.gather(*map(attempt, range(8)))) == 1


@pytest.mark.parametrize("together", [1, 3])
async def test_a_group_is_claimed_as_often_as_declared(broker: Broker, together: int) -> None:
    """Of claims of several jobs of a group in the same moment, exactly so many succeed."""
    grouped = job(name="grouped", group="g", together=together)(double.run)
    ids = [await start(broker, grouped, [1]) for _ in range(8)]
    boards = [Board(broker, TENANT, period=1, clock=asyncio.get_running_loop().time) for _ in ids]
    for board in boards:
        await board.read()

    async def attempt(number: int) -> bool:
        state = boards[number].get(ids[number])
        assert state is not None
        mine = await claim(broker, boards[number], TENANT, state, grouped, f"w{number}", retention=600)
        return mine is not None

    assert sum(await asyncio.gather(*map(attempt, range(8)))) == together


async def test_a_worker_that_lost_its_job_stores_nothing(broker: Broker, listener: Recorder) -> None:
    """A worker that was cut off from the broker wakes up to a job that another one has taken over: each item has one
    result, whichever worker it is of."""
    gate = Gate(concurrency=3)
    cut = CutOff(broker)
    job_id = await start(broker, gate.job, [1, 2, 3])
    await broker.subscribe(TENANT, [items_channel(job_id)])
    async with working(cut, gate.job):
        await until(lambda: gate.begun.total() == 3)
        cut.connected.clear()
        async with working(broker, gate.job):
            await until(lambda: gate.begun.total() == 6)
            gate.open.set()
            await until(lambda: cut.waiting >= 3)
            cut.connected.set()
            await ended(broker, job_id)
        await until(lambda: not gate.running)
    ends = Counter(event.content_id for event in listener.events if event.type == "processing_complete")
    assert ends == {item_id(job_id, number): 1 for number in (1, 2, 3)}


class CutOff:
    """A broker that a worker reaches only while `connected`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.connected = asyncio.Event()
        self.connected.set()
        self.waiting = 0
        self.refuses = False

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._broker, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            if self.refuses:
                raise BrokerUnavailable("it is away")
            self.waiting += 1
            await self.connected.wait()
            self.waiting -= 1
            return await called(*arguments, **options)

        return call


async def test_jobs_begin_by_priority_then_by_age(broker: Broker) -> None:
    """`high` comes before `normal` before `low`."""
    gate = Gate(group="one")
    gate.open.set()
    ids = [
        await start(broker, gate.job, [name], priority=priority)
        for name, priority in (("d", "low"), ("b", "normal"), ("c", "normal"), ("a", "high"))
    ]
    async with working(broker, gate.job):
        for job_id in ids:
            await ended(broker, job_id)
    assert gate.order == ["a", "b", "c", "d"]


async def test_of_a_group_one_job_runs_over_all_workers(broker: Broker) -> None:
    """Three workers never run two jobs of a group together."""
    gate = Gate(group="one")
    gate.open.set()
    ids = [await start(broker, gate.job, range(5)) for _ in range(6)]
    timing = replace_lease(WAIT_SECONDS)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(working(broker, gate.job, timing=timing))
        for job_id in ids:
            await ended(broker, job_id)
    assert (gate.most, gate.begun.total()) == (1, 30)


def replace_lease(seconds: float, grace: float = FAST.grace) -> Timing:
    """The periods of the tests, with another lease: no worker is taken for dead."""
    return Timing(look=FAST.look, report=FAST.report, beat=FAST.beat, lease=seconds, grace=grace)


async def test_a_pace_holds_over_jobs_and_workers(broker: Broker) -> None:
    """Before each item there is the pause, also where another job or worker begins."""
    loop, times = asyncio.get_running_loop(), list[float]()

    @job(pace=0.05, concurrency=5)
    async def paced(item: Item) -> None:
        times.append(loop.time())

    timing = replace_lease(WAIT_SECONDS)
    began = loop.time()
    ids = [await start(broker, paced, range(3)) for _ in range(3)]
    async with working(broker, paced, timing=timing), working(broker, paced, timing=timing):
        for job_id in ids:
            await ended(broker, job_id)
    assert len(times) == 9
    assert max(times) - began >= 9 * 0.05


async def test_a_running_job_is_cancelled(broker: Broker) -> None:
    """Its running items are ended, the waiting ones do not begin, and all of them are over."""
    gate = Gate(concurrency=2)
    gate.let = {1}
    job_id = await start(broker, gate.job, [1, 2, 3, 4])
    async with working(broker, gate.job):
        await until(lambda: gate.running == 2)
        await broker.cancel(TENANT, JOBS, job_id, CancelRequest(by=None, at=timestamp(), reason="enough"))
        state = await ended(broker, job_id)
    assert (state.phase, state.data["error_code"]) == (Phase.FAILED, "cancelled")
    assert state.data["error_message"] == "The work was cancelled: enough"
    assert (gate.running, gate.begun[4]) == (0, 0)
    assert (state.data["current"], state.data["failed"]) == (4, 3)


async def test_a_waiting_job_is_cancelled_while_its_group_is_busy(broker: Broker) -> None:
    """It ends without waiting for its turn."""
    gate = Gate(group="one")
    first = await start(broker, gate.job, [1])
    async with working(broker, gate.job):
        await until(lambda: gate.running)
        second = await start(broker, gate.job, [2])
        await broker.cancel(TENANT, JOBS, second, CancelRequest(by=None, at=timestamp(), reason=None))
        assert (await ended(broker, second)).data["error_code"] == "cancelled"
        gate.open.set()
        assert (await ended(broker, first)).phase is Phase.COMPLETED
    assert gate.begun == {1: 1}


async def test_a_worker_that_stops_gives_its_jobs_back(broker: Broker) -> None:
    """It finishes the items that run, and another worker takes the rest immediately."""
    gate = Gate()
    job_id = await start(broker, gate.job, [1, 2, 3])
    async with working(broker, gate.job) as worker:
        await until(lambda: gate.running)
        worker.stop()
        gate.open.set()
        with anyio.fail_after(WAIT_SECONDS):
            while (state := await job_state(broker, job_id)) is None or state.holder is not None:
                await anyio.sleep(0.01)
    assert len([item for item in (await items(broker, job_id)).values() if item["status"] == "complete"]) == 1
    async with working(broker, gate.job, timing=replace_lease(3600)):
        assert (await ended(broker, job_id)).phase is Phase.COMPLETED
    assert gate.begun == {1: 1, 2: 1, 3: 1}


async def test_a_worker_stops_while_the_broker_is_away(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for the broker to come back; another worker takes the job over."""
    monkeypatch.setattr("statushub.producers.jobs.worker.END_SECONDS", 0.0)
    gate = Gate()
    cut = CutOff(broker)
    job_id = await start(broker, gate.job, [1])
    worker = Worker(cut, [gate.job], tenants=(TENANT,), timing=replace_lease(3600, grace=0.1), exclusive=True)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(worker.run())
        await until(lambda: gate.running)
        cut.refuses = True
        worker.stop()
        with anyio.fail_after(WAIT_SECONDS):
            await task
    gate.open.set()
    async with working(broker, gate.job, exclusive=True):
        assert (await ended(broker, job_id)).phase is Phase.COMPLETED


async def test_an_item_that_ends_its_workers_fails_in_the_end(broker: Broker) -> None:
    """An item that was begun far more often than it failed is not tried for ever."""
    job_id = await start(broker, double, [1, 2])
    said = {"status": "processing", "input": 1, "tries": double.retry.tries + CRASHES_MAX}
    await broker.publish(TENANT, [item_publication(job_id, 1, said, attempt=1, seq=1)])
    async with working(broker, double):
        state = await ended(broker, job_id)
    assert (state.data["current"], state.data["failed"]) == (2, 1)
    assert await results(broker, job_id) == [None, 4]


async def test_items_are_found_when_the_job_begins(broker: Broker) -> None:
    """A job that is started without items asks its own function, with its parameters."""

    async def find(params: Any) -> Any:
        return range(params["count"])

    found = job(name="found", items=find)(double.run)
    async with working(broker, found):
        job_id = await start(broker, found, params={"count": 4})
        assert (await ended(broker, job_id)).data["total"] == 4
    assert await results(broker, job_id) == [0, 2, 4, 6]


async def test_a_job_whose_items_cannot_be_found_fails(broker: Broker) -> None:
    """The error says why."""

    async def find(params: Any) -> Any:
        raise OSError("the database is away")

    lost = job(name="lost", items=find)(double.run)
    async with working(broker, lost):
        state = await ended(broker, await start(broker, lost))
    assert (state.phase, state.data["error_message"]) == (Phase.FAILED, "the database is away")


async def test_items_are_exact_after_a_crash_amid_storing_them(broker: Broker) -> None:
    """What dead workers have stored of a job's items, or removed, is replaced by what the next one finds."""
    answers = [["a", "b", "c", "d"], ["k"], ["x", "y", "z"]]

    async def find(params: Any) -> Any:
        return answers.pop(0)

    @job(items=find)
    async def echo(item: Item) -> Any:
        return item.input

    job_id = await start(broker, echo)
    for moment in ("publish", "remove"):
        half = HalfStored(broker, moment)
        async with working(half, echo, exclusive=True):
            await until(lambda: half.reached)  # noqa: B023 - called only here
    async with working(broker, echo, exclusive=True):
        state = await ended(broker, job_id)
    assert (state.data["total"], state.data["current"]) == (3, 3)
    assert await results(broker, job_id) == ["x", "y", "z"]


class HalfStored(CutOff):
    """A broker that answers nothing any more once it has stored items, or removed some."""

    def __init__(self, broker: Broker, moment: str) -> None:
        super().__init__(broker)
        self.reached = False
        self._moment = moment

    def __getattr__(self, name: str) -> Any:
        called = super().__getattr__(name)

        async def call(*arguments: Any, **options: Any) -> Any:
            answer = await called(*arguments, **options)
            if name == self._moment and (name == "remove" or arguments[1][0].channel != JOBS):
                self.reached = True
                self.connected.clear()
                await asyncio.Event().wait()
            return answer

        return call


async def test_an_old_job_is_forgotten_with_its_items(broker: Broker) -> None:
    """`keep` seconds after its end nothing is left of it."""
    brief = job(name="brief", keep=0)(double.run)
    async with working(broker, brief):
        job_id = await start(broker, brief, [1, 2])
        with anyio.fail_after(WAIT_SECONDS):
            while await jobs_of(broker):
                await anyio.sleep(0.01)
        assert await items(broker, job_id) == {}


async def test_jobs_of_others_are_left_alone(broker: Broker) -> None:
    """A job whose function a worker does not have waits for one that has it."""
    job_id = await start(broker, "other", [1])
    async with working(broker, double):
        await ended(broker, await start(broker, double, [1]))
        state = await job_state(broker, job_id)
        assert state is not None
        assert (state.phase, state.claim) == (Phase.PENDING, 0)


@pytest.mark.parametrize(
    "said",
    [
        {"total": 10**9},
        {"runner": {"claim": 2**40}},
        {"params": []},
    ],
)
async def test_what_can_be_no_job_is_left_alone(broker: Broker, said: dict[str, Any]) -> None:
    """A foreign publisher in the channel neither keeps a worker busy nor ends it."""
    data = {"status": "pending", "job": "double", **said}
    await broker.publish(TENANT, [publication(channel=JOBS, content_id="foreign", data=data)])
    before = (await broker.lookup(TENANT, ["foreign"])).events
    async with working(broker, double):
        assert (await ended(broker, await start(broker, double, [1]))).phase is Phase.COMPLETED
    assert (await broker.lookup(TENANT, ["foreign"])).events == before


TWO = datetime(2026, 11, 30, 17, 0, tzinfo=UTC)
"""02:00 in Seoul."""


def nightly(missed: str = "run") -> Job:
    return job(name="nightly", schedule="0 2 * * *", timezone="Asia/Seoul", missed=missed)(double.run)  # type: ignore[arg-type]


def schedules(broker: Broker, declared: Job) -> Schedules:
    return Schedules(broker, TENANT, [declared], retention={declared.name: 600})


async def test_a_schedule_starts_one_job_however_many_workers_look(broker: Broker) -> None:
    """Five workers that look in the same moment, and new ones later, start one job at each time."""
    many = [schedules(broker, nightly()) for _ in range(5)]
    await asyncio.gather(*(each.look(TWO - timedelta(hours=1)) for each in many))
    assert await jobs_of(broker) == []
    await asyncio.gather(*(each.look(TWO) for each in many))
    await schedules(broker, nightly()).look(TWO + timedelta(seconds=1))
    assert [state.id for state in await jobs_of(broker)] == ["nightly-20261130T1700Z"]
    await many[0].look(TWO + timedelta(days=1, seconds=3))
    assert len(await jobs_of(broker)) == 2


async def test_a_clock_that_is_set_back_starts_no_job_again(broker: Broker) -> None:
    """What is done stays done, also where the job itself was forgotten."""
    await schedules(broker, nightly()).look(TWO - timedelta(hours=1))
    await schedules(broker, nightly()).look(TWO)
    await broker.remove(TENANT, JOBS)
    for minutes in (-30, 0, 1):
        await schedules(broker, nightly()).look(TWO + timedelta(minutes=minutes))
    assert await jobs_of(broker) == []
    (event,) = (await broker.lookup(TENANT, [schedule_id("nightly")])).events
    assert event is not None
    assert {name: decode(event.data)[name] for name in ("last", "next")} == {
        "last": "2026-11-30T17:00:00.000Z",
        "next": "2026-12-01T17:00:00.000Z",
    }


@pytest.mark.parametrize(("missed", "started"), [("run", ["nightly-20261204T1700Z"]), ("skip", [])])
async def test_missed_times_are_made_up_for_or_skipped(broker: Broker, missed: str, started: list[str]) -> None:
    """After five days without a worker one job starts, or none, and the next time is as planned."""
    declared = nightly(missed)
    await schedules(broker, declared).look(TWO - timedelta(hours=1))
    late = schedules(broker, declared)
    await late.look(TWO + timedelta(days=4, hours=8))
    assert [state.id for state in await jobs_of(broker)] == started
    await late.look(TWO + timedelta(days=5, seconds=10))
    assert "nightly-20261205T1700Z" in [state.id for state in await jobs_of(broker)]


async def test_a_crash_between_the_job_and_the_mark_doubles_nothing(broker: Broker) -> None:
    """The worker that dies after it has started the job leaves it to the next one to say that it has."""
    await schedules(broker, nightly()).look(TWO - timedelta(hours=1))
    dying = Schedules(NoMark(broker), TENANT, [nightly()], retention={"nightly": 600})
    with pytest.raises(ConnectionError):
        await dying.look(TWO)
    await schedules(broker, nightly()).look(TWO + timedelta(seconds=2))
    assert len(await jobs_of(broker)) == 1


class NoMark(CutOff):
    """A broker that is lost when a schedule is to be marked."""

    def __getattr__(self, name: str) -> Any:
        called = super().__getattr__(name)

        async def call(*arguments: Any, **options: Any) -> Any:
            if name == "publish" and arguments[1][0].channel != JOBS:
                raise ConnectionError
            return await called(*arguments, **options)

        return call
