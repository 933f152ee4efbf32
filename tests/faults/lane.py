"""One world and its faults, one round after the other."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from statushub.hub.auth.patterns import Patterns
from tests.faults.checker import NOTHING_LOST, Checker
from tests.faults.history import Stored, difference
from tests.faults.injections import INJECTIONS, Injection
from tests.faults.load import CHANNELS, STANDING, Load
from tests.faults.scene import Outcome, Scene
from tests.faults.transport import EventStream, Transport, WebSocket
from tests.faults.viewer import Viewer
from tests.faults.world import EmbeddedWorld, RedisWorld, World
from tests.support.tasks import end

DELTA_SHARE: Final = 0.6
"""The share of viewers that take deltas."""

VIEWERS: Final = 18
PRODUCERS: Final = 8

MOVERS: Final = 6
"""The number of viewers that reconnect before each fault, so that not all stay on the hub that was never away."""

LEAD_SECONDS: Final = (0.3, 1.5)
"""The range of the load's duration before a fault."""

TAIL_SECONDS: Final = (0.0, 0.5)
"""The range of the load's duration after it, which is included in the time to converge."""

SETTLE_SECONDS: Final = 30.0
"""The time limit for the first convergence, and for acknowledgements and a read of the broker after a fault."""


MATCHES: Final = (("jobs/**",), ("jobs/*", "jobs/born/*", "encodes"), ("jobs/born/**",))
"""The patterns of viewers, which name channels that come into being during the run."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One fault and its results; `seconds` is the time to converge."""

    lane: str
    fault: str
    seconds: float
    publishes: int
    deliveries: int
    violations: list[str]
    logs: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A lane's world and its faults."""

    name: str
    make: Callable[[Path, random.Random], World]
    faults: tuple[str, ...]


PLANS: Final = (
    Plan(
        name="redis with AOF",
        make=RedisWorld,
        faults=(
            *("redis-killed", "redis-emptied", "redis-paused", "hub-killed", "hub-paused", "connections-cut"),
            *("announcements-dropped", "viewers-stalled", "reconnect-storm", "clock-stepped", "worker-died"),
            *("hub-late", "master-flipped", "clock-deleted", "redis-full", "foreign-keys"),
        ),
    ),
    Plan(
        name="redis without AOF",
        make=partial(RedisWorld, replicated=True),
        faults=(
            *("redis-killed", "replica-promoted", "hub-killed", "hub-paused", "connections-cut"),
            *("announcements-dropped", "worker-died"),
        ),
    ),
    Plan(
        name="embedded",
        make=EmbeddedWorld,
        faults=(
            *("hub-killed", "hub-paused", "connections-cut", "viewers-stalled", "reconnect-storm"),
            *("clock-stepped", "disk-full", "worker-died", "file-restored"),
        ),
    ),
)


def viewers_of(world: World, rng: random.Random) -> Iterator[Viewer]:
    """Viewers of one and of several channels, and of patterns, through proxies and directly, by streams, handed over
    and portable, and by WebSocket; some take deltas."""
    fronts = [proxy.address for proxy in world.fronts]
    direct = [hub.address for hub in world.hubs]
    for number in range(VIEWERS):
        channels = frozenset(rng.sample(STANDING, rng.choice((1, 1, 2, 3, len(STANDING)))))
        hubs = direct if number % 2 else fronts
        matches = rng.choice(MATCHES) if number % 3 == 2 else ()
        if matches:
            patterns = Patterns(matches)
            channels = frozenset(channel for channel in CHANNELS if patterns.match(channel))
        deltas = rng.random() < DELTA_SHARE
        portable = number % 4 == 1
        streams = EventStream(portable=portable, matches=matches, deltas=deltas)
        transport: Transport = WebSocket(deltas=deltas) if number % 3 == 0 else streams
        yield Viewer(f"viewer-{number}", hubs, channels, rng, transport)


