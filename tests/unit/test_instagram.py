"""Parts of the sync of Instagram without I/O."""

from __future__ import annotations

import random
from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec
import pytest

from statushub.hub.api.instagram import schedule_text
from statushub.hub.model.vocabulary import Phase
from statushub.producers.instagram import pool
from statushub.producers.instagram.names import WorkerNames
from statushub.producers.instagram.params import JOB, Params, Place, read_params
from statushub.producers.instagram.windows import WINDOW, months_before, windows
from statushub.producers.jobs.state import JobState

CORE, QUEUE, MOST = 5, 25, 10


class Executor:
    """Java's ThreadPoolTaskExecutor with core 5, queue 25 and maximum 10, whose threads beyond the core end as soon as
    they find nothing to do."""

    def __init__(self) -> None:
        self.threads = 0
        self.running: set[int] = set()
        self.queue: deque[int] = deque()

    def submit(self, task: int) -> bool:
        """Take a task; False where it is rejected."""
        if self.threads < CORE:
            self.threads += 1
            self.running.add(task)
        elif self.threads > len(self.running):
            self.running.add(task)
        elif len(self.queue) < QUEUE:
            self.queue.append(task)
        elif self.threads < MOST:
            self.threads += 1
            self.running.add(task)
        else:
            return False
        return True

    def finish(self, task: int) -> None:
        """A task has ended; its thread takes the next one."""
        self.running.remove(task)
        if self.queue:
            self.running.add(self.queue.popleft())
        elif self.threads > CORE:
            self.threads -= 1


class Pool:
    """The executions of the hub, with workers that take what they may."""

    def __init__(self) -> None:
        self.jobs: dict[int, JobState] = {}
        self.number = 0

    @property
    def running(self) -> set[int]:
        return {task for task, it in self.jobs.items() if it.phase is Phase.PROCESSING}

    def submit(self, task: int) -> bool:
        self.number += 1
        try:
            place = pool.place(self.jobs.values(), self.number)
        except pool.Full:
            return False
        self.jobs[task] = state(task, place)
        self.work()
        return True

    def finish(self, task: int) -> None:
        self.jobs[task] = msgspec.structs.replace(self.jobs[task], phase=Phase.COMPLETED)
        self.work()

    def work(self) -> None:
        """As workers do: the urgent ones first, and then by age."""
        while len(self.running) < pool.width(self.jobs.values()):
            waiting = [task for task, it in self.jobs.items() if it.phase is Phase.PENDING]
            if not waiting:
                return
            urgent = [task for task in waiting if not self.jobs[task].params["place"]["waits"]]
            task = min(urgent or waiting)
            self.jobs[task] = msgspec.structs.replace(self.jobs[task], phase=Phase.PROCESSING)


def state(task: int, place: Place, *, job: str = JOB) -> JobState:
    return JobState(
        id=f"instagram_{task}",
        offset=task,
        phase=Phase.PENDING,
        job=job,
        priority="normal",
        group=None,
        total=None,
        params=msgspec.to_builtins(Params(months=6, place=place)),
        created_at="",
        ended_at=None,
        claim=0,
        holder=None,
        attempt=1,
        cancel=None,
        data={},
    )


@pytest.mark.parametrize("seed", range(20))
def test_executions_run_wait_and_are_refused_as_in_the_pool_that_the_teams_know(seed: int) -> None:
    """The same ones run, wait and are refused as in Java's executor, whatever comes and ends in which order."""
    chance = random.Random(seed)
    executor, here = Executor(), Pool()
    for task in range(400):
        # Now rather more that comes, now rather more that ends.
        coming = 0.8 if task // 60 % 2 == 0 else 0.35
        if chance.random() < coming or not executor.running:
            assert here.submit(task) == executor.submit(task)
        else:
            ended = chance.choice(sorted(executor.running))
            executor.finish(ended)
            here.finish(ended)
        assert here.running == executor.running


def test_five_run_twentyfive_wait_five_more_run_and_the_next_one_is_refused() -> None:
    """As the documents of the teams have it."""
    here = Pool()
    assert [here.submit(task) for task in range(36)] == [True] * 35 + [False]
    assert here.running == {*range(5), *range(30, 35)}


def test_what_is_no_execution_takes_no_place() -> None:
    """Other jobs of the tenant do not count, and one with parameters of its own waits."""
    others = [state(task, Place(), job="other") for task in range(100)]
    foreign = msgspec.structs.replace(state(1, Place()), params={"months": "many", "place": 7})
    assert pool.place([*others, foreign], 1) == Place(number=1, width=CORE, waits=False)
    scheduled = [msgspec.structs.replace(state(task, Place()), params={}) for task in range(5)]
    assert pool.place(scheduled, 1) == Place(number=1, width=CORE, waits=True)


NOW: Final = datetime(2026, 8, 31, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("months", "expected"),
    [(1, (2026, 7, 31)), (2, (2026, 6, 30)), (6, (2026, 2, 28)), (8, (2025, 12, 31)), (12, (2025, 8, 31))],
)
def test_months_back_are_those_of_the_calendar(months: int, expected: tuple[int, int, int]) -> None:
    """In a shorter month it is its last day."""
    assert months_before(NOW, months) == datetime(*expected, tzinfo=UTC)


@pytest.mark.parametrize("months", range(1, 13))
def test_windows_cover_the_time_without_a_gap_and_none_is_too_long(months: int) -> None:
    """They begin at times that do not depend on the day, so that a value is stored once."""
    since = months_before(NOW, months)
    found = [*windows(since, NOW)]
    assert found[0][0] == since.replace(day=1)
    assert found[-1][1] == NOW
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    assert all(timedelta(0) < end - start <= WINDOW for start, end in found)
    tomorrow = [*windows(months_before(NOW + timedelta(days=1), months), NOW + timedelta(days=1))]
    assert {start for start, _ in tomorrow} - {start for start, _ in found} <= {datetime(2026, 9, 1, tzinfo=UTC)}


def test_parameters_of_an_execution_are_read_and_foreign_ones_refused() -> None:
    """One that the schedule starts has none, and gets the usual months."""
    assert read_params({}, 1) == Params(months=1)
    assert read_params({"type": "manual_async", "months": 3, "userNo": 7}, 1) == Params(
        type="manual_async", months=3, user_no=7
    )
    for foreign in ({"months": 13}, {"userNo": 0}, {"userNo": "7"}, {"months": 2**70}):
        with pytest.raises(ValueError, match="parameters"):
            read_params(foreign, 1)


def test_an_execution_keeps_its_name_while_it_runs() -> None:
    """Others get the lowest free number."""
    names = WorkerNames()
    with names.name("a") as first, names.name("b") as second:
        with names.name("a") as same:
            assert (first, second, same) == ("InstagramBatch-1", "InstagramBatch-2", "InstagramBatch-1")
        with names.name("c") as third:
            assert third == "InstagramBatch-3"
    with names.name("d") as again:
        assert again == "InstagramBatch-1"


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("02:00", "매일 새벽 2시"),
        ("00:30", "매일 밤 12시 30분"),
        ("09:05", "매일 오전 9시 5분"),
        ("12:00", "매일 오후 12시"),
        ("18:00", "매일 저녁 6시"),
        ("23:00", "매일 밤 11시"),
        ("off", "예약 없음"),
    ],
)
def test_a_schedule_is_said_in_korean(time: str, said: str) -> None:
    """As the old system said it."""
    assert schedule_text(time) == said
