"""What a job is: its function, and how it is to be run. `@job(…)` declares one."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.producers.jobs.item import Item
from statushub.producers.jobs.log import PLAIN, JobLog
from statushub.producers.jobs.names import check_job_name
from statushub.producers.jobs.retry import Retry
from statushub.producers.jobs.schedule import Schedule
from statushub.producers.jobs.state import JobState
from statushub.producers.steps import checked

KEEP_SECONDS: Final = 7 * 24 * 3600.0
"""How long a job and its items are kept after its end: over a weekend."""

CONCURRENCY_MAX: Final = 1_000
"""Most items of a job that run together in one process."""

Priority = Literal["high", "normal", "low"]
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)

Missed = Literal["run", "skip"]

Run = Callable[[Item], Awaitable[Any]]
Items = Callable[[Mapping[str, Any]], Awaitable[Iterable[Any]]]
Together = int | Callable[[Sequence[JobState]], int]
"""How many jobs of a group run at a time, or what tells that from all jobs of the tenant."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job that `job` has declared and checked."""

    name: str
    run: Run
    steps: Mapping[str, float] = {}
    concurrency: int = 1
    pace: float = 0.0
    retry: Retry = Retry()
    priority: Priority = "normal"
    group: str | None = None
    together: Together = 1
    timeout: float | None = None
    partial: bool = True
    keep: float = KEEP_SECONDS
    schedule: Schedule | None = None
    missed: Missed = "run"
    items: Items | None = None
    log: JobLog = PLAIN


def job(
    *,
    name: str | None = None,
    steps: Mapping[str, float] | None = None,
    concurrency: int = 1,
    pace: float = 0.0,
    retry: Retry = Retry(),
    priority: Priority = "normal",
    group: str | None = None,
    together: Together = 1,
    timeout: float | None = None,
    partial: bool = True,
    keep: float = KEEP_SECONDS,
    schedule: str | None = None,
    timezone: str = "UTC",
    missed: Missed = "run",
    items: Items | None = None,
    log: JobLog = PLAIN,
) -> Callable[[Run], Job]:
    """Declare an asynchronous function over items as a job, by default with the function's name.

    `steps` are the parts of the work on an item, each with its part of the time in any unit. `concurrency` is how many
    items run together, `pace` the least number of seconds between the beginnings of two. Of the jobs of a `group` one
    runs at a time, or as many as `together` says, over all workers; a job with a `pace` has a group of its own, if it
    names none, so that its pace holds over all workers. An item that fails is tried again as `retry` says, and each try
    ends after `timeout` seconds. With `partial`, a job in which an item failed is completed if any other succeeded,
    without it is failed. A job and its items are forgotten `keep` seconds after its end.

    `schedule` is a cron expression in `timezone`. Where no worker ran at a time of it, the job starts as soon as one
    runs (`missed="run"`, once however many times were missed) or not (`"skip"`). `items` is an asynchronous function
    from a job's parameters to its items, for jobs that are started without any. `log` has the words of its log lines.

    Raises `Invalid` naming the argument at fault.
    """

    def declare(run: Run) -> Job:
        if not inspect.iscoroutinefunction(run):
            raise Invalid("a job must be an asynchronous function: async def", field="run")
        if items is not None and not inspect.iscoroutinefunction(items):
            raise Invalid("items must be an asynchronous function: async def", field="items")
        called = check_job_name(run.__name__ if name is None else name)
        return Job(
            name=called,
            run=run,
            steps=checked(steps) if steps else {},
            concurrency=concurrency,
            pace=pace,
            retry=retry,
            priority=priority,
            group=group if group or not pace else called,
            together=together,
            timeout=timeout,
            partial=partial,
            keep=keep,
            schedule=None if schedule is None else Schedule(schedule, timezone),
            missed=missed,
            items=items,
            log=log,
        )

    if type(concurrency) is not int or not 1 <= concurrency <= CONCURRENCY_MAX:
        raise Invalid(f"concurrency must be a whole number from 1 to {CONCURRENCY_MAX}", field="concurrency")
    for field, value in (("pace", pace), ("keep", keep)):
        if not 0 <= value < math.inf:
            raise Invalid(f"{field} must be a number of seconds, at least 0", field=field)
    if timeout is not None and not 0 < timeout < math.inf:
        raise Invalid("timeout must be a number of seconds above 0", field="timeout")
    check_priority(priority)
    if missed not in get_args(Missed):
        raise Invalid("missed must be 'run' or 'skip'", field="missed")
    if group is not None:
        check_job_name(group, "group")
    if together != 1 and (group is None or pace):
        raise Invalid("together needs a group, and no pace, which holds for one job at a time", field="together")
    if isinstance(together, int) and (type(together) is not int or together < 1):
        raise Invalid("together must be a whole number of at least 1", field="together")
    retry.check()
    return declare


def check_priority(value: str) -> Priority:
    """Return `value` if it is a priority; else raise `Invalid`."""
    for known in PRIORITIES:
        if value == known:
            return known
    raise Invalid(f"priority must be one of {', '.join(PRIORITIES)}", field="priority")
