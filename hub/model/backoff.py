"""Exponential backoff with jitter: how long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays in seconds, each twice the one before up to `longest`, until `reset`.

    A delay is drawn from the upper half of its range, so that clients that lost a server in the same moment do
    not return in the same moment (thundering herd).
    """

    def __init__(
        self, first: float, longest: float, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        """`first` and `longest` bound the delays; `uniform` draws a number between two."""
        self._first = first
        self._longest = longest
        self._uniform = uniform
        self._range = first

    def next(self) -> float:
        """The delay before the next try."""
        delay = self._uniform(self._range / 2, self._range)
        self._range = min(self._range * 2, self._longest)
        return delay

    def reset(self) -> None:
        """Begin again with the first delay: a try succeeded."""
        self._range = self._first
