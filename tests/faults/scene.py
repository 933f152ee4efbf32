"""What a fault is injected into: a world under load, with viewers, and what comes of it."""

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
"""Seconds after the end of its lease within which a dead worker's content ends for every viewer."""


EFFECT_SECONDS: Final = 15.0
"""For a fault to show: for the first cut, the first announcement dropped, the first publish refused."""

EARLY_GRACE: Final = 1.0
"""Seconds by which it may be shown before that: by so much later than the broker did we take it for begun."""


class Outcome(msgspec.Struct, kw_only=True):
    """A fault that is over: since when, what the broker may have lost by it, and what is left to be mended.

    `seconds` is how long it took until all was well, where the injection has seen that itself; `then` is what
    has yet to come when all is well, such as the end of a lease.
    """

    over: float = msgspec.field(default_factory=time.monotonic)
    kept_until: float = NOTHING_LOST
    announced: bool = True
    seconds: float | None = None
    then: Callable[[], Awaitable[object]] | None = None
    mend: Callable[[], Awaitable[object]] | None = None


class Scene:
    """All that an injection may lay hands on; `quick` ones are to be short."""

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
        """Let a fault last so many seconds, or something between."""
        await asyncio.sleep(self.rng.uniform(least, most))

    async def until(self, condition: Callable[[], bool], broken: str) -> None:
        """Return when the condition has come to be true; a violation, in these words, where it does not."""
        try:
            async with asyncio.timeout(EFFECT_SECONDS):
                while not condition():
                    await asyncio.sleep(ASK_SECONDS)
        except TimeoutError:
            self.checker.violations.append(broken)

    async def until_stalled(
        self, abandoned: Sequence[Abandoned], *, late: float = STALL_GRACE, early: float = EARLY_GRACE
    ) -> float:
        """Return when every viewer was shown that these stalled, and how long after the end of a lease at most.

        A violation where that is more than `late` after it, or `early` before it.
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
            told = f"{viewer} was not shown within {late:g} s of its lease that {it.content} stalled"
            self.checker.violations.append(told)
        return time.monotonic() - it.ends
