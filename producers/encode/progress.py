"""Progress of an encode: its steps, the weighted percentage, and the estimate of the time left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from statushub.hub.model.timestamp import timestamp

OnProgress = Callable[[float], object]
"""Called between packets with the part of the step that is done, 0 to 1; raises where the work is cancelled."""


class Step(StrEnum):
    """The steps of an encode, in order."""

    DOWNLOADING = "downloading"
    PROBING = "probing"
    PREPARING = "preparing"
    """Checks that the destination can be written, before hours are spent on the encode."""
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
"""Percent of the whole for each step, near the share of time that an encode spends in it."""

PROGRESS_RUNNING_MAX: Final = 99
"""Highest progress of an encode that runs: only its completion reports 100."""

MEASURED: Final = frozenset({Step.TRANSCODING, Step.UPLOADING})
"""Steps whose speed predicts the rest. The others are too short, or depend on something else."""

MEASURE_SECONDS: Final = 0.5
"""Time into a step before its speed counts: codecs fill their look-ahead first."""

MEASURE_FRACTION: Final = 0.02
"""Part of a step that must be done before its speed counts."""

SMOOTHING_SECONDS: Final = 5.0
"""Time constant with which the estimate follows a changed speed: users distrust a countdown that jumps."""


class RemainingTime:
    """Estimates the seconds left from the measured speed, exponentially smoothed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._step: Step | None = None
        self._began = 0.0
        self._base = 0.0
        self._pace: float | None = None
        self._value: float | None = None
        self._at = 0.0

    def observe(self, step: Step, fraction: float) -> int | None:
        """Take that `fraction` of `step` is done; returns the seconds left, None while no speed is known."""
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

    Every write is one assignment, so that no lock and no queue is needed between them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._position: tuple[Step, float] = (STEPS[0], 0.0)
        self._facts: dict[str, Any] = {"duration": None, "hls_path": None, "error_reason": None}
        self._remaining = RemainingTime(clock)

    def begin(self, step: Step) -> None:
        """Begin `step`; the one before is done."""
        self._position = (step, 0.0)

    def advance(self, fraction: float) -> None:
        """Set the part of the step that is done, 0 to 1; a lower value than before is ignored."""
        step, before = self._position
        self._position = (step, max(before, min(1.0, fraction)))

    def learn(self, **facts: Any) -> None:
        """Add fields to every later report: duration, title, resolution."""
        self._facts = {**self._facts, **facts}

    @property
    def elapsed(self) -> float:
        """Seconds since the encode began."""
        return self._clock() - self._began

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready to publish; `progress` never decreases from one snapshot to the next."""
        step, fraction = self._position
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
        """The state to publish with a failure: the progress so far, without an estimate."""
        return {**self.snapshot(), "remaining_seconds": None, "estimated_completion": None}


def _weight_left(step: Step, fraction: float) -> float:
    later = STEPS[STEPS.index(step) + 1 :]
    return WEIGHTS[step] * (1 - fraction) + sum(WEIGHTS[other] for other in later)


def _in(seconds: float) -> str:
    return timestamp(datetime.now(UTC) + timedelta(seconds=seconds))
