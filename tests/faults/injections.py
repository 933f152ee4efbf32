"""The faults. Each is injected under load, and its function returns when it is over."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import cycle
from typing import Final, cast

import httpx
import msgspec

from statushub.hub.brokers.contract import SWEEP_GAP
from statushub.hub.intervals import Intervals
from tests.faults.checker import ANYTHING_LOST, NOTHING_LOST
from tests.faults.load import CHANNELS
from tests.faults.process import ASK_SECONDS, PATIENCE_SECONDS, started, until_ready
from tests.faults.scene import EARLY_GRACE, STALL_GRACE, Outcome, Scene
from tests.faults.viewer import Viewer
from tests.faults.world import EmbeddedWorld, RedisWorld
from tests.support.ports import free_port
from tests.support.tasks import end

CONVERGE_SECONDS: Final = 15.0
"""The time in which every view must converge: a reconnect by `retry` takes 4 s, noticing a dead socket 4 s, and giving
up on a broker 5 s; the rest is for slow machines."""

HUB_SECONDS: Final = 30.0
"""The time limit for a killed hub to serve again."""

PAUSE_SECONDS: Final = 20.0
QUICK_PAUSE_SECONDS: Final = 7.0
"""How long Redis is stopped. Both exceed a hub's deadline, and the gap between sweeps beyond which leases are extended
(both 5 s)."""

PAUSED_LEASE: Final = (5.0, 6.5)
"""The range of a lease in seconds that would expire while Redis is stopped, if it were not extended."""

STEP_SECONDS: Final = (2.0, 7200.0)
"""The range of a clock step: from a correction by NTP to a wrong time zone."""

STEPPED_GRACE: Final = 1.0
"""The delay of a lease by a step of the clock: the time since the last sweep is unknown."""

PREFIX: Final = "hub:{default}"
CLOCK: Final = f"{PREFIX}:clock"

STORM_VIEWERS: Final = 100
FULL_BYTES: Final = 48 * 1024
"""The limit of a file on a full disk: the broker's log exceeds it after a few publications."""

Run = Callable[[Scene], Awaitable[Outcome]]


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """A fault: its title in the summary, its function, and the time limit for convergence."""

    title: str
    run: Run
    within: float = CONVERGE_SECONDS


def _redis(scene: Scene) -> RedisWorld:
    return cast(RedisWorld, scene.world)


async def kill_redis(scene: Scene) -> Outcome:
    """SIGKILL and restart, with the data in the file, or without any where there is no file."""
    world = _redis(scene)
    world.redis.kill()
    if not world.durable:
        # The server has written the data that it received as a replica.
        world.redis.forget()
    await scene.lasts(0.0, 2.0 if scene.quick else 7.0)
    await started(world.redis)
    kept = NOTHING_LOST if world.durable else ANYTHING_LOST
    return Outcome(kept_until=kept, mend=world.replicate if world.replicated else None)


async def empty_redis(scene: Scene) -> Outcome:
    """SIGKILL and restart without the data."""
    world = _redis(scene)
    world.redis.kill()
    world.redis.forget()
    await scene.lasts(0.0, 1.0)
    await started(world.redis)
    return Outcome(kept_until=ANYTHING_LOST)


async def pause_redis(scene: Scene) -> Outcome:
    """SIGSTOP: connections stay open, and pending commands run afterwards. No lease expires meanwhile."""
    world, lasts = _redis(scene), QUICK_PAUSE_SECONDS if scene.quick else PAUSE_SECONDS
    dead = await scene.load.abandon(scene.rng.uniform(*PAUSED_LEASE))
    world.redis.pause()
    try:
        await asyncio.sleep(lasts)
    finally:
        world.redis.resume()
    # The lease is extended by the pause, up to the interval of sweeps.
    extended = [msgspec.structs.replace(dead, ends=dead.ends + lasts)]
    return Outcome(then=lambda: scene.until_stalled(extended, late=STALL_GRACE + STEPPED_GRACE))


async def promote_replica(scene: Scene) -> Outcome:
    """The master dies or becomes the replica's replica, and the address leads to the promoted server."""
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


