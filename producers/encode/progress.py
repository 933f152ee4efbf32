"""Progress of an encode: its steps, and what is known of its source."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from statushub.producers.steps import Steps

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

WEIGHTS: Final[Mapping[str, int]] = {
    Step.DOWNLOADING: 5,
    Step.PROBING: 1,
    Step.PREPARING: 1,
    Step.TRANSCODING: 86,
    Step.VALIDATING: 2,
    Step.THUMBNAIL: 1,
    Step.UPLOADING: 4,
}
"""Percent of the whole for each step, near the share of time that an encode spends in it."""

MEASURED: Final = frozenset({Step.TRANSCODING, Step.UPLOADING})
"""Steps whose speed predicts the rest. The others are too short, or depend on something else."""


class Progress:
    """The latest state of one encode. The encoding thread writes it, the event loop reads it.

    Every write is one assignment, so that no lock and no queue is needed between them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._steps = Steps(WEIGHTS, measured=MEASURED, clock=clock)
        self._step = STEPS[0]
        self._steps.begin(self._step)
        self._facts: dict[str, Any] = {"duration": None, "hls_path": None, "error_reason": None}

    def begin(self, step: Step) -> None:
        """Begin `step`; the one before is done."""
        self._steps.reach(step)
        self._step = step

    def advance(self, fraction: float) -> None:
        """Set the part of the step that is done, 0 to 1; a lower value than before is ignored."""
        self._steps.advance(self._step, fraction)

    def learn(self, **facts: Any) -> None:
        """Add fields to every later report: duration, title, resolution."""
        self._facts = {**self._facts, **facts}

    @property
    def elapsed(self) -> float:
        """Seconds since the encode began."""
        return self._clock() - self._began

    def snapshot(self) -> dict[str, Any]:
        """The whole state, ready to publish; `progress` never decreases from one snapshot to the next."""
        return {**self._steps.fields(), **self._facts}

    def completion(self) -> dict[str, Any]:
        """The state to publish with the result."""
        self._steps.finish()
        return {**self.snapshot(), "progress": 100, "remaining_seconds": 0}

    def failure(self) -> dict[str, Any]:
        """The state to publish with a failure: the progress so far, without an estimate."""
        self._steps.finish(failed=True)
        return self.snapshot()
