"""The roll-up of a job: what its items together say. No I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from statushub.hub.model.vocabulary import Phase
from statushub.producers.jobs.ledger import Counts
from statushub.producers.jobs.state import ItemState
from statushub.producers.remaining_time import RemainingTime

RUNNING_MAX: Final = 99
"""Highest progress of a job that has not ended."""


class Progress:
    """How many items are over, and how many have done each step: counts only, so that a job of any size has a state of
    a few hundred bytes."""

    def __init__(self, steps: Mapping[str, float], total: int, clock: Callable[[], float]) -> None:
        self._steps = steps
        self._total = total
        self._weight = sum(steps.values())
        self._done = dict.fromkeys(steps, 0)
        self._sums: Counter[str] = Counter()
        self.over = 0
        """How many items are over, as far as this worker knows."""
        self._remaining = RemainingTime(clock)

    def load(self, items: Iterable[ItemState]) -> None:
        """Count the steps, and what items have added, as they are stored."""
        self._done = dict.fromkeys(self._steps, 0)
        self._sums = Counter()
        self.over = 0
        for item in items:
            self._sums.update(item.sums)
            self.over += item.phase.terminal
            for name in self._steps:
                self._done[name] += item.phase.terminal or name in item.finished

    def step(self, name: str) -> None:
        """An item has done the step `name`."""
        self._done[name] += 1

    def end(self, finished: Iterable[str]) -> None:
        """An item is over, which had done these steps."""
        self.over += 1
        for name in self._steps.keys() - set(finished):
            self._done[name] += 1

    def add(self, sums: Mapping[str, int], before: Mapping[str, int]) -> None:
        """A try has ended, after which an item has these sums, and had those before it."""
        self._sums.update(sums)
        self._sums.subtract(before)

    def fields(self, counts: Counts) -> dict[str, Any]:
        """The fields of the job: `progress`, `current`, `total`, `failed`, `steps`, `sums`, `remaining_seconds`."""
        fraction = self._fraction(counts)
        left = self._remaining.observe("items", fraction, 1.0, 1.0 - fraction)
        said: dict[str, Any] = {
            "progress": min(RUNNING_MAX, math.floor(round(100 * fraction, 6))),
            "current": counts.over,
            "total": self._total,
            "failed": counts.failed,
            "remaining_seconds": left,
        }
        if self._steps:
            said["steps"] = [
                {"name": name, "current": self._done[name], "total": self._total, "progress": self._percent(name)}
                for name in self._steps
            ]
        if self._sums:
            said["sums"] = dict(self._sums)
        return said

    def _percent(self, name: str) -> int:
        return 100 * self._done[name] // self._total if self._total else 100

    def _fraction(self, counts: Counts) -> float:
        if not self._total:
            return 1.0
        if not self._steps:
            return min(1.0, counts.over / self._total)
        done = sum(weight * self._done[name] for name, weight in self._steps.items())
        return min(1.0, done / (self._weight * self._total))


def ended(counts: Counts, *, partial: bool) -> Phase:
    """How a job ends whose items have all ended."""
    if not counts.failed:
        return Phase.COMPLETED
    return Phase.COMPLETED if partial and counts.completed else Phase.FAILED
