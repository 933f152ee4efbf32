"""The steps of a work: their weights, how far each is, and the progress that follows. No I/O."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from statushub.hub.model.errors import Invalid
from statushub.hub.model.timestamp import timestamp
from statushub.producers.remaining_time import RemainingTime

STEPS_MAX: Final = 32
"""Most steps of a work: each state carries all of them, a hundred bytes each."""

NAME_CHARACTERS: Final = 100
"""Longest name of a step: pages show it in a line."""

RUNNING_MAX: Final = 99
"""Highest progress of a work that runs: only its completion reports 100."""


class StepState(StrEnum):
    """What became of a step."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The work went on, or was completed, without it."""


class _Mark:
    """How far one step is. Each write is one assignment, so that one thread may write it and another read it."""

    __slots__ = ("began", "ended", "fraction", "state")

    def __init__(self) -> None:
        self.state = StepState.PENDING
        self.fraction = 0.0
        self.began: str | None = None
        self.ended: str | None = None


class Steps:
    """The steps of one work, in order. One thread reports on a step; another may read `fields`."""

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        measured: Container[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`weights` are each step's part of the time that the work takes, in any unit. `measured` are the steps whose
        speed predicts the time left, by default all. Raises `Invalid` where the weights are none."""
        self._weights = checked(weights)
        self._measured = self._weights if measured is None else measured
        self._total = sum(self._weights.values())
        self._marks: dict[str, _Mark] = {name: _Mark() for name in self._weights}
        self._remaining = RemainingTime(clock)
        self._current: str | None = None
        self._highest = 0
        self._over = False

    def __contains__(self, name: object) -> bool:
        return name in self._marks

    def begin(self, name: str) -> None:
        """Begin the step `name`, from its beginning. Those before it that have not begun are skipped."""
        for mark in self._before(name):
            if mark.state is StepState.PENDING:
                mark.state, mark.fraction = StepState.SKIPPED, 1.0
        mark = self._marks[name]
        mark.fraction, mark.began, mark.ended = 0.0, timestamp(), None
        mark.state, self._current = StepState.PROCESSING, name

    def reach(self, name: str) -> None:
        """Begin the step `name`; those before it are done."""
        for earlier, mark in zip(self._marks, self._before(name), strict=False):
            if mark.state is StepState.PROCESSING:
                self.end(earlier)
        self.begin(name)

    def advance(self, name: str, fraction: float) -> None:
        """Set the part of the step that is done, 0 to 1; a lower value than before, or no number, is ignored."""
        mark = self._marks[name]
        try:
            done = float(fraction)
        except (TypeError, ValueError, OverflowError):
            return
        if done > mark.fraction:
            mark.fraction = min(1.0, done)

    def end(self, name: str, state: StepState = StepState.COMPLETED) -> None:
        """End the step `name`."""
        mark = self._marks[name]
        if state is StepState.COMPLETED:
            mark.fraction = 1.0
        mark.state, mark.ended = state, timestamp()

    def finish(self, *, failed: bool = False) -> None:
        """The work is over: what runs is completed or has `failed`, and of a completed work the rest is skipped."""
        self._over = True
        for name, mark in self._marks.items():
            if mark.state is StepState.PROCESSING:
                self.end(name, StepState.FAILED if failed else StepState.COMPLETED)
            elif mark.state is StepState.PENDING and not failed:
                mark.state = StepState.SKIPPED

    def fields(self) -> dict[str, Any]:
        """`progress` (a whole number that never decreases, at most 99), `step`, `step_index`, `total_steps`, `steps`,
        `remaining_seconds` and `estimated_completion`, as far as they are known."""
        return {
            "progress": self._progress(),
            "step": self._current,
            "step_index": 0 if self._current is None else [*self._marks].index(self._current) + 1,
            "total_steps": len(self._marks),
            "steps": [
                {"name": name, "state": mark.state.value, "started_at": mark.began, "ended_at": mark.ended}
                for name, mark in self._marks.items()
            ],
            **time_left(None if self._over else self._seconds()),
        }

    def _before(self, name: str) -> list[_Mark]:
        return [*self._marks.values()][: [*self._marks].index(name)]

    def _progress(self) -> int:
        # Rounded first: a sum of fractions may be a hair below a whole number.
        percent = math.floor(round(100 * (1 - self._left() / self._total), 6))
        self._highest = max(self._highest, min(RUNNING_MAX, percent))
        return self._highest

    def _seconds(self) -> int | None:
        name = self._current
        if name is None:
            return None
        weight = self._weights[name] if name in self._measured else 0.0
        return self._remaining.observe(name, self._marks[name].fraction, weight, self._left())

    def _left(self) -> float:
        return sum(self._weights[name] * (1 - mark.fraction) for name, mark in self._marks.items())


def time_left(seconds: float | None) -> dict[str, Any]:
    """The fields that say how long a work will take; None where that is unknown."""
    moment = None if seconds is None else timestamp(datetime.now(UTC) + timedelta(seconds=min(seconds, _FOREVER)))
    return {"remaining_seconds": seconds, "estimated_completion": moment}


_FOREVER: Final = 100 * 365 * 24 * 3600.0
"""A century: what would take longer has no date that a calendar of four digits can surely hold."""


def checked(weights: Any) -> dict[str, float]:
    """`weights` as they were given. Raises `Invalid` where they are no names and numbers above 0."""
    try:
        steps: dict[Any, Any] = dict(weights)
    except (TypeError, ValueError):
        raise Invalid("steps must be a mapping of names to weights", field="steps") from None
    if not 0 < len(steps) <= STEPS_MAX:
        raise Invalid(f"steps must name 1 to {STEPS_MAX} steps", field="steps")
    for name, weight in steps.items():
        if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARACTERS:
            raise Invalid(f"steps: a name must have 1 to {NAME_CHARACTERS} characters", field="steps")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise Invalid(f"steps: the weight of {name!r} must be a number greater than 0", field="steps")
    try:
        math.fsum(steps.values())
    except OverflowError:
        raise Invalid("steps: the weights are too large together", field="steps") from None
    return steps
