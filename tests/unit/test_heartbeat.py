"""Heartbeats: viewers of one interval share its task and its slots, whatever the interval."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from statushub.hub.auth.identity import ANONYMOUS
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.hub import Hub
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.viewer import State
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

SHORT = 0.03
"""An interval that is not the hub's, in seconds."""


class CountingTransport(asyncio.Transport):
    """Counts the heartbeats written."""

    def __init__(self) -> None:
        super().__init__()
        self.beats = 0
        self.beaten = asyncio.Event()

    def write(self, data: Any) -> None:
        if b"event: heartbeat" in data:
            self.beats += 1
            self.beaten.set()

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@asynccontextmanager
async def running_hub() -> AsyncIterator[Hub]:
    """A hub whose own heartbeats are too far apart to be seen."""
    broker = EmbeddedBroker(None)
    hub = Hub(broker, heartbeat=3600.0)
    async with broker, hub:
        yield hub


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with running_hub() as hub:
        yield hub


def opened(hub: Hub, heartbeat: float | None = None) -> tuple[PushViewer, CountingTransport]:
    """A viewer that asks for this interval, and its connection."""
    viewer = hub.push_viewer(ANONYMOUS, "", ["c"], None, connections=set(), stalled=False, heartbeat=heartbeat)
    transport = CountingTransport()
    viewer.connection_made(transport)
    return viewer, transport


async def beat(transport: CountingTransport, times: int) -> None:
    """Return after so many further heartbeats."""
    async with asyncio.timeout(WAIT_SECONDS):
        last = transport.beats + times
        while transport.beats < last:
            transport.beaten.clear()
            await transport.beaten.wait()


async def test_an_interval_has_one_task_as_long_as_it_has_viewers(hub: Hub) -> None:
    """The task serves all viewers of the interval, ends with the last one, and begins again with the next."""
    opened(hub)
    async with asyncio.timeout(WAIT_SECONDS):
        await next(iter(hub.registry)).settled.wait()
    tasks = len(asyncio.all_tasks())
    for _ in range(2):
        viewers = [opened(hub, SHORT) for _ in range(3)]
        for _, transport in viewers:
            await beat(transport, 2)
        assert len(asyncio.all_tasks()) == tasks + 1
        for viewer, _ in viewers:
            viewer.connection_lost(None)
        async with asyncio.timeout(WAIT_SECONDS):
            while len(asyncio.all_tasks()) > tasks:
                await asyncio.sleep(0)


async def test_viewers_of_other_intervals_get_none_of_its_heartbeats(hub: Hub) -> None:
    """The hub's interval holds for a viewer that asks for none."""
    _, own = opened(hub)
    _, other = opened(hub, SHORT)
    await beat(other, 3)
    assert own.beats == 0


async def test_a_hub_that_stops_closes_viewers_of_every_interval(hub: Hub) -> None:
    """Each of them is told to reconnect."""
    viewers = [opened(hub, interval)[0] for interval in (None, SHORT, 7)]
    hub.drain()
    assert [viewer.state for viewer in viewers] == [State.CLOSED] * 3


async def test_an_own_interval_costs_a_viewer_no_memory() -> None:
    """A thousand idle viewers take the same with it: what they share is made for the first one."""
    taken = []
    # The first rounds also take what the interpreter keeps.
    for heartbeat in (None, 4, None, 4):
        async with running_hub() as hub:
            opened(hub, heartbeat)
            # The sets of the slots grow in steps: the same slots, the same memory.
            random.seed(0)
            tracemalloc.start()
            viewers = [opened(hub, heartbeat) for _ in range(1_000)]
            taken.append(tracemalloc.get_traced_memory()[0] / len(viewers))
            tracemalloc.stop()
    assert abs(taken[3] - taken[2]) < 4
