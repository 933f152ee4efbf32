"""What happens to a replica while a long state is taken in, step by step, is noticed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Snapshot
from statushub.hub.hub import Hub
from statushub.hub.intervals import Intervals
from statushub.hub.model.cursor import Cursor, epoch_precedes
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.replicas.loader import SYNC_CHANNELS
from statushub.hub.replicas.polls import PageRequest
from statushub.hub.replicas.scheduler import STEP_EVENTS
from tests.support.publications import CHANNEL, update
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

CONTENTS = 3 * STEP_EVENTS


class Held:
    """A hub with a channel of many steps. Long work waits at `gate` before its first step; `began` tells of it."""

    def __init__(self, patience: float) -> None:
        self.broker = open_broker("memory:")
        self.hub = Hub(self.broker, patience=patience, intervals=Intervals(sync_retry=(0.01, 0.02)))
        self.began = anyio.Event()
        self.gate = anyio.Event()
        self.reads = 0
        self._changes, self._run = self.broker.changes, self.hub.scheduler.run
        self.broker.changes = self._counted  # type: ignore[method-assign]
        self.hub.scheduler.run = self._held  # type: ignore[method-assign]

    async def _counted(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        self.reads += 1
        return await self._changes(tenant, channel, since)

    async def _held(self, work: Generator[None, None, Any]) -> Any:
        self.began.set()
        await self.gate.wait()
        return await self._run(work)

    async def contents(self) -> int:
        """How many contents a poll finds."""
        return len((await self.hub.read(DEFAULT_TENANT, CHANNEL, PageRequest(limit=CONTENTS + 1))).events)


@asynccontextmanager
async def loading(patience: float = 60.0) -> AsyncIterator[Held]:
    """The channel's replica, of which everything has been read and nothing taken in."""
    held = Held(patience)
    async with held.broker, held.hub:
        for start in range(0, CONTENTS, STEP_EVENTS):
            updates = [update(str(number)) for number in range(start, start + STEP_EVENTS)]
            await held.broker.publish(DEFAULT_TENANT, updates)
        held.hub.synchronizer.obtain(DEFAULT_TENANT, CHANNEL)
        with anyio.fail_after(WAIT_SECONDS):
            await held.began.wait()
            assert held.reads == 1
            yield held


async def test_a_state_is_read_again_after_a_loss() -> None:
    """What was read may be older than what was missed."""
    async with loading() as held:
        held.hub.ingest.lost()
        held.hub.ingest.restored()
        held.gate.set()
        assert await held.contents() == CONTENTS
        assert held.hub.counts.syncs == 2


async def test_a_replica_that_is_dropped_takes_nothing_in() -> None:
    """Its successor has everything, and so has the tenant's index."""
    async with loading() as held:
        dropped = held.hub.registry.find(DEFAULT_TENANT, CHANNEL)
        assert dropped is not None
        await held.hub.synchronizer.drop(DEFAULT_TENANT, [dropped])
        held.gate.set()
        assert await held.contents() == CONTENTS
        successor = held.hub.registry.find(DEFAULT_TENANT, CHANNEL)
        assert successor is not None
        assert (len(dropped.events), dropped.live) == (0, False)
        assert held.hub.registry.tenants[DEFAULT_TENANT].contents == successor.events


async def test_a_state_is_read_again_after_a_later_epoch_showed() -> None:
    """A hub that has seen it does not show the former one before its patience ends."""
    async with loading(patience=0.1) as held:
        known = held.hub.registry.tenants[DEFAULT_TENANT].epoch
        later = known[:-1] + chr(ord(known[-1]) + 1) if known[-1] not in "9z" else known + "0"
        assert epoch_precedes(known, later)
        held.hub.synchronizer.begin_anew(DEFAULT_TENANT, later)
        held.gate.set()
        assert await held.contents() == CONTENTS
        assert held.reads >= 2


async def test_channels_without_contents_are_taken_in_without_a_step() -> None:
    """A turn of them costs no switch to another task for each."""
    async with loading() as held:
        held.began = anyio.Event()
        for number in range(SYNC_CHANNELS):
            held.hub.synchronizer.obtain("other", f"empty-{number}")
        replicas = held.hub.registry.of("other")
        while not all(replica.live for replica in replicas):
            await anyio.sleep(0.005)
        assert not held.began.is_set()
