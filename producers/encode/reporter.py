"""Reports the progress of an encode: at each step, and at an interval within it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from statushub.producers.encode.progress import Progress

Report = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Takes the whole state of the encode, each time it has changed."""


class Reporter:
    """Reports the latest state of a `Progress`. Changes in between are overwritten, not queued."""

    def __init__(self, progress: Progress, report: Report, seconds: float) -> None:
        self._progress = progress
        self._report = report
        self._seconds = seconds
        self._reported: Mapping[str, Any] = {}
        self._lock = anyio.Lock()

    async def now(self) -> None:
        """Report the state if it has changed. The lock keeps reports in the order of their snapshots."""
        async with self._lock:
            state = self._progress.snapshot()
            if _comparable(state) != _comparable(self._reported):
                self._reported = state
                await self._report(state)

    async def watch(self) -> None:
        """Report at the interval until cancelled."""
        while True:
            await anyio.sleep(self._seconds)
            await self.now()


def _comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` without the estimated time of completion, which varies by milliseconds at every snapshot."""
    return {key: value for key, value in state.items() if key != "estimated_completion"}