class Lane:
    """A world under load, and its rounds."""

    def __init__(self, plan: Plan, scene: Scene, on_round: Callable[[Round], None]) -> None:
        self.plan = plan
        self.scene = scene
        self._on_round = on_round

    async def run(self, faults: Iterator[str], deadline: float) -> None:
        """Inject faults until none are left, the deadline has passed, or the world does not recover from one."""
        self.scene.load.start()
        going = await self._round("", Injection(title="none", run=_nothing, within=SETTLE_SECONDS))
        for fault in faults:
            if not going or time.monotonic() > deadline:
                return
            going = await self._round(fault, INJECTIONS[fault])

    async def _round(self, fault: str, injection: Injection) -> bool:
        """Run load and one fault, and evaluate the result; returns whether the world recovered."""
        scene, checker = self.scene, self.scene.checker
        publishes, deliveries, seconds = checker.publishes, checker.deliveries, SETTLE_SECONDS
        scene.load.start()
        for viewer in scene.rng.sample(scene.viewers, MOVERS):
            viewer.leave()
        await scene.lasts(*LEAD_SECONDS)
        outcome = await injection.run(scene)
        await scene.lasts(*TAIL_SECONDS)
        stored = await self._settled(outcome)
        if stored is not None:
            seconds = await self._converged(stored, outcome, injection.within)
        if stored is not None and outcome.then is not None:
            await outcome.then()
            stored = await self._settled(outcome)
        if stored is not None:
            seen = [*scene.passed, *(taken for viewer in scene.viewers for taken in viewer.taken())]
            scene.passed.clear()
            checker.evaluate(stored, seen, kept_until=outcome.kept_until, announced=outcome.announced)
            if outcome.mend is not None:
                await outcome.mend()
        checker.violations += [trouble for hub in scene.world.hubs for trouble in hub.troubles()]
        violations = checker.new_violations()
        if fault or violations:
            self._on_round(
                Round(
                    lane=self.plan.name,
                    fault=fault or "none",
                    seconds=seconds,
                    publishes=checker.publishes - publishes,
                    deliveries=checker.deliveries - deliveries,
                    violations=violations,
                    logs=scene.world.logs() if violations else "",
                )
            )
        return stored is not None

    async def _settled(self, outcome: Outcome) -> Stored | None:
        """The broker's state once every report is acknowledged and every loss is reported again.

        None, with a violation, where that takes too long.
        """
        scene = self.scene
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await scene.load.stop()
                stored = await scene.world.stored()
                if outcome.kept_until < NOTHING_LOST:
                    await scene.load.finish([state.content for state in stored.states.values() if not state.final])
                    stored = await scene.world.stored()
        except TimeoutError:
            scene.checker.violations += [f"not settled within {SETTLE_SECONDS:g} s", *scene.load.waits()]
            return None
        return stored

    async def _converged(self, stored: Stored, outcome: Outcome, within: float) -> float:
        """The seconds from the end of the fault until the last view is correct."""
        viewers = self.scene.viewers
        late = asyncio.get_running_loop().time() + max(outcome.over + within - time.monotonic(), 0.5)
        try:
            async with asyncio.timeout_at(late):
                moments = await asyncio.gather(*(viewer.until(self._shows(viewer, stored)) for viewer in viewers))
        except TimeoutError:
            for viewer in viewers:
                if lacking := self._lacking(viewer, stored):
                    self.scene.checker.violations.append(f"{viewer} does not converge within {within:g} s: {lacking}")
            return within
        return max(0.0, max(moments) - outcome.over) if outcome.seconds is None else outcome.seconds

    def _shows(self, viewer: Viewer, stored: Stored) -> Callable[[], bool]:
        return lambda: self._lacking(viewer, stored) is None

    def _lacking(self, viewer: Viewer, stored: Stored) -> str | None:
        """How a view differs from the stored state, without contents whose lease is still running."""
        left = {it for it in self.scene.checker.abandoned if it in stored.states and not stored.states[it].final}
        expected = stored.of(viewer.channels)
        view, expected = ({k: v for k, v in states.items() if k not in left} for states in (viewer.view, expected))
        return difference(view, expected, stored.epoch)


async def _nothing(scene: Scene) -> Outcome:
    return Outcome()


@asynccontextmanager
async def opened(
    plan: Plan, folder: Path, seed: str, *, quick: bool, on_round: Callable[[Round], None]
) -> AsyncIterator[Lane]:
    """A lane with everything running, for the block."""
    rng = random.Random(f"{seed}/{plan.name}")
    checker = Checker()
    async with plan.make(folder, rng) as world:
        hubs = [f"http://127.0.0.1:{proxy.port}" for proxy in world.fronts]
        load = Load(hubs, world.publish_to, PRODUCERS, checker, rng)
        viewers = list(viewers_of(world, rng))
        scene = Scene(world, load, viewers, checker, rng, quick=quick)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in (*load.runs(), *(viewer.run() for viewer in viewers))]
            try:
                yield Lane(plan, scene, on_round)
            finally:
                await end(running)
                await load.aclose()


def shuffled(plan: Plan, rng: random.Random, *, cut: bool) -> Iterator[str]:
    """The faults of a lane in an order that is drawn again each time; with `cut`, each fault once."""
    while True:
        deck = list(plan.faults)
        rng.shuffle(deck)
        yield from deck
        if cut:
            return
