"""What a worker knows of a tenant's jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from statushub.hub.model.cursor import Cursor
from statushub.producers.jobs.names import JOBS
from statushub.producers.jobs.state import JobState, read_job
from statushub.producers.jobs.store import Store


class Board:
    """The jobs of a tenant, and for how long each was seen unchanged.

    That time counts only while this worker reads: it runs by its own monotonic clock, and one read adds at most twice
    the period of reading, so that neither an outage of the broker nor a pause of this process makes others look dead.
    """

    def __init__(self, store: Store, tenant: str, *, period: float, clock: Callable[[], float]) -> None:
        self._store = store
        self._tenant = tenant
        self._period = period
        self._clock = clock
        self._cursor: Cursor | None = None
        self._jobs: dict[str, JobState] = {}
        self._still: dict[str, float] = {}
        self._read_at: float | None = None

    def __iter__(self) -> Iterator[JobState]:
        return iter(self._jobs.values())

    def get(self, job_id: str) -> JobState | None:
        """The job with this id."""
        return self._jobs.get(job_id)

    def still(self, job_id: str) -> float:
        """For how many seconds the job has not changed, as far as this worker has watched it."""
        return self._still.get(job_id, 0.0)

    async def read(self) -> None:
        """Take in what has changed. Raises `BrokerUnavailable`."""
        try:
            read = await self._store.changes(self._tenant, JOBS, self._cursor)
        except BaseException:
            self._read_at = None
            raise
        if self._cursor is None or read.whole or read.cursor.epoch != self._cursor.epoch:
            self._jobs.clear()
            self._still.clear()
        self._cursor = read.cursor
        now = self._clock()
        passed = 0.0 if self._read_at is None else min(now - self._read_at, 2 * self._period)
        self._read_at = now
        for job_id in self._jobs:
            self._still[job_id] = self.still(job_id) + passed
        for event in read.events:
            job = None if event.removed else read_job(event)
            self._still.pop(event.content_id, None)
            self._jobs.pop(event.content_id, None)
            if job is not None:
                self._jobs[job.id] = job
