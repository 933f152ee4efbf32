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
from tests.faults.viewer import Viewer
from tests.faults.world import World

STALL_GRACE: Final = 2.0
"""Seconds after the end of its lease within which a dead worker's content ends for every viewer."""


class Outcome(msgspec.Struct, kw_only=True):
    """A fault that is over: since when, what the broker may have lost by it, and what is left to be mended.

    `seconds` is how long it took until all was well, where the injection has seen that itself.
    """

    over: float = msgspec.field(default_factory=time.monotonic)
    kept_until: float = NOTHING_LOST
    announced: bool = True
    seconds: float | None = None
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

    async def until_stalled(self, abandoned: Sequence[Abandoned], grace: float = STALL_GRACE) -> float:
        """Return when every viewer was shown that these stalled, and how long after the end of a lease at most.

        A violation where that is later than `grace`.
        """
        waits = [(viewer, it) for it in abandoned for viewer in self.viewers if it.channel in viewer.channels]
        return max(await asyncio.gather(*(self._until_stalled(viewer, it, grace) for viewer, it in waits)), default=0.0)

    async def _until_stalled(self, viewer: Viewer, it: Abandoned, grace: float) -> float:
        late = asyncio.get_running_loop().time() + it.ends + grace - time.monotonic()
        try:
            async with asyncio.timeout_at(late):
                await viewer.until(lambda: (state := viewer.view.get(it.content)) is not None and state.stalled)
        except TimeoutError:
            told = f"{viewer} was not shown within {grace:g} s of its lease that {it.content} stalled"
            self.checker.violations.append(told)
        return time.monotonic() - it.ends
