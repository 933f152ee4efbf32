"""The reports of a tracked loop, made by the background thread while the loop only counts."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

from statushub.hub.model.errors import Invalid
from statushub.producers.cancelled import Cancelled
from statushub.producers.meter import Meter
from statushub.producers.values import plain
from statushub.producers.work import Reporting

W = TypeVar("W", bound=Reporting)

INTERVAL_SECONDS: Final = 0.1
"""Least time between two reports; by default no producer sends more often."""

SHORTEST_INTERVAL_SECONDS: Final = 0.01
"""Least interval: a shorter one would take a noticeable part of a processor."""

Settled = Future[bool] | None


class LoopReport(Generic[W]):
    """Reports a loop by its `work`, from its `meter`."""

    def __init__(self, work: W, meter: Meter, interval: float, *, cancellable: bool = False) -> None:
        """`interval` is in seconds. `cancellable`: `check` raises where a cancellation was requested.

        Raises `Invalid` where the interval is no such number.
        """
        if not interval >= 0:
            raise Invalid("interval must be a number of seconds, 0 or more", field="interval")
        self.work = work
        self.meter = meter
        self._cancellable = cancellable
        self.begun = self.exhausted = False
        self.seen = False
        """Whether a `with` block sees how the loop ends, so that nothing else need guess."""
        self._interval = max(interval, SHORTEST_INTERVAL_SECONDS)
        self._added: dict[str, Any] = {}
        self._changed = False
        self._reported = 0

    def begin(self) -> None:
        """Report the start, and from now on the progress. Twice is once."""
        if not self.begun:
            self.begun = True
            self.work.say(None, self.meter.fields())
            self.work.repeat(self._interval, self._report)

    def check(self) -> None:
        """Raise `Cancelled` where the loop is to be cancelled, and may be."""
        if self._cancellable and (request := self.work.cancel_requested) is not None:
            raise Cancelled(request)

    def add(self, **fields: Any) -> None:
        """Report further fields, with the next report."""
        self._added = {**self._added, **{name: plain(value) for name, value in fields.items()}}
        self._changed = True

    def over(self) -> Settled:
        """Report that the loop has ended: to the end of its items, or left."""
        return self._end(self.meter.ending()) if self.exhausted else self.left()

    def left(self) -> Settled:
        """Report that the loop was left early, on purpose."""
        return self._end(self.meter.leaving())

    def failed(self, error: BaseException) -> Settled:
        """Report that the loop was ended by `error`. Raises nothing."""
        if not self.work.ended:
            self._report()
        return self.work.end_by(error)

    def _end(self, fields: dict[str, Any]) -> Settled:
        return None if self.work.ended else self.work.end("complete", {**self._added, **fields})

    def _report(self) -> None:
        done = self.meter.done
        if done != self._reported or self._changed:
            self._reported, self._changed = done, False
            self.work.say(None, {**self._added, **self.meter.fields()})
