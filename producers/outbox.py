"""What is still to be delivered, and when: of each run the latest state alone. No I/O."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
import time
from typing import Final

import anyio

from statushub.hub.model.receipt import Receipt, Refusal
from statushub.producers.run import Run

BATCH_EVENTS: Final = 1_000
"""Most events of one call: what `POST /api/publish` takes."""

BATCH_BYTES: Final = 1_000_000
"""Most bytes of one call, by `Run.weight`: hubs, and proxies before them, refuse bodies over 1 MiB."""

MAX_ENDINGS: Final = 10_000
"""Most final states kept for a hub that is away: about 10 MB of ordinary ones, 640 MB of the largest. Of
what has not ended, memory holds one state a run, and the program holds the run anyway."""

LOOK_SECONDS: Final = 60.0
"""Longest time between two looks at a leased run: one that has ended is forgotten within it."""

logger = logging.getLogger(__name__)

_Queue = list[tuple[float, int, Run]]


class Outbox:
    """The runs that have something to say, by the moment at which it is due. Of one event loop."""

    def __init__(self, *, rate: float) -> None:
        """At most `rate` states a second of each content, final ones apart."""
        self._interval = 1 / rate
        self._queue: _Queue = []
        self._leased: _Queue = []
        self._order = itertools.count()
        self._undelivered: dict[Run, None] = {}
        self._endings: dict[Run, None] = {}
        self._held_until = -math.inf
        self._planned = math.inf
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._attempt = 0

    def attempt(self) -> int:
        """A new attempt: milliseconds since the Unix epoch, and greater than any before it here."""
        self._attempt = max(self._attempt + 1, time.time_ns() // 1_000_000)
        return self._attempt

    @property
    def overdue(self) -> bool:
        """Whether a state could leave now, if only somebody let the loop turn."""
        return self._next() <= time.monotonic()

    @property
    def endings(self) -> list[str]:
        """The contents whose final state is still undelivered."""
        return [run.content_id for run in self._endings]

    def offer(self, run: Run) -> None:
        """`run` has a new state in `pending`; it leaves in its turn, and at once if it is the last."""
        if run.ended:
            self._endings[run] = None
            self._limit_endings()
        self._undelivered[run] = None
        self._schedule(run)

    async def due(self) -> None:
        """Return once something is due."""
        while (delay := (planned := self._next()) - time.monotonic()) > 0:
            self._planned = planned
            self._wake.clear()
            with anyio.move_on_after(delay):
                await self._wake.wait()

    def take(self) -> list[Run]:
        """The runs that are due, up to one call's fill; `sending` of each is what to send. May be none."""
        now, batch, filled = time.monotonic(), list[Run](), 0
        self._keep_alive(now)
        while self._queue and self._queue[0][0] <= now and len(batch) < BATCH_EVENTS:
            due, _, run = heapq.heappop(self._queue)
            if run.due != due:
                continue
            run.due = None
            if not run.unsettled or run.when(self._interval) > now:
                self._schedule(run)
                continue
            filled += run.prepare(now)
            if batch and filled > BATCH_BYTES:
                self._schedule(run)
                break
            batch.append(run)
        return batch

    def settle(self, run: Run, receipt: Receipt) -> None:
        """The hub has judged what was sent of `run`."""
        if run.settled.is_set():
            return
        if receipt.reason is None:
            run.accepted()
        elif receipt.reason is Refusal.CLOSED and run.automatic:
            # The hub took our silence for death; but here we are.
            run.reopen(self.attempt())
        else:
            logger.warning("content %r: %s, so nothing more is sent of this work", run.content_id, receipt.reason)
            run.conclude(reason=receipt.reason)
        self._update(run)

    def give_up(self, run: Run) -> None:
        """What was sent of `run` will never be accepted; what it says next may be."""
        run.sending = None
        if run.ended and run.pending is None and not run.settled.is_set():
            logger.warning("content %r: its final state could not be delivered", run.content_id)
            run.conclude()
        self._update(run)

    def retry(self, run: Run) -> None:
        """Nobody knows what became of what was sent of `run`."""
        self._update(run)

    def hold(self, seconds: float) -> None:
        """Let nothing be due for so long."""
        self._held_until = time.monotonic() + seconds

    def hurry(self) -> None:
        """Everything undelivered is due now, held or not, and no rate is kept any more."""
        self._interval, self._held_until = 0.0, -math.inf
        for run in self._undelivered:
            self._schedule(run)
        self._wake.set()

    async def emptied(self) -> None:
        """Return once nothing is undelivered."""
        while self._undelivered:
            self._empty.clear()
            await self._empty.wait()

    def _next(self) -> float:
        first = min((queue[0][0] for queue in (self._queue, self._leased) if queue), default=math.inf)
        return max(first, self._held_until)

    def _update(self, run: Run) -> None:
        if not run.unsettled:
            self._undelivered.pop(run, None)
        if not self._undelivered:
            self._empty.set()
        if run.settled.is_set():
            self._endings.pop(run, None)
        self._schedule(run)

    def _schedule(self, run: Run) -> None:
        if run.unsettled:
            due = run.when(self._interval)
            if run.due is None or due < run.due:
                run.due = due
                self._push(self._queue, due, run)
        elif run.alive_until is not None and not run.watched:
            run.watched = True
            self._push(self._leased, min(run.alive_until, time.monotonic() + LOOK_SECONDS), run)

    def _push(self, queue: _Queue, due: float, run: Run) -> None:
        heapq.heappush(queue, (due, next(self._order), run))
        if due < self._planned:
            self._wake.set()

    def _keep_alive(self, now: float) -> None:
        while self._leased and self._leased[0][0] <= now:
            run = heapq.heappop(self._leased)[2]
            run.watched = False
            if not run.unsettled and run.alive_until is not None and run.alive_until <= now:
                run.repeat()
                self.offer(run)
            else:
                self._schedule(run)

    def _limit_endings(self) -> None:
        if len(self._endings) > MAX_ENDINGS:
            oldest = next(iter(self._endings))
            oldest.pending = None
            self.give_up(oldest)
