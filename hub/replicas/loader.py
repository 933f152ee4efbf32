"""The loader: subscribes to replicas' channels and reads what is missing in them, the tenants in turn.

A turn asks how far many channels of a tenant are. Those that are empty, or have not changed, need no further read; each
of the others is read in a turn of its own.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import anyio
import anyio.lowlevel

from statushub.hub.brokers.contract import Broker, Offsets, Snapshot
from statushub.hub.metrics import Counts
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.turns import Turns

SYNC_CHANNELS: Final = 128
"""Most channels that one turn of a tenant syncs: a few milliseconds of the event loop, for which others wait."""

CONCURRENT_SYNCS: Final = 16
"""Turns held simultaneously, each by another tenant."""

CONCURRENT_READS: Final = 64
"""Channels read simultaneously: enough to fill a broker's pipeline, few enough to leave room for other calls."""

CONCURRENT_TENANT_READS: Final = 16
"""Channels of one tenant read simultaneously: enough to fill the event loop at a round trip of some milliseconds."""

PAUSE_SECONDS: Final = 0.005
"""How long viewers that catch up may hold the event loop."""

LOGGED_CHANNELS: Final = 3
"""Channels named in a log line about many."""

Start = Callable[..., None]
"""Starts a coroutine function with its arguments in the hub's task group: `start(work, *arguments)`."""

Remaining = Callable[[str, Sequence[Replica], bool], Awaitable[list[Replica]]]
"""Returns those of a tenant's replicas that are still to be loaded, when their turn has come. The last argument tells
whether their contents are about to be read."""

TakeIn = Callable[[Replica, Snapshot, int], Awaitable[bool]]
"""Takes in what was read after so many losses of the broker; returns whether the replica is live then. It lets other
tasks run only where there is much."""

logger = logging.getLogger(__name__)


class Loader:
    """Loads the replicas that are added, and retries until `remaining` no longer returns them."""

    def __init__(
        self,
        broker: Broker,
        counts: Counts,
        start: Start,
        *,
        retry: tuple[float, float],
        remaining: Remaining,
        losses: Callable[[], int],
        take_in: TakeIn,
    ) -> None:
        """`retry` is the first and the longest delay in seconds before a failed read is retried; `losses` returns how
        often the broker was lost."""
        self._broker = broker
        self._counts = counts
        self._start = start
        self._retry = retry
        self._remaining = remaining
        self._losses = losses
        self._take_in = take_in
        self._syncs = Turns(total=CONCURRENT_SYNCS, each=1)
        self._reads = Turns(total=CONCURRENT_READS, each=CONCURRENT_TENANT_READS)
        self._queues: dict[str, deque[Replica]] = {}
        self._backoffs: dict[Replica, Backoff] = {}

    def add(self, tenant: str, replicas: Iterable[Replica]) -> None:
        """Load these replicas of a tenant when it is its turn."""
        queue = self._queues.get(tenant)
        if queue is None:
            queue = self._queues[tenant] = deque()
            self._start(self._serve, tenant, queue)
        queue.extend(replicas)

    def retry(self, tenant: str, replicas: Sequence[Replica]) -> None:
        """As `add`, after a delay that grows until they are forgotten."""
        delays = [self._backoffs.setdefault(replica, Backoff(*self._retry)).next() for replica in replicas]
        self._start(self._add_later, tenant, replicas, max(delays))

    def forget(self, replica: Replica) -> None:
        """Begin anew with the delays of this replica, which was loaded or dropped."""
        self._backoffs.pop(replica, None)

    async def changes(self, replica: Replica) -> Snapshot:
        """What the channel has after the replica's cursor. Raises what `Broker.changes` does."""
        async with self._reads.turn(replica.tenant):
            return await self._broker.changes(replica.tenant, replica.channel, replica.cursor)

    async def _serve(self, tenant: str, queue: deque[Replica]) -> None:
        """Load what is queued of a tenant, some in each of its turns."""
        try:
            while queue:
                async with self._syncs.turn(tenant):
                    batch = [queue.popleft() for _ in range(min(len(queue), SYNC_CHANNELS))]
                    if remaining := await self._remaining(tenant, batch, False):
                        await self._sync(tenant, remaining)
        finally:
            del self._queues[tenant]

    async def _sync(self, tenant: str, replicas: Sequence[Replica]) -> None:
        """Subscribe, then take in those that need no read, and start reading the others."""
        self._counts.syncs += len(replicas)
        losses, channels = self._losses(), [replica.channel for replica in replicas]
        try:
            await self._broker.subscribe(tenant, channels)
            told = await self._broker.offsets(tenant, channels)
        except Exception as error:  # noqa: BLE001 - a failure of some channels must not end the streams of others
            self._failed(tenant, replicas, error)
            return
        live: list[Replica] = []
        for replica, offset in zip(replicas, told.offsets, strict=True):
            snapshot = _unchanged(replica, told, offset)
            if snapshot is None:
                self._start(self._read, replica)
            elif await self._take_in(replica, snapshot, losses):
                live.append(replica)
        await _catch_up(live)

    async def _read(self, replica: Replica) -> None:
        """Read a channel that is subscribed and has changed."""
        tenant = replica.tenant
        async with self._reads.turn(tenant):
            if not await self._remaining(tenant, [replica], True):
                return
            losses = self._losses()
            try:
                snapshot = await self._broker.changes(tenant, replica.channel, replica.cursor)
            except Exception as error:  # noqa: BLE001 - as in `_sync`
                self._failed(tenant, [replica], error)
                return
            # Within the turn, so that no more is in memory than what is read simultaneously.
            live = await self._take_in(replica, snapshot, losses)
        if live:
            await _catch_up([replica])

    def _failed(self, tenant: str, replicas: Sequence[Replica], error: Exception) -> None:
        named = ", ".join(repr(replica.channel) for replica in replicas[:LOGGED_CHANNELS])
        if isinstance(error, BrokerUnavailable):
            logger.debug("%d channels wait for the broker, %s first: %s", len(replicas), named, error.message)
        else:
            logger.error("%d channels cannot be read, %s first; retrying", len(replicas), named, exc_info=error)
        self.retry(tenant, replicas)

    async def _add_later(self, tenant: str, replicas: Sequence[Replica], delay: float) -> None:
        await anyio.sleep(delay)
        self.add(tenant, replicas)


def _unchanged(replica: Replica, told: Offsets, offset: int) -> Snapshot | None:
    """What a read of the channel would return, where that is no event; None where it has to be read."""
    since = replica.cursor
    known = since is not None and since.epoch == told.cursor.epoch
    if not offset:
        whole = not known or replica.last < told.floor
        return Snapshot(cursor=told.cursor, events=[], floor=told.floor, whole=whole)
    if known and offset <= replica.last:
        return Snapshot(cursor=told.cursor, events=[])
    return None


async def _catch_up(live: Sequence[Replica]) -> None:
    """Let the subscribers of these replicas catch up: each of them once, however many of these it reads."""
    began = time.monotonic()
    for subscriber in {subscriber: None for replica in live for subscriber in replica.subscribers}:
        if time.monotonic() - began > PAUSE_SECONDS:
            await anyio.lowlevel.checkpoint()
            began = time.monotonic()
        subscriber.catch_up()
