"""Following a channel within the process: the events that come, their order, and the clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.hub import Hub
from statushub.hub.model.event import Event
from tests.support.publications import update
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

TENANT, CHANNEL = "t", "films"


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """A hub over a broker in memory; its channel has the contents a and b."""
    broker = EmbeddedBroker(None)
    hub = Hub(broker)
    async with broker, hub:
        await publish(hub, "a", "b")
        yield hub


async def publish(hub: Hub, *content_ids: str) -> None:
    await hub.publish(TENANT, [update(content_id, channel=CHANNEL) for content_id in content_ids])


async def taken(events: AsyncGenerator[Event], count: int) -> list[str]:
    """The content ids of the next events."""
    async with asyncio.timeout(WAIT_SECONDS):
        return [(await anext(events)).content_id for _ in range(count)]


async def test_following_yields_the_state_and_then_events(hub: Hub) -> None:
    """As in a stream, the order is that of the clock."""
    async with aclosing(hub.follow(TENANT, CHANNEL)) as events:
        assert await taken(events, 2) == ["a", "b"]
        await publish(hub, "c", "a")
        assert await taken(events, 2) == ["c", "a"]


async def test_a_superseded_event_is_skipped_and_the_latest_is_not(hub: Hub) -> None:
    """A follower that is slower than its channel receives states, not a queue."""
    async with aclosing(hub.follow(TENANT, CHANNEL)) as events:
        await taken(events, 2)
        await publish(hub, "a", "a", "a", "z")
        assert await taken(events, 2) == ["a", "z"]


async def test_a_reset_yields_the_whole_state_again(hub: Hub) -> None:
    """A void cursor says nothing about what the follower has seen."""
    async with aclosing(hub.follow(TENANT, CHANNEL)) as events:
        await taken(events, 2)
        replica = hub.registry.find(TENANT, CHANNEL)
        assert replica is not None
        [follower] = replica.subscribers
        follower.invalidate()
        follower.catch_up()
        assert await taken(events, 2) == ["a", "b"]
        assert hub.counts.resets == 1


async def test_a_closed_follower_unsubscribes(hub: Hub) -> None:
    """Its replica has no subscriber left and can be evicted."""
    async with aclosing(hub.follow(TENANT, CHANNEL)) as events:
        await taken(events, 1)
        replica = hub.registry.find(TENANT, CHANNEL)
        assert replica is not None
        assert len(replica.subscribers) == len(replica.pollers) == 1
    assert not replica.subscribers
    assert not replica.pollers
    await hub.synchronizer.drop(replica.tenant, [replica])
    assert not list(hub.registry)
