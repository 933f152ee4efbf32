"""The faults. Each is injected under load, and returns when it is over."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast

import httpx
import msgspec

from statushub.hub.brokers.contract import SWEEP_GAP
from statushub.hub.intervals import Intervals
from tests.faults.checker import ANYTHING_LOST, NOTHING_LOST
from tests.faults.process import ASK_SECONDS, started, until_ready
from tests.faults.scene import EARLY_GRACE, STALL_GRACE, Outcome, Scene
from tests.faults.viewer import Viewer
from tests.faults.world import RedisWorld
from tests.support.tasks import end

CONVERGE_SECONDS: Final = 15.0
"""Within which every viewer must be right again: a reconnect by `retry` takes 4 s, a dead socket 4 s to notice, and
a broker 5 s to be given up; machines are slow at times."""

HUB_SECONDS: Final = 30.0
"""For a hub that was killed to serve again."""

PAUSE_SECONDS: Final = 20.0
QUICK_PAUSE_SECONDS: Final = 7.0
"""How long Redis is stopped; also the short one is over a hub's deadline, and over the gap between sweeps from
which on leases stand still (both 5 s)."""

STANDING_LEASE: Final = (5.0, 6.5)
"""Least and most seconds of a lease that would run out while Redis is stopped, if it did not stand still."""

STEP_SECONDS: Final = (2.0, 7200.0)
"""Least and most by which a clock is stepped: from what NTP does to a wrong time zone and back."""

STEPPED_GRACE: Final = 1.0
"""By so much a step of the clock may put a lease off: what had passed since the last sweep is not known."""

STORM_VIEWERS: Final = 100
FULL_BYTES: Final = 48 * 1024
"""What a file may hold on a full disk: less than the broker's log has after a few publications."""

Run = Callable[[Scene], Awaitable[Outcome]]


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """A fault: how the summary calls it, how it is done, and within how many seconds all must be well again."""

    title: str
    run: Run
    within: float = CONVERGE_SECONDS


def _redis(scene: Scene) -> RedisWorld:
    return cast(RedisWorld, scene.world)


async def kill_redis(scene: Scene) -> Outcome:
    """SIGKILL; it comes back with what its file holds, or with nothing where it keeps none."""
    world = _redis(scene)
    world.redis.kill()
    if not world.durable:
        # What it was once sent as a replica is on its disk.
        world.redis.forget()
    await scene.lasts(0.0, 2.0 if scene.quick else 7.0)
    await started(world.redis)
    kept = NOTHING_LOST if world.durable else ANYTHING_LOST
    return Outcome(kept_until=kept, mend=world.replicate if world.replicated else None)


async def empty_redis(scene: Scene) -> Outcome:
    """SIGKILL; it comes back without its data."""
    world = _redis(scene)
    world.redis.kill()
    world.redis.forget()
    await scene.lasts(0.0, 1.0)
    await started(world.redis)
    return Outcome(kept_until=ANYTHING_LOST)


async def pause_redis(scene: Scene) -> Outcome:
    """SIGSTOP: connections stay, nothing answers, and then all that was asked is done. No lease runs out by it."""
    world, lasts = _redis(scene), QUICK_PAUSE_SECONDS if scene.quick else PAUSE_SECONDS
    dead = await scene.load.abandon(scene.rng.uniform(*STANDING_LEASE))
    world.redis.pause()
    try:
        await asyncio.sleep(lasts)
    finally:
        world.redis.resume()
    # Meanwhile its lease stood still, to the sweep.
    stood = [msgspec.structs.replace(dead, ends=dead.ends + lasts)]
    return Outcome(then=lambda: scene.until_stalled(stood, late=STALL_GRACE + STEPPED_GRACE))


async def promote_replica(scene: Scene) -> Outcome:
    """The master dies, or becomes the replica of the other; the address leads to the other."""
    world = _redis(scene)
    kept_until = await world.replicated_at()
    await scene.lasts(0.0, 0.3)
    dies = scene.rng.random() < 0.5
    old, new = world.redis, world.replica
    if new is None:
        raise RuntimeError("there is no replica")
    if dies:
        old.kill()
    await asyncio.to_thread(new.command, "REPLICAOF", "NO", "ONE")
    world.take_over()
    if not dies:
        await asyncio.to_thread(old.command, "REPLICAOF", "127.0.0.1", str(new.port))
    return Outcome(kept_until=kept_until, mend=world.replicate)


