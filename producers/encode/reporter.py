"""Tells whoever wants to know how far an encode is: at each step, and every so often within one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from statushub.producers.encode.progress import Progress

Report = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Takes the whole state of the encode, each time it has changed."""


class Reporter:
    """Reports the latest state of a `Progress`. What changes in between is never queued, only overwritten."""

    def __init__(self, progress: Progress, report: Report, seconds: float) -> None:
        self._progress = progress
        self._report = report
        self._seconds = seconds
        self._said: Mapping[str, Any] = {}
        self._lock = anyio.Lock()

    async def now(self) -> None:
        """Report the state, if it has changed. States are taken and told in one order."""
        async with self._lock:
            state = self._progress.snapshot()
            if _matter(state) != _matter(self._said):
                self._said = state
                await self._report(state)

    async def watch(self) -> None:
        """Report until cancelled."""
        while True:
            await anyio.sleep(self._seconds)
            await self.now()


def _matter(state: Mapping[str, Any]) -> dict[str, Any]:
    """The moment of completion wavers by milliseconds; that alone is no news."""
    return {key: value for key, value in state.items() if key != "estimated_completion"}
