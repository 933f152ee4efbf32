"""A world under load with its viewers, into which a fault is injected, and the outcome of the fault."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from tests.faults.checker import NOTHING_LOST, Checker, Watch
from tests.faults.history import Entry
from tests.faults.load import Abandoned, Load
from tests.faults.process import ASK_SECONDS
from tests.faults.viewer import Viewer
from tests.faults.world import World

STALL_GRACE: Final = 2.0
"""The time after the end of its lease within which a dead worker's content ends for every viewer."""


EFFECT_SECONDS: Final = 15.0
"""The time limit for the effect of a fault: the first cut, dropped announcement or refused publish."""

EARLY_GRACE: Final = 1.0
"""The time by which it may end earlier: the lease begins at the broker before the producer has the answer."""


class Outcome(msgspec.Struct, kw_only=True):
    """A fault that is over: since when, what the broker may have lost, and what is left to repair.

    `seconds` is the time to converge where the injection has measured it; `then` is awaited after the convergence,
    such as the end of a lease.
    """

    over: float = msgspec.field(default_factory=time.monotonic)
    kept_until: float = NOTHING_LOST
    announced: bool = True
    seconds: float | None = None
    then: Callable[[], Awaitable[object]] | None = None
    mend: Callable[[], Awaitable[object]] | None = None


class Scene:
    """Everything that an injection may use; with `quick`, faults are short."""

    def __init__(
        self, world: World, load: Load, viewers: Sequence[Viewer], checker: Checker, rng: random.Random, *, quick: bool
    ) -> None:
        self.world = world
        self.load = load
        self.viewers = viewers
        self.checker = checker
        self.rng = rng
        self.quick = quick
        self.passed: list[tuple[Watch, list[Entry]]] = []

    async def lasts(self, least: float, most: float) -> None:
        """Wait for a random time in this range."""
        await asyncio.sleep(self.rng.uniform(least, most))

    async def until(self, condition: Callable[[], bool], broken: str) -> None:
        """Return once the condition holds; otherwise add `broken` as a violation."""
        try:
            async with asyncio.timeout(EFFECT_SECONDS):
                while not condition():
                    await asyncio.sleep(ASK_SECONDS)
        except TimeoutError:
            self.checker.violations.append(broken)

    async def until_stalled(
        self, abandoned: Sequence[Abandoned], *, late: float = STALL_GRACE, early: float = EARLY_GRACE
    ) -> float:
        """Return once every viewer was shown that these contents stalled; returns the longest time after a lease's end.

        A violation is added where that is more than `late` after the end, or `early` before it.
        """
        waits = [(viewer, it) for it in abandoned for viewer in self.viewers if it.channel in viewer.channels]
        seconds = await asyncio.gather(*(self._until_stalled(viewer, it, late) for viewer, it in waits))
        for (viewer, it), after in zip(waits, seconds, strict=True):
            if after < -early:
                self.checker.violations.append(f"{viewer} was shown {-after:.1f} s too early that {it.content} stalled")
        return max(seconds, default=0.0)

    async def _until_stalled(self, viewer: Viewer, it: Abandoned, late: float) -> float:
        deadline = asyncio.get_running_loop().time() + it.ends + late - time.monotonic()
        try:
            async with asyncio.timeout_at(deadline):
                await viewer.until(lambda: (state := viewer.view.get(it.content)) is not None and state.stalled)
        except TimeoutError:
            violation = f"{viewer} was not shown within {late:g} s of its lease that {it.content} stalled"
            self.checker.violations.append(violation)
        return time.monotonic() - it.ends