async def leave_hub_behind(scene: Scene) -> Outcome:
    """One hub is cut off from Redis, which restarts with its data, and viewers move between the hubs."""
    world = _redis(scene)
    proxy = scene.rng.choice(world.brokers[:-1])
    reachable = proxy.target
    proxy.target = ("127.0.0.1", free_port())
    proxy.sever()
    try:
        await scene.lasts(0.0, 0.5)
        world.redis.kill()
        await started(world.redis)
        for _ in range(2 if scene.quick else 5):
            await scene.lasts(0.3, 1.0)
            for viewer in scene.rng.sample(scene.viewers, len(scene.viewers) // 2):
                viewer.leave()
    finally:
        proxy.target = reachable
    return Outcome()


async def flip_master(scene: Scene) -> Outcome:
    """The master becomes a replica of nothing that answers, and is promoted again, without a restart."""
    world = _redis(scene)
    for _ in range(1 if scene.quick else 3):
        await asyncio.to_thread(world.redis.command, "REPLICAOF", "127.0.0.1", str(free_port()))
        await scene.lasts(0.0, 1.0)
        await asyncio.to_thread(world.redis.command, "REPLICAOF", "NO", "ONE")
        await scene.lasts(0.0, 1.0)
    return Outcome()


async def delete_clock(scene: Scene) -> Outcome:
    """The tenant's clock is deleted, or a part of it, while its channels stay."""
    world = _redis(scene)
    parts = scene.rng.choice((["DEL", CLOCK], ["HDEL", CLOCK, "offset"], ["HDEL", CLOCK, "epoch", "replid"]))
    await asyncio.to_thread(world.redis.command, *parts)
    return Outcome()


async def fill_redis(scene: Scene) -> Outcome:
    """Redis is full, with a policy that evicts what has a TTL: publishes are refused until there is memory."""
    world = _redis(scene)
    await asyncio.to_thread(world.redis.command, "CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    await asyncio.to_thread(world.redis.command, "CONFIG", "SET", "maxmemory", "1mb")
    try:
        await scene.lasts(1.0, 3.0)
    finally:
        await asyncio.to_thread(world.redis.command, "CONFIG", "SET", "maxmemory", "0")
    return Outcome()


async def write_foreign_keys(scene: Scene) -> Outcome:
    """Another program's values lie where contents and channels would be stored."""
    world, number = _redis(scene), scene.rng.randrange(10**6)
    for command in (
        ("SET", f"{PREFIX}:content:foreign-{number}", "text"),
        ("ZADD", f"{PREFIX}:channel:{scene.rng.choice(CHANNELS)}", "1", f"foreign-{number}"),
        ("ZADD", f"{PREFIX}:leases", "1", f"foreign-{number}"),
        ("ZADD", f"{PREFIX}:ends", "1", f"foreign-{number}"),
        ("RPUSH", f"{PREFIX}:channel:foreign-{number}", "text"),
    ):
        await asyncio.to_thread(world.redis.command, *command)
    await scene.lasts(0.5, 1.5)
    return Outcome()


async def restore_file(scene: Scene) -> Outcome:
    """The hub is killed, and a copy of its file that was made under load takes the file's place."""
    world = cast(EmbeddedWorld, scene.world)
    [hub] = world.hubs
    hub.kill()
    # What is acknowledged by now is in the copy.
    kept_until = time.monotonic()
    world.save_copy()
    await started(hub)
    await until_ready(hub, HUB_SECONDS)
    await scene.lasts(0.5, 2.0)
    hub.kill()
    world.restore_copy()
    await started(hub)
    await until_ready(hub, HUB_SECONDS)
    return Outcome(kept_until=kept_until)


async def kill_hub(scene: Scene) -> Outcome:
    """SIGKILL. Viewers use the other hub where there is one; otherwise the hub is restarted immediately."""
    hub = scene.rng.choice(scene.world.hubs)
    hub.kill()
    outcome = Outcome()

    async def restart() -> None:
        await started(hub)
        try:
            await until_ready(hub, HUB_SECONDS)
        except TimeoutError:
            scene.checker.violations.append(f"{hub.name} was restarted, and is not ready within {HUB_SECONDS:g} s")

    if len(scene.world.hubs) > 1:
        outcome.mend = restart
    else:
        await restart()
        outcome.over = time.monotonic()
    return outcome


async def pause_hub(scene: Scene) -> Outcome:
    """SIGSTOP, for a time that viewers may notice or not."""
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
    """Cut every connection in the middle of a frame, repeatedly."""
    before = _cuts(scene)
    for _ in range(2 if scene.quick else 4):
        proxies = scene.world.proxies
        for proxy in scene.rng.sample(proxies, scene.rng.randint(1, len(proxies))):
            proxy.cut()
        await scene.lasts(0.2, 1.5)
    await scene.until(lambda: _cuts(scene) > before, "no connection was cut: no fault was injected")
    return Outcome()


async def drop_announcements(scene: Scene) -> Outcome:
    """Drop announcements between Redis and a hub, the last ones included, after which no other shows the gap."""
    share = scene.rng.uniform(0.05, 0.6)
    deaf = scene.rng.choice((scene.world.droppers, scene.world.droppers[:1], scene.world.droppers[1:]))
    before = _drops(scene)
    for dropper in deaf:
        dropper.share = share
    try:
        await scene.lasts(1.0, 3.0)
        if _drops(scene) == before:
            # That hub has no viewers: all of them moved when it was away.
            for dropper in scene.world.droppers:
                dropper.share = share
        await scene.until(lambda: _drops(scene) > before, "no announcement was dropped: no fault was injected")
        await scene.load.stop()
        # Some move to the other hub, which may be behind their cursor. Viewers of several channels stay: an event that
        # was lost on one channel may precede what they saw of another, which only the hub that they leave can detect.
        for viewer in scene.viewers:
            if len(viewer.channels) == 1:
                viewer.leave()
    finally:
        for dropper in scene.world.droppers:
            dropper.share = 0.0
    return Outcome(announced=False)


async def stall_viewers(scene: Scene) -> Outcome:
    """Some viewers read slowly, some not at all, while the events exceed their socket buffers."""
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
    """All viewers reconnect simultaneously, several times, together with many more."""
    for _ in range(2 if scene.quick else 4):
        for viewer in scene.viewers:
            viewer.leave()
        hubs = [proxy.address for proxy in scene.world.fronts]
        crowd = [
            Viewer(f"crowd-{number}", hubs, model.channels, scene.rng, model.transport)
            for number, model in zip(range(STORM_VIEWERS), cycle(scene.viewers), strict=False)
        ]
        tasks = [asyncio.create_task(viewer.run()) for viewer in crowd]
        try:
            await scene.lasts(0.3, 1.0)
        finally:
            await end(tasks)
        scene.passed += [taken for viewer in crowd for taken in viewer.taken()]
    return Outcome()


async def step_clock(scene: Scene) -> Outcome:
    """Step the wall clock of the broker and its hubs while live workers and dead ones hold leases."""
    lease = scene.rng.uniform(3.0, 5.0)
    begun = [await scene.load.abandon(lease)]
    await scene.lasts(0.5, 1.5)
    step = scene.rng.choice((-1, 1)) * scene.rng.uniform(*STEP_SECONDS)
    scene.world.clock.step(step)
    begun.append(await scene.load.abandon(lease))
    # A step forward within the gap limit shortens every lease by its length.
    early = EARLY_GRACE + (step if 0 < step <= SWEEP_GAP else 0.0)
    return Outcome(seconds=await scene.until_stalled(begun, late=STALL_GRACE + STEPPED_GRACE, early=early))


async def fill_disk(scene: Scene) -> Outcome:
    """The file cannot grow: publishes are refused with 503 until there is space."""
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
    """The status of the answer to a publish; 0 where the connection fails."""
    try:
        async with httpx.AsyncClient() as client:
            return (await client.post(f"{url}/api/publish", json=PROBE)).status_code
    except httpx.HTTPError:
        return 0


PROBE: Final = {"channel": "probes", "content_id": "probe", "data": {"status": "complete", "filler": "·" * 2000}}
"""Published to find out whether there is space, in a channel without viewers."""


async def kill_worker(scene: Scene) -> Outcome:
    """Workers die during their work: their contents end as stalled for every viewer, within the lease and 2 s."""
    begun = [await scene.load.abandon(scene.rng.uniform(0.5, 3.0)) for _ in range(scene.rng.randrange(1, 4))]
    return Outcome(seconds=await scene.until_stalled(begun))


INJECTIONS: Final[Mapping[str, Injection]] = {
    "hub-late": Injection(title="A hub cut off from Redis, which restarts meanwhile", run=leave_hub_behind),
    "master-flipped": Injection(title="A master demoted and promoted again without a restart", run=flip_master),
    "clock-deleted": Injection(
        title="The tenant's clock deleted, or a part of it",
        run=delete_clock,
        # Where Redis' own clock was set back before, the new epoch is older: an audit finds it, and then it is doubted.
        within=Intervals().audit + PATIENCE_SECONDS + CONVERGE_SECONDS,
    ),
    "redis-full": Injection(title="Redis full, with a policy that evicts keys with a TTL", run=fill_redis),
    "foreign-keys": Injection(title="Other programs' keys in the place of ours", run=write_foreign_keys),
    "file-restored": Injection(title="A copy of the embedded broker's file restored", run=restore_file),
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
