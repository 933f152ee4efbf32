"""Jobs under test: workers in this process, started on any broker, with short periods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from statushub.hub.model.event import Event, decode
from statushub.producers.jobs.definition import Job
from statushub.producers.jobs.names import JOBS, items_channel
from statushub.producers.jobs.start import new_job
from statushub.producers.jobs.state import JobState, read_job
from statushub.producers.jobs.store import Store
from statushub.producers.jobs.timing import Timing
from statushub.producers.jobs.worker import Worker
from tests.support.waiting import WAIT_SECONDS

TENANT: Final = "acme"

FAST: Final = Timing(look=0.02, report=0.02, beat=0.1, lease=1.0, grace=WAIT_SECONDS)
"""A lease of a second: a worker that looks dead on a busy machine is superseded, and no test may mind."""

TINY: Final = 0.01


@asynccontextmanager
async def working(store: Store, *jobs: Job, timing: Timing = FAST, **options: Any) -> AsyncIterator[Worker]:
    """A worker for the block, which ends as one that is killed does: without a word."""
    worker = Worker(store, jobs, tenants=(TENANT,), timing=timing, **options)
    task = asyncio.ensure_future(worker.run())
    try:
        yield worker
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1)


async def start(store: Store, job: Job | str, items: Iterable[Any] | None = None, **options: Any) -> str:
    """Start a job; returns its id."""
    job_id, publications = new_job(job, items, **options)
    receipts = await store.publish(TENANT, publications)
    assert all(receipt.accepted for receipt in receipts)
    return job_id


async def job_state(store: Store, job_id: str) -> JobState | None:
    """The job as it is stored."""
    (event,) = (await store.lookup(TENANT, [job_id])).events
    return None if event is None or event.removed else read_job(event)


async def ended(store: Store, job_id: str) -> JobState:
    """The job, once it has ended."""
    with anyio.fail_after(WAIT_SECONDS):
        while True:
            state = await job_state(store, job_id)
            if state is not None and state.phase.terminal:
                return state
            await anyio.sleep(TINY)


async def items(store: Store, job_id: str) -> Mapping[int, Mapping[str, Any]]:
    """The data of a job's items, by their numbers."""
    return {number: decode(event.data) for number, event in (await item_events(store, job_id)).items()}


async def item_events(store: Store, job_id: str) -> Mapping[int, Event]:
    """The last event of each item, by its number."""
    read = await store.changes(TENANT, items_channel(job_id))
    return {int(event.content_id.rpartition("/")[2]): event for event in read.events if not event.removed}


async def results(store: Store, job_id: str) -> list[Any]:
    """The results of a job's items, in their order."""
    found = await items(store, job_id)
    return [found[number].get("result") for number in sorted(found)]


async def jobs_of(store: Store) -> list[JobState]:
    """All jobs of the tenant."""
    read = await store.changes(TENANT, JOBS)
    return [job for event in read.events if not event.removed and (job := read_job(event)) is not None]
