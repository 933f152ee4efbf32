"""How far an encode is: steps, the weighted whole, and how long it will still take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from statushub.hub.model.timestamp import timestamp

Tick = Callable[[float], None]
"""Told the part of the step that is done, 0 to 1, between packets; raises where the work is cancelled."""


class Step(StrEnum):
    """The steps of an encode, in their order."""

    DOWNLOADING = "downloading"
    PROBING = "probing"
    PREPARING = "preparing"
    """Finds out whether the destination can be written before hours are spent on it."""
    TRANSCODING = "transcoding"
    VALIDATING = "validating"
    THUMBNAIL = "thumbnail"
    UPLOADING = "uploading"


STEPS: Final = tuple(Step)

WEIGHTS: Final[Mapping[Step, int]] = {
    Step.DOWNLOADING: 5,
    Step.PROBING: 1,
    Step.PREPARING: 1,
    Step.TRANSCODING: 86,
    Step.VALIDATING: 2,
    Step.THUMBNAIL: 1,
    Step.UPLOADING: 4,
}
"""Each step's share of the whole, in percent; near the shares of time that an encode spends in it."""

PROGRESS_RUNNING_MAX: Final = 99
"""Highest progress of work that has not ended: 100 is the completion's to say."""

MEASURED: Final = frozenset({Step.TRANSCODING, Step.UPLOADING})
"""Steps whose speed tells the rest. The others are over too soon, or say nothing of the encoding."""

MEASURE_SECONDS: Final = 0.5
"""Time into a step before its speed is believed: codecs fill their look-ahead first."""

MEASURE_FRACTION: Final = 0.02
"""Part of a step that must be done before its speed is believed."""

SMOOTHING_SECONDS: Final = 5.0
"""Time constant in which the estimate follows a changed speed: a countdown that leaps is not believed."""


class Remaining:
    """Estimates the seconds left from the speed measured, and lets the estimate change smoothly."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._step: Step | None = None
        self._began = 0.0
        self._base = 0.0
        self._pace: float | None = None
        self._value: float | None = None
        self._at = 0.0

    def observe(self, step: Step, fraction: float) -> int | None:
        """The seconds left now that `fraction` of `step` is done; None while no speed is known."""
        now = self._clock()
        if step is not self._step:
            self._step, self._began, self._base = step, now, fraction
        self._measure(step, fraction, now)
        if self._pace is None:
            return None
        measured = self._pace * _weight_left(step, fraction)
        self._value = measured if self._value is None else self._follow(measured, now)
        self._at = now
        return math.ceil(round(self._value, 3))

    def _measure(self, step: Step, fraction: float, now: float) -> None:
        elapsed, done = now - self._began, fraction - self._base
        if step in MEASURED and elapsed >= MEASURE_SECONDS and done >= MEASURE_FRACTION:
            self._pace = elapsed / (WEIGHTS[step] * done)

    def _follow(self, measured: float, now: float) -> float:
        passed = now - self._at
        expected = max(0.0, (self._value or 0.0) - passed)
        return expected + (measured - expected) * (1 - math.exp(-passed / SMOOTHING_SECONDS))


class Progress:
    """The latest state of one encode. The encoding thread writes it, the event loop reads it.

    Every write is one assignment, so neither waits for the other and nothing queues up between them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._place: tuple[Step, float] = (STEPS[0], 0.0)
        self._facts: dict[str, Any] = {"duration": None, "hls_path": None, "error_reason": None}
        self._remaining = Remaining(clock)

    def begin(self, step: Step) -> None:
        """The step before is done; `step` begins."""
        self._place = (step, 0.0)

    def advance(self, fraction: float) -> None:
        """`fraction` of the step is done, 0 to 1; less than was said before changes nothing."""
        step, before = self._place
        self._place = (step, max(before, min(1.0, fraction)))

    def learn(self, **facts: Any) -> None:
        """What every later report says besides: duration, title, size of the picture."""
        self._facts = {**self._facts, **facts}

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._began

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready to publish; `progress` never falls from one snapshot to the next."""
        step, fraction = self._place
        remaining = self._remaining.observe(step, fraction)
        return {
            "progress": min(PROGRESS_RUNNING_MAX, int(100 - _weight_left(step, fraction))),
            "step": step.value,
            "step_index": STEPS.index(step) + 1,
            "total_steps": len(STEPS),
            "remaining_seconds": remaining,
            "estimated_completion": None if remaining is None else _in(remaining),
            **self._facts,
        }

    def failure(self) -> dict[str, Any]:
        """The state to publish with a failure: how far it came, and no promise of an end."""
        return {**self.snapshot(), "remaining_seconds": None, "estimated_completion": None}


def _weight_left(step: Step, fraction: float) -> float:
    later = STEPS[STEPS.index(step) + 1 :]
    return WEIGHTS[step] * (1 - fraction) + sum(WEIGHTS[other] for other in later)


def _in(seconds: float) -> str:
    return timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
