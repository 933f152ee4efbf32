"""Estimates the seconds left of a work from the speed of its steps. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

MEASURE_SECONDS: Final = 0.5
"""Time into a step before its speed counts: codecs fill their look-ahead first, models read their prompt."""

MEASURE_FRACTION: Final = 0.02
"""Part of a step that must be done before its speed counts."""

SMOOTHING_SECONDS: Final = 5.0
"""Time constant with which the estimate follows a changed speed: users distrust a countdown that jumps."""


class RemainingTime:
    """Estimates the seconds left from the measured speed, exponentially smoothed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._step: str | None = None
        self._began = 0.0
        self._base = 0.0
        self._pace: float | None = None
        self._value: float | None = None
        self._at = 0.0

    def observe(self, step: str, fraction: float, weight: float, left: float) -> int | None:
        """Take that `fraction` of `step` is done, and `left` of all weights is not.

        `weight` is that of the step; with 0 its speed does not count. Returns the seconds left, None while no speed is
        known.
        """
        now = self._clock()
        if step != self._step:
            self._step, self._began, self._base = step, now, fraction
        self._measure(fraction, weight, now)
        if self._pace is None:
            return None
        measured = self._pace * left
        self._value = measured if self._value is None else self._follow(measured, now)
        self._at = now
        return math.ceil(round(self._value, 3))

    def _measure(self, fraction: float, weight: float, now: float) -> None:
        elapsed, done = now - self._began, fraction - self._base
        if weight and elapsed >= MEASURE_SECONDS and done >= MEASURE_FRACTION:
            self._pace = elapsed / (weight * done)

    def _follow(self, measured: float, now: float) -> float:
        passed = now - self._at
        expected = max(0.0, (self._value or 0.0) - passed)
        return expected + (measured - expected) * (1 - math.exp(-passed / SMOOTHING_SECONDS))
