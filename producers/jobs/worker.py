"""A worker: finds jobs, claims them, runs them, starts what is scheduled, and forgets what is old."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.vocabulary import Phase
from statushub.producers.jobs import claims
from statushub.producers.jobs.board import Board
from statushub.producers.jobs.definition import PRIORITIES, Job
from statushub.producers.jobs.execution import Execution
from statushub.producers.jobs.names import JOBS, items_channel
from statushub.producers.jobs.schedules import Schedules
from statushub.producers.jobs.state import JobState
from statushub.producers.jobs.store import Store
from statushub.producers.jobs.timing import Timing

SLOTS: Final = 10
"""Jobs that one worker runs together."""

RUNNING_RETENTION: Final = 30 * 24 * 3600.0
"""How long a job and its items are kept beside `keep` where no worker is there to remove them: a job may take as
long."""

END_SECONDS: Final = 5.0
"""How long a worker that stops waits, beyond `grace`, for the broker to take the last events. A job that was not given
back is taken over a lease later."""

AVOID_SECONDS: Final = 30.0
"""How long a worker leaves a job alone that has failed in it for a reason of the worker's own."""

logger = logging.getLogger(__name__)


class Worker:
    """Runs the jobs of some tenants that it has the functions of. `exclusive` says that there is no other worker, so
    that a job which another one holds was left behind by a process that is gone."""

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        *,
        tenants: Sequence[str] = (DEFAULT_TENANT,),
        exclusive: bool = False,
        slots: int = SLOTS,
        timing: Timing = Timing(),
    ) -> None:
        # Without the name of the machine: all who may read a job read who holds it.
        self.name = f"worker-{secrets.token_hex(4)}"
        self._store = store
        self._jobs = {job.name: job for job in jobs}
        self._retention = {job.name: job.keep + RUNNING_RETENTION for job in jobs}
        self._slots = slots
        self._timing = timing
        self._lease = 0.0 if exclusive else timing.lease
        self._boards = {
            tenant: Board(store, tenant, period=timing.look, clock=time.monotonic) for tenant in dict.fromkeys(tenants)
        }
        self._schedules = {
            tenant: Schedules(store, tenant, [*jobs], retention=self._retention) for tenant in self._boards
        }
        self._running: dict[tuple[str, str], Execution] = {}
        self._avoided: dict[tuple[str, str], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._away = False

    def stop(self) -> None:
        """Let `run` return: jobs are given back when their running items have ended, or after `grace` seconds."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`, or until cancelled."""
        logger.info("%s runs %s", self.name, ", ".join(self._jobs))
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping.is_set():
                for tenant, board in self._boards.items():
                    await self._look(tenant, board, tasks)
                try:
                    async with asyncio.timeout(self._timing.look):
                        await self._stopping.wait()
                except TimeoutError:
                    continue
            for execution in self._running.values():
                execution.stop()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._timing.grace + END_SECONDS)
            for task in self._tasks:
                task.cancel()

    async def _look(self, tenant: str, board: Board, tasks: asyncio.TaskGroup) -> None:
        try:
            await self._schedules[tenant].look(datetime.now(UTC))
            await board.read()
            for job in [*board]:
                execution = self._running.get((tenant, job.id))
                if execution is not None and job.cancel is not None:
                    execution.cancel(job.cancel)
            await self._claim(tenant, board, tasks)
            await self._forget(tenant, board)
        except BrokerUnavailable as error:
            if not self._away:
                logger.warning("%s; trying again", error)
            self._away = True
        except Exception:
            logger.exception("%s: this look at the jobs of %s failed", self.name, tenant)
        else:
            self._away = False

    async def _claim(self, tenant: str, board: Board, tasks: asyncio.TaskGroup) -> None:
        for candidate in sorted((it for it in board if self._free(tenant, board, it)), key=_turn):
            if len(self._running) >= self._slots:
                return
            # Read anew by the claims before it.
            state = board.get(candidate.id)
            if state is None or not self._free(tenant, board, state):
                continue
            job = self._jobs[state.job]
            retention = self._retention[state.job]
            try:
                mine = await claims.claim(self._store, board, tenant, state, job, self.name, retention=retention)
            except Invalid as error:
                logger.warning("%s cannot be run: %s", state.id, error)
                self._avoided[tenant, state.id] = time.monotonic() + AVOID_SECONDS
                continue
            if mine is not None:
                key = (tenant, mine.id)
                self._running[key] = Execution(self._store, tenant, job, mine, self._timing, retention)
                task = tasks.create_task(self._execute(key))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            # Also where another worker has it: the next of its group is not to begin in its place.
            await board.read()

    def _free(self, tenant: str, board: Board, state: JobState) -> bool:
        """Whether the job may be claimed."""
        key = (tenant, state.id)
        if state.phase.terminal or state.job not in self._jobs or key in self._running:
            return False
        if self._avoided.get(key, 0.0) > time.monotonic():
            return False
        if state.holder not in (None, self.name) and board.still(state.id) < self._lease:
            return False
        waits = state.phase is not Phase.PROCESSING and state.cancel is None
        return not (waits and claims.occupied(self._jobs[state.job], board, but=state.id))

    async def _execute(self, key: tuple[str, str]) -> None:
        try:
            await self._running[key].run()
        except Exception:
            logger.exception("%s: left alone for %g s", key[1], AVOID_SECONDS)
            self._avoided[key] = time.monotonic() + AVOID_SECONDS
        finally:
            del self._running[key]

    async def _forget(self, tenant: str, board: Board) -> None:
        """Remove one job whose time to be kept is over, its items first."""
        now = datetime.now(UTC)
        for state in board:
            job = self._jobs.get(state.job)
            if job is not None and state.phase.terminal and _old(state, job, now):
                await self._store.remove(tenant, items_channel(state.id))
                await self._store.remove(tenant, JOBS, [state.id])
                return


def _turn(state: JobState) -> tuple[bool, int, str, int]:
    """The order in which jobs are claimed: those that run already, then by priority, then by age."""
    priority = PRIORITIES.index(state.priority) if state.priority in PRIORITIES else len(PRIORITIES)
    return (state.phase is not Phase.PROCESSING, priority, state.created_at, state.offset)


def _old(state: JobState, job: Job, now: datetime) -> bool:
    try:
        end = datetime.fromisoformat(state.ended_at or str(state.data.get("timestamp")))
    except ValueError:
        return False
    return end.tzinfo is not None and now - end > timedelta(seconds=job.keep)
