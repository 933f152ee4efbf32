"""The outbox: of each run the latest undelivered state, and when it is due. No I/O."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
import time
from collections.abc import Sequence
from typing import Final
from weakref import WeakSet

import anyio

from statushub.hub.model.publication import BATCH_EVENTS
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.producers.run import Run

BATCH_BYTES: Final = 1_000_000
"""Most bytes of one call, as `Run.prepare` counts them: proxies in front of hubs often refuse bodies over 1 MiB."""

MAX_ENDINGS: Final = 10_000
"""Most final states kept while the hub is away: about 10 MB of ordinary ones, 640 MB of the largest. Runs that have
not ended need no limit: there is one state of each, and the program holds the run anyway."""

CHECK_SECONDS: Final = 60.0
"""Longest time between two checks of a leased run: one that has ended is released within it."""

logger = logging.getLogger(__name__)

_Queue = list[tuple[float, int, Run]]


class Outbox:
    """The runs with an undelivered state, by the time at which it is due. Used by one event loop."""

    def __init__(self, *, rate: float, max_endings: int = MAX_ENDINGS) -> None:
        """At most `rate` states a second of each content, besides final ones; at most `max_endings` final ones kept."""
        self._interval = 1 / rate
        self._max_endings = max_endings
        self._queue: _Queue = []
        self._leased: _Queue = []
        self._order = itertools.count()
        self._undelivered: dict[Run, None] = {}
        self._endings: dict[Run, None] = {}
        self._open = WeakSet[Run]()
        self._held_until = -math.inf
        self._planned = math.inf
        self._wake = asyncio.Event()
        self._delivered = asyncio.Event()

    @property
    def endings(self) -> list[Run]:
        """The runs whose final state is still undelivered."""
        return [*self._endings]

    @property
    def open(self) -> list[Run]:
        """The runs of which more may be sent."""
        return [run for run in self._open if not run.settled.is_set()]

    def offer(self, run: Run) -> None:
        """`run` has a new state in `pending`: it is due when the rate allows, a final one immediately."""
        self._open.add(run)
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
        """The runs that are due, as many as one call takes; `sending` of each is the state to send. May be empty."""
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
        """The hub has answered the state that was sent of `run`."""
        if run.settled.is_set():
            return
        grows = run.sending is not None and run.sending.delta is not None
        if receipt.reason is None:
            run.accepted(receipt.attempt, receipt.cancel, "" if receipt.cursor is None else receipt.cursor.epoch)
        elif grows and receipt.reason in (Refusal.GAP, Refusal.UNKNOWN):
            run.regrow()
        elif grows and receipt.reason is Refusal.TOO_LARGE:
            logger.warning("content %r: it has grown as far as it may, and nothing more is appended", run.content_id)
            run.stop_growing()
        elif receipt.reason is Refusal.CLOSED and run.name and not run.aside and run.cancel is None:
            # The lease ran out while this process was paused or cut off. One that was cancelled stays so.
            run.reopen()
        elif receipt.reason is Refusal.REMOVED and run.name and not run.aside and run.begins:
            # A job that is queued again under its name; the broker refuses it unless it began after the removal.
            run.reopen()
        else:
            _refused(run, receipt)
            run.conclude(reason=receipt.reason)
        self._update(run)

    def give_up(self, run: Run) -> None:
        """The state that was sent of `run` will never be accepted; a later one may be."""
        run.give_up()
        if run.ended and run.pending is None and not run.settled.is_set():
            logger.warning("content %r: its final state could not be delivered", run.content_id)
            run.conclude()
        self._update(run)

    def retry(self, run: Run) -> None:
        """It is not known whether the state that was sent of `run` arrived: it stays to be sent again."""
        self._update(run)

    def hold(self, seconds: float) -> None:
        """Let nothing be due for this time."""
        self._held_until = time.monotonic() + seconds

    def hurry(self) -> None:
        """Everything that is undelivered now is due now, whatever the rate and `hold`."""
        self._held_until = -math.inf
        for run in self._undelivered:
            run.urgent = True
            self._schedule(run)
        self._wake.set()

    async def emptied(self, runs: Sequence[Run] | None = None) -> None:
        """Return once nothing of `runs` is undelivered, by default of all."""
        while self._undelivered if runs is None else any(run.unsettled for run in runs):
            self._delivered.clear()
            await self._delivered.wait()

    def _next(self) -> float:
        first = min((queue[0][0] for queue in (self._queue, self._leased) if queue), default=math.inf)
        return max(first, self._held_until)

    def _update(self, run: Run) -> None:
        if not run.unsettled:
            self._undelivered.pop(run, None)
            self._delivered.set()
        if run.settled.is_set():
            self._endings.pop(run, None)
            self._open.discard(run)
        self._schedule(run)

    def _schedule(self, run: Run) -> None:
        if run.unsettled:
            due = run.when(self._interval)
            if run.due is None or due < run.due:
                run.due = due
                self._push(self._queue, due, run)
        elif run.alive_until is not None and not run.leased:
            run.leased = True
            self._push(self._leased, min(run.alive_until, time.monotonic() + CHECK_SECONDS), run)

    def _push(self, queue: _Queue, due: float, run: Run) -> None:
        heapq.heappush(queue, (due, next(self._order), run))
        if due < self._planned:
            self._wake.set()

    def _keep_alive(self, now: float) -> None:
        while self._leased and self._leased[0][0] <= now:
            run = heapq.heappop(self._leased)[2]
            run.leased = False
            if not run.unsettled and run.alive_until is not None and run.alive_until <= now:
                run.repeat()
                self.offer(run)
            else:
                self._schedule(run)

    def _limit_endings(self) -> None:
        if len(self._endings) > self._max_endings:
            oldest = next(iter(self._endings))
            oldest.pending = None
            self.give_up(oldest)


def _refused(run: Run, receipt: Receipt) -> None:
    if receipt.reason is Refusal.WRONG_CHANNEL:
        there = "another channel" if receipt.channel is None else f"channel {receipt.channel!r}"
        logger.error(
            "content %r belongs to %s, so nothing of it is reported in channel %r: give it another id",
            *(run.content_id, there, run.channel),
        )
    else:
        level = logging.DEBUG if run.aside else logging.WARNING
        logger.log(level, "content %r: %s; nothing more of this work is sent", run.content_id, receipt.reason)
