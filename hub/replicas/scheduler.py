"""The scheduler of long work, which is done in small steps, so that the event loop serves everything else between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Final, TypeVar

T = TypeVar("T")

SLICE_SECONDS: Final = 0.002
"""How long the steps of one loop iteration take together: what a few requests take, so that an event that comes
meanwhile is delivered hardly later."""

STEP_EVENTS: Final = 100
"""Events that one step handles: a fraction of a millisecond, whatever is done with them."""


class Scheduler:
    """Runs the steps of all long work round robin, for about `SLICE_SECONDS` in each iteration of the loop."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], object]] = deque()
        self._scheduled = False

    def later(self, step: Callable[[], object]) -> None:
        """Call `step` after the steps that wait already, and not before this returns."""
        self._steps.append(step)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._serve)

    async def run(self, work: Generator[None, None, T]) -> T:
        """Run a generator to its end, one step for each `yield`, and return what it returns. Raises what it raises.

        Where the caller is cancelled, the work is given up.
        """
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def step() -> None:
            if result.done():
                return
            try:
                next(work)
            except StopIteration as end:
                result.set_result(end.value)
            except Exception as error:  # noqa: BLE001 - the caller raises it
                result.set_exception(error)
            else:
                self.later(step)

        self.later(step)
        return await result

    def _serve(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        try:
            while self._steps:
                self._steps.popleft()()
                if time.perf_counter() >= until:
                    break
        finally:
            self._scheduled = bool(self._steps)
            if self._scheduled:
                asyncio.get_running_loop().call_soon(self._serve)
