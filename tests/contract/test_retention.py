"""Contents vanish `retention` seconds after their last event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from tests.support.publications import CHANNEL, accepted, update

pytestmark = pytest.mark.anyio

RETENTION = 0.2
WAIT_SECONDS = 20.0


@pytest.fixture
async def forgetful(url: str) -> AsyncIterator[Broker]:
    """A broker with a very short retention."""
    async with open_broker(url, retention=RETENTION) as broker:
        yield broker


async def vanished(broker: Broker, tenant: str, *content_ids: str) -> None:
    """Return once none of the contents can be looked up."""
    async with asyncio.timeout(WAIT_SECONDS):
        while any((await broker.lookup(tenant, content_ids)).events):
            await asyncio.sleep(0)


async def test_contents_vanish(forgetful: Broker, tenant: str) -> None:
    """They are neither looked up nor read; the clock stays."""
    cursor = await accepted(forgetful, tenant, update("a", "complete"))
    await vanished(forgetful, tenant, "a")
    snapshot = await forgetful.changes(tenant, CHANNEL)
    assert snapshot.events == []
    assert snapshot.cursor == cursor


async def test_the_last_event_counts(forgetful: Broker, tenant: str) -> None:
    """A content with new events outlives one without."""
    await forgetful.publish(tenant, [update("silent"), update("speaking")])
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            await accepted(forgetful, tenant, update("speaking"))
            silent, speaking = (await forgetful.lookup(tenant, ["silent", "speaking"])).events
            assert speaking is not None or silent is None
            if silent is None and speaking is not None:
                break
    read = [event.content_id for event in (await forgetful.changes(tenant, CHANNEL)).events]
    assert read in (["speaking"], [])


async def test_a_vanished_content_begins_again(forgetful: Broker, tenant: str) -> None:
    """Its fence and its channel are forgotten with it; the offset still grows."""
    first = await accepted(forgetful, tenant, update("a", "complete", attempt=9, seq=9))
    await vanished(forgetful, tenant, "a")
    again = await accepted(forgetful, tenant, update("a", channel="books", attempt=1, seq=1))
    assert again.offset > first.offset
    assert again.epoch == first.epoch


async def test_a_content_that_changed_its_channel_is_in_one(forgetful: Broker, tenant: str) -> None:
    """A content that vanished and came back in another channel is not read in the old one."""
    await accepted(forgetful, tenant, update("mover", channel="films"))
    async with asyncio.timeout(WAIT_SECONDS):
        while any((await forgetful.lookup(tenant, ["mover"])).events):
            await accepted(forgetful, tenant, update("stayer", channel="films"))
    await accepted(forgetful, tenant, update("mover", channel="books"))
    films = await forgetful.changes(tenant, "films")
    assert "mover" not in [event.content_id for event in films.events]
    assert {event.channel for event in films.events} <= {"films"}


async def test_a_vanished_content_is_not_stalled(forgetful: Broker, tenant: str) -> None:
    """A lease that outlived its content ends nothing, and no new content of that name either."""
    await accepted(forgetful, tenant, update("a", lease=60))
    await vanished(forgetful, tenant, "a")
    assert await forgetful.expire(time.time() + 3600) == 0
    await accepted(forgetful, tenant, update("a"))
    assert await forgetful.expire(time.time() + 3601) == 0


async def test_a_publication_may_have_its_own_retention(forgetful: Broker, tenant: str) -> None:
    """A retention that is passed with a publish replaces the broker's, longer or shorter."""
    await forgetful.publish(tenant, [update("kept")], retention=3600)
    await accepted(forgetful, tenant, update("passing"))
    await vanished(forgetful, tenant, "passing")
    assert [event.content_id for event in (await forgetful.changes(tenant, CHANNEL)).events] == ["kept"]
    async with open_broker("memory:") as lasting:
        await lasting.publish(tenant, [update("short")], retention=RETENTION)
        await vanished(lasting, tenant, "short")
