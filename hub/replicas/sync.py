"""Synchronization: keeps replicas true where announcements alone do not.

A replica is synced when it is made, when a hole in it shows, when its clock has another epoch, and when the broker
is back. Meanwhile announcements wait in it, and its subscribers are paused.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import anyio

from statushub.hub.brokers.contract import Broker, Snapshot
from statushub.hub.metrics import Counts
from statushub.hub.model.cursor import Cursor, epoch_precedes
from statushub.hub.model.errors import BrokerUnavailable, HubBehind
from statushub.hub.replicas.lag import Lag
from statushub.hub.replicas.loader import Loader, Start
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scheduler import STEP_EVENTS, Scheduler

JOIN_SECONDS: Final = 1.0
"""How long after it was asked for a replica counts as awaited: a stream joins it after its request was answered."""

LOOK_SECONDS: Final = 1.0
"""Between reads of a clock of which a later life was shown: a hub that is behind is so for a moment."""

READABLE_SECONDS: Final = 5.0
"""How long a poll waits for its replica before it is answered that the broker is unavailable."""


class Synchronizer:
    """The syncs of a hub's replicas. `lost_at` is since when the broker is lost, on the monotonic clock, or None."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        counts: Counts,
        start: Start,
        scheduler: Scheduler,
        *,
        retry: tuple[float, float],
        patience: float,
    ) -> None:
        """`retry` is the first and the longest delay before a failed sync is retried; `patience` for how long what
        clients or other reads have shown of a later clock is looked for. In seconds.
        """
        self.lost_at: float | None = None
        self._broker = broker
        self._registry = registry
        self._start = start
        self._scheduler = scheduler
        self._losses = 0
        self._loader = Loader(
            broker,
            counts,
            start,
            retry=retry,
            remaining=self._remaining,
            losses=lambda: self._losses,
            take_in=self._take_in,
        )
        self._doubted: dict[Replica, float] = {}
        self._polls: Counter[Replica] = Counter()
        self._verifying: set[Replica] = set()
        self._lag = Lag(patience)
        self._patience = patience
        self._looking: set[str] = set()
        self._expected: dict[str, float] = {}

    @property
    def age(self) -> float:
        """For how many seconds the broker is lost; 0.0 while it is there."""
        return 0.0 if self.lost_at is None else time.monotonic() - self.lost_at

    def live(self, replicas: Sequence[Replica]) -> bool:
        """Whether announcements keep all of these true, on one epoch."""
        first = replicas[0]
        if len(replicas) == 1:
            return first.live
        return all(replica.live and replica.epoch == first.epoch for replica in replicas)

    def readable(self, replicas: Sequence[Replica]) -> bool:
        """Whether these stand at one moment of the clock: live, or frozen by one loss while the broker is lost."""
        if self.lost_at is None:
            return self.live(replicas)
        if len(replicas) == 1:
            return replicas[0].epoch is not None
        moments = {(replica.epoch, replica.frozen) for replica in replicas}
        return len(moments) == 1 and replicas[0].frozen > 0

    def obtain(self, tenant: str, channel: str) -> Replica:
        """The channel's replica, made where there is none; its first sync may be under way."""
        replica = self._registry.find(tenant, channel)
        if replica is None:
            replica = self._registry.add(tenant, channel)
            self.sync(replica)
        replica.touch()
        return replica

    async def obtain_readable(self, tenant: str, channel: str) -> Replica:
        """The channel's replica, once it can be read.

        Raises `BrokerUnavailable` where nothing is known of the channel and the broker cannot be asked.
        """
        replica = self.obtain(tenant, channel)
        with self._awaiting(replica), anyio.move_on_after(READABLE_SECONDS):
            while not self.readable((replica,)):
                if self.lost_at is not None:
                    break
                await replica.settled.wait()
        if not self.readable((replica,)):
            raise BrokerUnavailable("the broker cannot be reached, and nothing is known here of that channel")
        return replica

    def lost(self) -> None:
        """The broker is lost: replicas stay as they are, and their subscribers are paused."""
        self.lost_at = time.monotonic()
        self._losses += 1
        for replica in self._registry:
            if replica.live:
                replica.frozen = self._losses
            self._pause(replica)
            # Polls that wait for it may be answered with what it holds.
            replica.settled.set()
            replica.settled.clear()
        for directory in self._registry.directories():
            directory.lose(self._losses)

    def restored(self) -> None:
        """The broker is back: everything that was missed is read."""
        self.lost_at = None
        for replica in self._registry:
            self.sync(replica)
        for directory in self._registry.directories():
            directory.begin_survey()

    def sync(self, replica: Replica) -> None:
        """Read what is missing here, and be live again; returns immediately."""
        self._pause(replica)
        if not replica.syncing:
            replica.syncing = True
            self._loader.add(replica.tenant, [replica])

    async def drop(self, tenant: str, replicas: Sequence[Replica]) -> None:
        """Drop replicas of a tenant that have no subscribers, and for which no poll waits."""
        # One may have come while others were dropped.
        gone = [it for it in replicas if it in self._registry and not (it.subscribers or self._polls[it])]
        contents = sum(len(replica.events) for replica in gone)
        removals = [self._registry.removing(replica) for replica in gone]
        for replica in gone:
            self._end_sync(replica)
        await self._perform(_each(removals), contents)
        await self._broker.unsubscribe(tenant, [replica.channel for replica in gone])
        for replica in gone:
            successor = self._registry.find(tenant, replica.channel)
            if successor is not None:
                # It may have subscribed before this unsubscribed.
                self.sync(successor)

    def repair(self, replica: Replica) -> None:
        """Read what is missing here, since announcements of it were lost."""
        self._invalidate_overtaken(replica)
        self.sync(replica)

    def begin_anew(self, tenant: str, epoch: str) -> None:
        """The tenant's clock has another epoch: nothing known of it holds."""
        owner = self._registry.tenants.get(tenant)
        if owner is not None and epoch_precedes(owner.epoch, epoch):
            owner.epoch = epoch
        for replica in self._registry.of(tenant):
            self.sync(replica)
        directory = self._registry.directory(tenant)
        if directory is not None and directory.epoch != epoch:
            directory.begin_survey()

    def read_again(self, tenant: str) -> None:
        """Read what is missing in any channel of a tenant, also where a read is under way: it may be older than what
        was lost."""
        self._losses += 1
        for replica in self._registry.of(tenant):
            self.sync(replica)

    def resync(self, tenant: str) -> None:
        """Read what is missing in any channel of a tenant that is followed: announcements were lost, which shows before
        a later one was passed on."""
        for replica in self._registry.of(tenant):
            self.sync(replica)
        directory = self._registry.directory(tenant)
        if directory is not None:
            directory.begin_survey()

    def verify(self, replica: Replica) -> None:
        """Find out whether cursors ahead of what is known here are ahead of the clock, too, and so void."""
        if self.lost_at is None and replica not in self._verifying:
            self._start(self.verified, replica)

    async def verified(self, replica: Replica) -> Cursor | None:
        """As `verify`; returns the clock when it is found out, or None when a sync that is under way will find out."""
        self._verifying.add(replica)
        asked = [(it, it.cursor.offset) for it in replica.subscribers if it.cursor.epoch == replica.epoch]
        try:
            snapshot = await self._loader.changes(replica)
        except BrokerUnavailable:
            # A sync asks until it is answered, and then subscribers catch up.
            if replica in self._registry:
                self.sync(replica)
            return None
        finally:
            self._verifying.discard(replica)
        if replica.epoch != snapshot.cursor.epoch:
            self.begin_anew(replica.tenant, snapshot.cursor.epoch)
            return None
        if snapshot.events and snapshot.events[-1].offset > replica.last:
            # Announcements up to the clock have arrived, so those of these were lost.
            self.repair(replica)
        elif replica.live:
            # Nothing was read of other channels: to raise their `last` would hide what they may have missed.
            replica.last = max(replica.last, snapshot.cursor.offset)
        for subscriber, offset in asked:
            if offset > snapshot.cursor.offset:
                # Ahead of the clock: it was never issued.
                subscriber.invalidate()
        for subscriber in tuple(replica.subscribers):
            subscriber.catch_up()
        return snapshot.cursor

    async def reach(self, replica: Replica, cursor: Cursor) -> None:
        """Return once this replica, which is readable, is as far as `cursor`, or `cursor` is found void.

        Raises `HubBehind` where it is neither.
        """
        if cursor.epoch != replica.epoch:
            if self.expect(replica, cursor.epoch):
                raise HubBehind
            return
        if cursor.offset <= replica.last:
            return
        clock = await self.verified(replica)
        if clock is not None and clock.offset < cursor.offset:
            return
        with self._awaiting(replica), anyio.move_on_after(READABLE_SECONDS):
            while not replica.live and self.lost_at is None:
                await replica.settled.wait()
        if not replica.live or (replica.epoch == cursor.epoch and cursor.offset > replica.last):
            raise HubBehind

    def expect(self, replica: Replica, epoch: str) -> bool:
        """Look for another epoch of this replica's clock than the known one; False where it is void."""
        return self.expect_epoch(replica.tenant, replica.epoch or "", epoch)

    def expect_epoch(self, tenant: str, known: str, epoch: str) -> bool:
        """Look for another epoch of the tenant's clock than the known one; False where it is void."""
        if not self._lag.expect(tenant, known, epoch):
            return False
        self._expected[tenant] = time.monotonic()
        if tenant not in self._looking:
            self._looking.add(tenant)
            self._start(self._look, tenant)
        return True

    async def _look(self, tenant: str) -> None:
        """Read the tenant's clock each second while a later life of it is expected."""
        try:
            while time.monotonic() - self._expected[tenant] < self._patience:
                if self.lost_at is None:
                    with suppress(BrokerUnavailable):
                        clock = (await self._broker.offsets(tenant, [])).cursor
                        directory = self._registry.directory(tenant)
                        if any(replica.epoch != clock.epoch for replica in self._registry.of(tenant)) or (
                            directory is not None and directory.epoch != clock.epoch
                        ):
                            self.begin_anew(tenant, clock.epoch)
                await anyio.sleep(LOOK_SECONDS)
                # Those whose cursors have become void are reset.
                for replica in tuple(self._registry.of(tenant)):
                    for subscriber in tuple(replica.subscribers):
                        subscriber.catch_up()
                if (directory := self._registry.directory(tenant)) is not None:
                    directory.catch_up()
        finally:
            self._looking.discard(tenant)
            del self._expected[tenant]

    def void(self, tenant: str, clock: Cursor) -> None:
        """What was known of a later clock is void: the clock went back to this one."""
        owner = self._registry.tenants[tenant]
        self._lag.void(tenant, owner.epoch)
        owner.epoch = clock.epoch

    def outdated(self, tenant: str, clock: Cursor) -> bool:
        """Whether a read of the tenant came from a server that is behind what is known of its clock."""
        owner = self._registry.tenants.get(tenant)
        return owner is not None and epoch_precedes(clock.epoch, owner.epoch)

    def _behind(self, replica: Replica, clock: Cursor) -> bool:
        """Whether a read of the replica came from a server that is behind what is known."""
        went_back = clock.epoch == replica.epoch and clock.offset < replica.last
        return went_back or self.outdated(replica.tenant, clock)

    @contextmanager
    def _awaiting(self, replica: Replica) -> Iterator[None]:
        """A poll waits for the replica during the block."""
        self._polls[replica] += 1
        try:
            yield
        finally:
            self._polls[replica] -= 1
            if not self._polls[replica]:
                del self._polls[replica]

    def _pause(self, replica: Replica) -> None:
        """From now on announcements wait, and so do the subscribers of this replica."""
        for subscriber in replica.subscribers:
            subscriber.pause()
        replica.live = False
        replica.settled.clear()

    def _invalidate_overtaken(self, replica: Replica) -> None:
        """Reset the subscribers that saw later offsets of other channels before the hole in this one showed.

        What they missed has a lower offset than what they have, so no growing id can bring it to them.
        """
        for subscriber in replica.subscribers:
            if subscriber.spans_channels:
                subscriber.pause()
                subscriber.invalidate()

    def _invalidate_passed(self, replica: Replica, snapshot: Snapshot) -> None:
        """Reset the subscribers that saw later offsets of other channels than those of what is only read now: of a
        tenant that is followed, holes show by the announcements of any channel."""
        if snapshot.cursor.epoch != replica.epoch or self._registry.directory(replica.tenant) is None:
            return
        first = min((event.offset for event in snapshot.events if event.offset > replica.last), default=math.inf)
        for subscriber in replica.subscribers:
            cursor = subscriber.cursor
            if subscriber.spans_channels and cursor.epoch == replica.epoch and cursor.offset >= first:
                subscriber.pause()
                subscriber.invalidate()

    async def _take_in(self, replica: Replica, snapshot: Snapshot, losses: int) -> bool:
        """Take in what was read, and what was announced meanwhile. Returns whether the replica is live then; where
        something is missing, it is synced again. Few contents are taken in without letting other tasks run.

        `losses` is how often the broker had been lost before the read.
        """
        if losses != self._losses or replica not in self._registry:
            # What was read may be older than what was missed.
            self._loader.add(replica.tenant, [replica])
            return False
        owner = self._registry.tenants[replica.tenant]
        if self._behind(replica, snapshot.cursor):
            if self._doubt(replica):
                return False
            # It is not the server that is behind: the clock went back.
            self._lag.void(replica.tenant, owner.epoch)
            owner.epoch = snapshot.cursor.epoch
            contents = len(replica.events)
            replica.epoch = None
            await self._perform(replica.clearing(), contents)
            self._loader.add(replica.tenant, [replica])
            return False
        owner.epoch = snapshot.cursor.epoch
        self._invalidate_passed(replica, snapshot)
        await self._perform(replica.loading(snapshot), len(replica.events) + len(snapshot.events))
        overtaken = losses != self._losses or replica not in self._registry or owner.epoch != snapshot.cursor.epoch
        # All of it may have happened while it was taken in.
        if overtaken or not replica.replay():
            self._loader.add(replica.tenant, [replica])
            return False
        self._go_live(replica)
        return True

    async def _perform(self, work: Generator[None], contents: int) -> None:
        """Do work on this number of contents: immediately where it is one step, else in the scheduler's steps."""
        if contents > STEP_EVENTS:
            await self._scheduler.run(work)
        else:
            for _ in work:
                pass

    def _doubt(self, replica: Replica) -> bool:
        """Sync again in a while, where a read went back; False where it has done so for as long as `patience`."""
        since = self._doubted.setdefault(replica, time.monotonic())
        if time.monotonic() - since >= self._patience:
            return False
        self._loader.retry(replica.tenant, [replica])
        return True

    async def _remaining(self, tenant: str, replicas: Sequence[Replica], reading: bool) -> list[Replica]:
        """Those of these that are still to be synced. Drops those that are about to be read (`reading`) or never were,
        and that no viewer and no poll waits for."""
        remaining: list[Replica] = []
        unawaited: list[Replica] = []
        for replica in replicas:
            if self.lost_at is not None or replica not in self._registry:
                # They are synced when the broker is back.
                self._end_sync(replica)
            elif (reading or replica.epoch is None) and not self._awaited(replica):
                unawaited.append(replica)
            else:
                remaining.append(replica)
        if unawaited:
            await self.drop(tenant, unawaited)
        return remaining

    def _awaited(self, replica: Replica) -> bool:
        """Whether a viewer or a poll waits for it."""
        return bool(replica.subscribers or self._polls[replica] or time.monotonic() - replica.idle_since < JOIN_SECONDS)

    def _go_live(self, replica: Replica) -> None:
        replica.live = True
        self._end_sync(replica)
        replica.settled.set()
        owner = self._registry.tenants[replica.tenant]
        if owner.live_epoch != replica.epoch:
            owner.live_epoch = replica.epoch
            for other in owner.replicas.values():
                if other.live and other.epoch != replica.epoch:
                    self.sync(other)

    def _end_sync(self, replica: Replica) -> None:
        replica.syncing = False
        self._doubted.pop(replica, None)
        self._loader.forget(replica)


def _each(works: Iterable[Generator[None]]) -> Generator[None]:
    for work in works:
        yield from work
