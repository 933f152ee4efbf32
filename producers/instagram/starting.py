"""Starting an execution, where the pool has room for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from statushub.hub.model.event import decode
from statushub.hub.model.publication import Publication
from statushub.producers.instagram import pool
from statushub.producers.instagram.executions import Execution, ExecutionStore, execution_of
from statushub.producers.instagram.params import JOB, MANUAL, Params
from statushub.producers.jobs.names import JOBS, new_job_id
from statushub.producers.jobs.start import new_job
from statushub.producers.jobs.state import JobState, read_job
from statushub.producers.jobs.store import Store

WAITING = "waiting"
"""The status of an execution that no worker has begun."""


class Refused(Exception):
    """Raised where the hub stores no further job."""


class Starter:
    """Starts executions of a tenant."""

    def __init__(self, store: Store, executions: ExecutionStore, tenant: str) -> None:
        self._store = store
        self._executions = executions
        self._tenant = tenant

    async def start(self, *, months: int, user_no: int | None) -> str:
        """Start the sync of a user, or of all, by hand; returns its id. Raises `pool.Full`, `Refused`, what
        `ExecutionStore` raises, and `BrokerUnavailable`."""
        job_id = new_job_id(JOB)

        async def admit(number: int) -> tuple[Execution, str]:
            place = pool.place(await self._jobs(job_id), number)
            params = Params(type=MANUAL, months=months, user_no=user_no, place=place)
            said = self._publication(job_id, params)
            (receipt,) = await self._store.publish(self._tenant, [said])
            if not receipt.accepted:
                raise Refused(str(receipt.reason))
            data: dict[str, Any] = decode(said.data)
            return execution_of(job_id, data, params, WAITING), job_id

        return await self._executions.admitted(admit)

    async def _jobs(self, but: str) -> Sequence[JobState]:
        """The jobs of the tenant, without this one, which may be there from an attempt that the database has failed."""
        read = await self._store.changes(self._tenant, JOBS)
        found = (None if event.removed else read_job(event) for event in read.events)
        return [job for job in found if job is not None and job.id != but]

    @staticmethod
    def _publication(job_id: str, params: Params) -> Publication:
        # What begins beyond the core of the pool does not wait for those that wait.
        urgent = params.place.width > pool.CORE and not params.place.waits
        _, [said] = new_job(
            JOB, params=msgspec.to_builtins(params), priority="high" if urgent else "normal", job_id=job_id
        )
        return said
