"""Replicas that are in use are not evicted, however little memory is left for idle ones."""

from __future__ import annotations

import asyncio

import pytest

from statushub.hub.auth.identity import ANONYMOUS
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.hub import Hub
from statushub.hub.intervals import Intervals
from statushub.hub.replicas.polls import PageRequest
from tests.support.held_broker import HeldBroker
from tests.support.publications import update
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TENANT = ANONYMOUS.tenant


async def test_a_channel_that_a_poll_waits_for_is_not_evicted() -> None:
    """The poll is answered once the channel was read, however long that takes."""
    broker = EmbeddedBroker(None)
    held = HeldBroker(broker)
    hub = Hub(broker, intervals=Intervals(idle=0.0, eviction=3600.0))
    async with broker, hub:
        await broker.publish(TENANT, [update("a", channel="c")])
        held.reads.shut()
        poll = asyncio.create_task(hub.read(TENANT, "c", PageRequest(limit=10)))
        await until(lambda: held.reads.waiting)
        await hub.evictor.evict()
        held.reads.open()
        reading = await poll
        assert [event.content_id for event in reading.events] == ["a"]