async def kill_hub(scene: Scene) -> Outcome:
    """SIGKILL. Where there is another hub, viewers must make do with it; else it comes back at once."""
    hub = scene.rng.choice(scene.world.hubs)
    hub.kill()
    outcome = Outcome()

    async def restart() -> None:
        await started(hub)
        try:
            await until_ready(hub, HUB_SECONDS)
        except TimeoutError:
            scene.checker.violations.append(f"{hub.name} was started, and is not ready within {HUB_SECONDS:g} s")

    if len(scene.world.hubs) > 1:
        outcome.mend = restart
    else:
        await restart()
        outcome.over = time.monotonic()
    return outcome


async def pause_hub(scene: Scene) -> Outcome:
    """SIGSTOP, so long that viewers notice, or not."""
    hub = scene.rng.choice(scene.world.hubs)
    hub.signal(signal.SIGSTOP)
    try:
        await scene.lasts(0.5, 5.0 if scene.quick else 8.0)
    finally:
        hub.signal(signal.SIGCONT)
    return Outcome()


def _cuts(scene: Scene) -> int:
    return sum(proxy.cuts for proxy in scene.world.proxies)


def _drops(scene: Scene) -> int:
    return sum(dropper.dropped for dropper in scene.world.droppers)


async def cut_connections(scene: Scene) -> Outcome:
    """Again and again, every connection ends in the middle of what is being said on it."""
    before = _cuts(scene)
    for _ in range(2 if scene.quick else 4):
        proxies = scene.world.proxies
        for proxy in scene.rng.sample(proxies, scene.rng.randint(1, len(proxies))):
            proxy.cut()
        await scene.lasts(0.2, 1.5)
    await scene.until(lambda: _cuts(scene) > before, "no connection was cut: the fault was none")
    return Outcome()


async def drop_announcements(scene: Scene) -> Outcome:
    """Some get lost between Redis and a hub, and the last ones have none after them to show the hole."""
    share = scene.rng.uniform(0.05, 0.6)
    deaf = scene.rng.choice((scene.world.droppers, scene.world.droppers[:1], scene.world.droppers[1:]))
    before = _drops(scene)
    for dropper in deaf:
        dropper.share = share
    try:
        await scene.lasts(1.0, 3.0)
        if _drops(scene) == before:
            # Nobody views through that hub: since the other was away, everybody is there.
            for dropper in scene.world.droppers:
                dropper.share = share
        await scene.until(lambda: _drops(scene) > before, "no announcement was dropped: the fault was none")
        await scene.load.stop()
        # Some move to the other hub, which may have heard less than they have seen. Not those of several channels:
        # what was lost on one may lie before what they saw of another, and only the hub they leave can find that.
        for viewer in scene.viewers:
            if len(viewer.channels) == 1:
                viewer.leave()
    finally:
        for dropper in scene.world.droppers:
            dropper.share = 0.0
    return Outcome(announced=False)


