"""Synchronization: keeps replicas true where announcements alone do not.

A replica is synced when it is made, when a hole in it shows, when its clock has another epoch, and when the broker
is back. Meanwhile announcements wait in it, and its subscribers are paused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import anyio

from statushub.hub.brokers.contract import Broker
from statushub.hub.metrics import Counts
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.cursor import Cursor, epoch_precedes
from statushub.hub.model.errors import BrokerUnavailable, HubBehind
from statushub.hub.replicas.lag import Lag
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica

CONCURRENT_SYNCS: Final = 64
"""Replicas synced simultaneously: enough to fill a broker's pipeline, few enough to leave room for other calls."""

LOOK_SECONDS: Final = 1.0
"""Between reads of a clock of which a later life was shown: a hub that is behind is so for a moment."""

READABLE_SECONDS: Final = 5.0
"""How long a poll waits for its replica before it is answered that the broker is unavailable."""

Start = Callable[..., None]
"""Starts a coroutine function with its arguments in the hub's task group: `start(work, *arguments)`."""

logger = logging.getLogger(__name__)


class Synchronizer:
    """The syncs of a hub's replicas. `lost_at` is since when the broker is lost, on the monotonic clock, or None."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        counts: Counts,
        start: Start,
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
        self._counts = counts
        self._start = start
        self._retry = retry
        self._losses = 0
        self._slots = anyio.Semaphore(CONCURRENT_SYNCS)
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
        epoch = replicas[0].epoch
        return all(replica.live and replica.epoch == epoch for replica in replicas)

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
        with anyio.move_on_after(READABLE_SECONDS):
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
            replica.settled = asyncio.Event()

    def restored(self) -> None:
        """The broker is back: everything that was missed is read."""
        self.lost_at = None
        for replica in self._registry:
            self.sync(replica)

    def sync(self, replica: Replica) -> None:
        """Read what is missing here, and be live again; returns immediately."""
        self._pause(replica)
        if not replica.syncing:
            replica.syncing = True
            self._start(self._sync, replica)

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

    def verify(self, replica: Replica) -> None:
        """Find out whether cursors ahead of what is known here are ahead of the clock, too, and so void."""
        if self.lost_at is None and replica not in self._verifying:
            self._start(self.verified, replica)

    async def verified(self, replica: Replica) -> Cursor | None:
        """As `verify`; returns the clock when it is found out, or None when a sync that is under way will find out."""
        self._verifying.add(replica)
        asked = [subscriber for subscriber in replica.subscribers if subscriber.cursor.epoch == replica.epoch]
        try:
            async with self._slots:
                snapshot = await self._broker.changes(replica.tenant, replica.channel, replica.cursor)
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
        for subscriber in asked:
            if subscriber.cursor.offset > snapshot.cursor.offset:
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
        with anyio.move_on_after(READABLE_SECONDS):
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
                        if any(replica.epoch != clock.epoch for replica in self._registry.of(tenant)):
                            self.begin_anew(tenant, clock.epoch)
                await anyio.sleep(LOOK_SECONDS)
                # Those whose cursors have become void are reset.
                for replica in tuple(self._registry.of(tenant)):
                    for subscriber in tuple(replica.subscribers):
                        subscriber.catch_up()
        finally:
            self._looking.discard(tenant)
            del self._expected[tenant]

    def outdated(self, tenant: str, clock: Cursor) -> bool:
        """Whether a read of the tenant came from a server that is behind what is known of its clock."""
        owner = self._registry.tenants.get(tenant)
        return owner is not None and epoch_precedes(clock.epoch, owner.epoch)

    def _behind(self, replica: Replica, clock: Cursor) -> bool:
        """Whether a read of the replica came from a server that is behind what is known."""
        went_back = clock.epoch == replica.epoch and clock.offset < replica.last
        return went_back or self.outdated(replica.tenant, clock)

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

    async def _sync(self, replica: Replica) -> None:
        """Subscribe, then read, then take in what was announced meanwhile, until nothing is missing."""
        backoff = Backoff(*self._retry)
        doubted: float | None = None
        try:
            while self.lost_at is None and replica in self._registry:
                self._counts.syncs += 1
                losses = self._losses
                try:
                    async with self._slots:
                        if replica not in self._registry:
                            return
                        await self._broker.subscribe(replica.tenant, replica.channel)
                        snapshot = await self._broker.changes(replica.tenant, replica.channel, replica.cursor)
                except BrokerUnavailable as error:
                    logger.debug("channel %r waits for the broker: %s", replica.channel, error.message)
                    await anyio.sleep(backoff.next())
                    continue
                except Exception:
                    # A failure of one channel must not end the streams of the others.
                    logger.exception("channel %r cannot be read; retrying", replica.channel)
                    await anyio.sleep(backoff.next())
                    continue
                if losses != self._losses or replica not in self._registry:
                    continue  # what was read may be older than what was missed
                if self._behind(replica, snapshot.cursor):
                    doubted = doubted or time.monotonic()
                    if time.monotonic() - doubted < self._patience:
                        await anyio.sleep(backoff.next())
                        continue
                    # It is not the server that is behind: the clock went back.
                    replica.clear()
                    replica.epoch = None
                    self._registry.tenants[replica.tenant].epoch = snapshot.cursor.epoch
                    continue
                self._registry.tenants[replica.tenant].epoch = snapshot.cursor.epoch
                replica.load(snapshot)
                if replica.replay():
                    self._go_live(replica)
                    return
        finally:
            replica.syncing = False

    def _go_live(self, replica: Replica) -> None:
        replica.live = True
        replica.syncing = False
        replica.settled.set()
        for other in self._registry.of(replica.tenant):
            if other.live and other.epoch != replica.epoch:
                self.sync(other)
        for subscriber in tuple(replica.subscribers):
            subscriber.catch_up()
