"""Running a job that this worker has claimed."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.errors import Invalid
from statushub.hub.model.publication import cancel_message
from statushub.hub.model.timestamp import timestamp, timestamp_at
from statushub.hub.model.vocabulary import CANCELLED, TIMEOUT, Phase
from statushub.producers.jobs.definition import Job
from statushub.producers.jobs.item import Item, PermanentFailure, RetryLater
from statushub.producers.jobs.ledger import Ledger, Lost
from statushub.producers.jobs.progress import Progress, ended
from statushub.producers.jobs.retry import JITTER
from statushub.producers.jobs.state import ITEMS_MAX, ItemState, JobState, new_item
from statushub.producers.jobs.store import Store
from statushub.producers.jobs.timing import Timing
from statushub.producers.values import plain

FRESH: Final = 2 / 3
"""The part of the lease after the last report in which an item may begin: later, another worker may take over."""

CANCEL_SECONDS: Final = 5.0
"""Between two cancellations of an item that does not end."""

CRASHES_MAX: Final = 20
"""How often the process may end during an item, beside its tries: one that takes up all memory would end every worker
for ever."""

REASON_CHARACTERS: Final = 1_000
"""Longest reason of a failure that is stored."""

logger = logging.getLogger(__name__)


class Execution:
    """Runs the items of a claimed job that are not done, reports it, and ends it.

    `run` returns when the job has ended, was given back or was lost. `cancel` and `stop` end it early.
    """

    def __init__(self, store: Store, tenant: str, job: Job, state: JobState, timing: Timing, retention: float) -> None:
        self._ledger = Ledger(store, tenant, state, retention=retention)
        self._tenant = tenant
        self._job = job
        self._state = state
        self._timing = timing
        self._total = state.total
        self._progress = Progress(job.steps, state.total or 0, time.monotonic)
        self._cancel = state.cancel
        self._stopping = False
        # Until then only the former holder's report is true.
        self._read = False
        self._beat_at = time.monotonic()
        # The last item of the group may have begun just now, in another worker.
        self._next_start = self._beat_at + job.pace
        self._log = job.log
        self._waiting: list[tuple[float, int, ItemState]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._over = asyncio.Event()

    def cancel(self, request: CancelRequest) -> None:
        """End the items and the job as cancelled."""
        self._cancel = request
        self._wake.set()

    def stop(self) -> None:
        """Begin no more items, and give the job back."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Run it."""
        try:
            await self._run()
        except* Lost:
            self._log.lost(self._state.id)

    async def _run(self) -> None:
        state, error = self._state, None
        async with asyncio.TaskGroup() as tasks:
            started = state.data.get("started_at") or timestamp()
            self._log.begun(state.id, goes_on=state.phase is not Phase.PENDING)
            await self._ledger.report(status="processing", started_at=started)
            tasks.create_task(self._keep_reporting())
            if self._total is None and self._cancel is None:
                error = await self._expand()
            if error is None:
                await self._work()
            # Not cancelled: what it has sent would be of unknown effect, and its connection be lost.
            self._over.set()
        if error is not None:
            logger.warning("%s: its items are not known", state.id, exc_info=error)
            await self._ledger.report(status="failed", ended_at=timestamp(), error_message=_reason(error))
            return
        if self._stopping and self._cancel is None and await self._undone():
            await self._ledger.release()
            self._log.released(state.id)
            return
        await self._end()

    async def _expand(self) -> Exception | None:
        """Find the job's items and store them; returns why that is impossible."""
        try:
            inputs = [None] if self._job.items is None else list(await self._job.items(self._state.params))
            check_count(len(inputs))
            await self._ledger.create(inputs)
        except Lost:
            raise
        except Exception as error:  # noqa: BLE001 - the program's own function may raise anything
            return error
        self._total = len(inputs)
        self._progress = Progress(self._job.steps, self._total, time.monotonic)
        await self._ledger.report(total=self._total)
        return None

    async def _work(self) -> None:
        """Run items until a reading of them shows none that is not done."""
        while self._cancel is None and not self._stopping and (undone := await self._undone()):
            begun = time.monotonic()
            self._waiting = [(begun + self._left(item), item.number, item) for item in undone]
            heapq.heapify(self._waiting)
            await self._run_items()

    def _left(self, item: ItemState) -> float:
        """The seconds that a failed item still waits; no longer than it can have been told, if the clock was set."""
        return max(0.0, min(item.retry_at - time.time(), self._job.retry.longest * (1 + JITTER)))

    async def _undone(self) -> list[ItemState]:
        total = self._total or 0
        items = [item for item in await self._ledger.items() if 1 <= item.number <= total]
        self._progress.load(items)
        self._read = True
        known = {item.number for item in items}
        for number in range(1, total + 1):
            if number not in known:
                await self._ledger.put(number, {"status": "failed", "error_message": "The broker has lost this item."})
        return [item for item in items if not item.phase.terminal]

    async def _run_items(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while (self._waiting or self._running) and self._cancel is None and not self._stopping:
                self._wake.clear()
                pause = self._pause()
                if pause is not None and pause <= 0:
                    before = self._next_start
                    self._next_start = time.monotonic() + self._job.pace
                    task = tasks.create_task(self._try(heapq.heappop(self._waiting)[2], before))
                    self._running.add(task)
                    task.add_done_callback(self._done)
                    continue
                await _set_within(self._wake, pause)
            if self._running and self._cancel is None:
                await asyncio.wait(self._running, timeout=self._timing.grace)
            while self._running:
                for task in self._running:
                    task.cancel()
                # Again where a library took the cancellation for something else.
                await asyncio.wait(self._running, timeout=CANCEL_SECONDS)

    def _pause(self) -> float | None:
        """The seconds until an item may begin; None where that depends on something else."""
        if not self._waiting or len(self._running) >= self._job.concurrency:
            return None
        now = time.monotonic()
        if now - self._beat_at > FRESH * self._timing.lease:
            return self._timing.report
        return max(self._waiting[0][0], self._next_start) - now

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _try(self, item: ItemState, before: float) -> None:
        """Try an item once: store its result or failure, or let it wait for the next try. Without it, the next one
        could have begun at `before`."""
        tries, finished, sums = item.tries + 1, set(item.finished), dict(item.sums)
        said = new_item(item.input) | {"tries": tries}
        paced = self._next_start

        def with_steps(status: str) -> dict[str, Any]:
            kept = {"finished": sorted(finished), "sums": {**sums}}
            return said | {"status": status} | {name: value for name, value in kept.items() if value}

        def unpace() -> None:
            if self._next_start == paced:
                self._next_start = before
                self._wake.set()

        async def report(step: str) -> None:
            if step not in finished:
                finished.add(step)
                self._progress.step(step)
                await self._ledger.put(item.number, with_steps("processing"))

        if item.tries >= self._job.retry.tries + CRASHES_MAX:
            said["error_message"] = f"It was begun {item.tries} times, and its workers ended before it did."
            await self._ledger.put(item.number, with_steps("failed"))
            self._ended(item, with_steps("failed"), said["error_message"])
            return
        if not await self._ledger.put(item.number, with_steps("processing")):
            return
        given = Item(
            tenant=self._tenant,
            job_id=self._state.id,
            number=item.number,
            input=item.input,
            params=self._state.params,
            tries=tries,
            finished=frozenset(finished),
            steps=self._job.steps.keys(),
            report=report,
            sums=sums,
            unpace=unpace,
        )
        limit = asyncio.timeout(self._job.timeout)
        failure: dict[str, Any] | None = None
        try:
            async with limit:
                result = await _uncancelled(self._job.run(given))
            await self._ledger.put(item.number, with_steps("completed") | {"result": plain(result)})
        except Lost:
            raise
        except RetryLater as error:
            self._next_start = max(self._next_start, time.monotonic() + error.after)
            said |= {"tries": item.tries, "error_message": _reason(error)}
            await self._wait(item, with_steps("processing"), error.after)
            return
        except Exception as error:  # noqa: BLE001 - the program's own function may raise anything
            failure = {"error_message": _reason(error)}
            if limit.expired():
                failure = {"error_message": f"The try took more than {self._job.timeout:g} s.", "error_code": TIMEOUT}
            if tries < self._job.retry.tries and not isinstance(error, PermanentFailure | Invalid):
                await self._wait(item, with_steps("processing") | failure, self._job.retry.delay(tries))
                return
            await self._ledger.put(item.number, with_steps("failed") | failure)
        self._ended(item, with_steps(""), None if failure is None else failure["error_message"])

    def _ended(self, item: ItemState, said: Mapping[str, Any], problem: str | None) -> None:
        self._progress.add(said.get("sums", {}), item.sums)
        self._progress.end(said.get("finished", ()))
        self._log.ended_item(
            self._state.id, item.number, item.input, done=self._progress.over, total=self._total or 0, problem=problem
        )

    async def _wait(self, item: ItemState, said: dict[str, Any], pause: float) -> None:
        """Let the item wait so many seconds; `said` is its state."""
        retry_at = time.time() + pause
        self._log.waits(self._state.id, item.number, item.input, problem=said["error_message"], seconds=pause)
        said |= {"retry_at": retry_at, "next_try_at": timestamp_at(retry_at)}
        if await self._ledger.put(item.number, said):
            again = ItemState(
                number=item.number,
                phase=Phase.PROCESSING,
                input=item.input,
                tries=said["tries"],
                finished=tuple(said.get("finished", ())),
                retry_at=retry_at,
                sums=said.get("sums", {}),
            )
            self._progress.add(again.sums, item.sums)
            heapq.heappush(self._waiting, (time.monotonic() + pause, item.number, again))

    async def _keep_reporting(self) -> None:
        """Report the job where it has changed, and in any case before others could take it over."""
        last: dict[str, Any] = {}
        while not self._over.is_set():
            fields = self._progress.fields(await self._ledger.counts()) if self._read else {}
            if fields != last or time.monotonic() - self._beat_at >= self._timing.beat:
                began = time.monotonic()
                receipt = await self._ledger.report(**fields)
                self._beat_at, last = began, fields
                self._wake.set()
                if receipt.cancel is not None:
                    self.cancel(receipt.cancel)
            await _set_within(self._over, self._timing.report)

    async def _end(self) -> None:
        """The last event of the job, from what the broker has of its items."""
        if self._cancel is not None:
            message = cancel_message(self._cancel)
            for item in await self._undone():
                said = {**new_item(item.input), "tries": item.tries, "status": "cancelled", "error_message": message}
                await self._ledger.put(item.number, said)
        counts = await self._ledger.counts()
        fields = self._progress.fields(counts) | {"remaining_seconds": None, "ended_at": timestamp()}
        if self._cancel is not None:
            fields |= {"status": "cancelled", "error_code": CANCELLED, "error_message": cancel_message(self._cancel)}
        elif ended(counts, partial=self._job.partial) is Phase.COMPLETED:
            fields |= {"status": "completed", "progress": 100}
        else:
            fields |= {"status": "failed", "error_message": f"{counts.failed} of {self._total} items failed."}
        await self._ledger.report(**fields)
        self._log.ended(self._state.id, str(fields["status"]), completed=counts.completed, failed=counts.failed)


def check_count(items: int) -> None:
    """Raise `Invalid` for more items than a job may have."""
    if items > ITEMS_MAX:
        raise Invalid(f"a job has at most {ITEMS_MAX} items, not {items}", field="items")


async def _uncancelled(work: Awaitable[Any]) -> Any:
    """The result of `work`. One that cancels itself has failed, and is not what the worker has cancelled."""
    try:
        return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise PermanentFailure("The item cancelled itself.") from error
        raise


async def _set_within(event: asyncio.Event, seconds: float | None) -> None:
    """Return once `event` is set, or after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _reason(error: BaseException) -> str:
    said = str(plain(str(error))).strip()
    return (said or type(error).__name__)[:REASON_CHARACTERS]