async def stall_viewers(scene: Scene) -> Outcome:
    """Some read slowly, some nothing at all, while more is published than their sockets hold."""
    stalling = scene.rng.sample(scene.viewers, len(scene.viewers) // 3)
    scene.load.flooding = True
    for viewer in stalling:
        viewer.stall(slow=scene.rng.random() < 0.5)
    try:
        await scene.lasts(3.0, 5.0 if scene.quick else 8.0)
    finally:
        scene.load.flooding = False
        for viewer in stalling:
            viewer.revive()
    return Outcome()


async def storm(scene: Scene) -> Outcome:
    """Everybody leaves and comes back at once, several times over, and a crowd comes with them."""
    for _ in range(2 if scene.quick else 4):
        for viewer in scene.viewers:
            viewer.leave()
        hubs = [proxy.address for proxy in scene.world.fronts]
        crowd = [
            Viewer(f"crowd-{number}", hubs, scene.viewers[number % len(scene.viewers)].channels, scene.rng)
            for number in range(STORM_VIEWERS)
        ]
        tasks = [asyncio.create_task(viewer.run()) for viewer in crowd]
        try:
            await scene.lasts(0.3, 1.0)
        finally:
            await end(tasks)
        scene.passed += [(viewer.watch, viewer.taken()) for viewer in crowd]
    return Outcome()


async def step_clock(scene: Scene) -> Outcome:
    """The wall clock of the broker and its hubs jumps, forward or back, while workers live and one has died."""
    lease = scene.rng.uniform(3.0, 5.0)
    begun = [await scene.load.abandon(lease)]
    await scene.lasts(0.5, 1.5)
    step = scene.rng.choice((-1, 1)) * scene.rng.uniform(*STEP_SECONDS)
    scene.world.clock.step(step)
    begun.append(await scene.load.abandon(lease))
    # A step forward that is no longer than the gap takes its length from every lease.
    early = EARLY_GRACE + (step if 0 < step <= SWEEP_GAP else 0.0)
    return Outcome(seconds=await scene.until_stalled(begun, late=STALL_GRACE + STEPPED_GRACE, early=early))


async def fill_disk(scene: Scene) -> Outcome:
    """The file cannot grow: publishes are refused with 503 until there is room."""
    [hub] = scene.world.hubs
    hub.limit_files(FULL_BYTES)
    try:
        async with asyncio.timeout(CONVERGE_SECONDS):
            while await _probed(hub.base_url) != httpx.codes.SERVICE_UNAVAILABLE:
                await asyncio.sleep(ASK_SECONDS)
        await scene.lasts(1.0, 3.0)
    except TimeoutError:
        scene.checker.violations.append("the disk is full, and publishes are not refused")
    finally:
        hub.limit_files(-1)
    return Outcome()


async def _probed(url: str) -> int:
    """What a hub answers to a publish; 0 where it breaks off."""
    try:
        async with httpx.AsyncClient() as client:
            return (await client.post(f"{url}/api/publish", json=PROBE)).status_code
    except httpx.HTTPError:
        return 0


PROBE: Final = {"channel": "probes", "content_id": "probe", "data": {"status": "complete", "filler": "·" * 2000}}
"""Published to see whether there is room; in a channel of its own, which nobody views."""


async def kill_worker(scene: Scene) -> Outcome:
    """Workers die in the middle of their work: it ends as stalled for everybody, within its lease and 2 s."""
    begun = [await scene.load.abandon(scene.rng.uniform(0.5, 3.0)) for _ in range(scene.rng.randrange(1, 4))]
    return Outcome(seconds=await scene.until_stalled(begun))


INJECTIONS: Final[Mapping[str, Injection]] = {
    "redis-killed": Injection(title="Redis `kill -9`, restarted; with an AOF, then without", run=kill_redis),
    "redis-emptied": Injection(title="Redis `kill -9`, restarted without its data", run=empty_redis),
    "redis-paused": Injection(title="Redis stopped (SIGSTOP) for 20 s", run=pause_redis),
    "replica-promoted": Injection(title="A replica promoted, its master dead or demoted", run=promote_replica),
    "hub-killed": Injection(title="Hub `kill -9`", run=kill_hub),
    "hub-paused": Injection(title="Hub stopped (SIGSTOP) for up to 8 s", run=pause_hub),
    "connections-cut": Injection(title="Connections cut in mid-frame, to viewers and to Redis", run=cut_connections),
    "announcements-dropped": Injection(
        title="Announcements dropped, the last ones too",
        run=drop_announcements,
        within=Intervals().audit + CONVERGE_SECONDS,
    ),
    "viewers-stalled": Injection(title="Slow and stalled viewers, and a flood", run=stall_viewers),
    "reconnect-storm": Injection(title="Reconnect storm", run=storm),
    "clock-stepped": Injection(title="Clock stepped by up to 2 h, forward or back", run=step_clock),
    "disk-full": Injection(title="Disk full (embedded broker)", run=fill_disk),
    "worker-died": Injection(title="Worker died: its lease, and 2 s", run=kill_worker),
}
