"""Keeps the executions in the database as the hub has them.

Any number of processes do so: what they write is the same. A process that was away begins with all executions that the
hub still has, so that none is left out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.vocabulary import CANCELLED, Phase
from statushub.producers.instagram.executions import Execution, ExecutionStore, execution_of
from statushub.producers.instagram.params import JOB, read_params
from statushub.producers.jobs.names import JOBS
from statushub.producers.jobs.state import JobState, read_job
from statushub.producers.jobs.store import Store

LOOK_SECONDS: Final = 1.0
"""Between two looks: a job reports no more often."""

STATUS: Final = {
    Phase.IDLE: "waiting",
    Phase.PENDING: "waiting",
    Phase.PROCESSING: "running",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
}
"""The words for an execution, in rows and in answers."""

logger = logging.getLogger(__name__)


class History:
    """Writes the executions of a tenant."""

    def __init__(
        self,
        store: Store,
        executions: ExecutionStore,
        tenant: str,
        *,
        months: int,
        unavailable: type[Exception],
        period: float = LOOK_SECONDS,
    ) -> None:
        """`months` is how far back an execution goes that does not say so, `unavailable` what `executions` raise where
        the database is away, `period` the seconds between two looks."""
        self._store = store
        self._executions = executions
        self._tenant = tenant
        self._months = months
        self._unavailable = unavailable
        self._period = period
        self._cursor: Cursor | None = None
        self._known: set[str] = set()
        self._away = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except (BrokerUnavailable, self._unavailable) as error:
                if not self._away:
                    logger.warning("%s; the executions of the sync are written once it is back", error)
                self._away = True
            else:
                self._away = False
            await asyncio.sleep(self._period)

    async def look(self) -> None:
        """Write what has changed, and make the tables first, so that accounts can be stored in them. Raises
        `BrokerUnavailable` and `unavailable`; the next look makes up for it."""
        await self._executions.make()
        read = await self._store.changes(self._tenant, JOBS, self._cursor)
        whole = read.whole or self._cursor is None or read.cursor.epoch != self._cursor.epoch
        present: set[str] = set()
        for event in read.events:
            job = None if event.removed else read_job(event)
            if job is not None and job.job == JOB:
                present.add(job.id)
                execution = execution_of_job(job, self._months)
                if execution is not None:
                    await self._executions.save(execution)
                    self._known.add(job.id)
            elif event.removed and event.content_id in self._known:
                await self._lost(event.content_id)
        if whole:
            for job_id in self._known - present:
                await self._lost(job_id)
        self._cursor = read.cursor

    async def _lost(self, job_id: str) -> None:
        await self._executions.lost(job_id)
        self._known.discard(job_id)


def execution_of_job(job: JobState, months: int) -> Execution | None:
    """The execution that a job is; None where a foreign publisher stored there what can be none. `months` is how far
    back it goes where it does not say so."""
    try:
        params = read_params(job.params, months)
    except ValueError as error:
        logger.debug("%s: %s", job.id, error)
        return None
    status = "cancelled" if job.data.get("error_code") == CANCELLED else STATUS[job.phase]
    return execution_of(job.id, job.data, params, status)
