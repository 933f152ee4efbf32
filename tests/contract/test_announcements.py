"""Announcements: which reach the listener, and in which order."""

from __future__ import annotations

import asyncio

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from tests.support.publications import CHANNEL, accepted, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio


async def test_an_announcement_is_the_event(broker: Broker, tenant: str, listener: Recorder) -> None:
    """It carries the event that `changes` reads, the epoch and the tenant."""
    await broker.subscribe(tenant, [CHANNEL])
    cursor = await accepted(broker, tenant, update("a", progress=45))
    await listener.count(1)
    (announcement,) = listener.announcements
    assert announcement.tenant == tenant
    assert announcement.epoch == cursor.epoch
    assert announcement.event.offset == cursor.offset
    assert [announcement.event] == (await broker.changes(tenant, CHANNEL)).events


async def test_prev_chains_each_channel(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Each announcement names the channel's previous offset, so that a gap can be detected."""
    for channel in ("films", "books"):
        await broker.subscribe(tenant, [channel])
    for n in range(12):
        await accepted(broker, tenant, update(f"c{n % 4}", channel=("films", "books")[n % 2]))
    await listener.count(12)
    last = {"films": 0, "books": 0}
    for announcement in listener.announcements:
        assert announcement.prev == last[announcement.event.channel]
        last[announcement.event.channel] = announcement.event.offset


async def test_only_subscribed_channels_are_announced(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Neither another channel nor another tenant's channel of that name is announced."""
    await broker.subscribe(tenant, [CHANNEL])
    await accepted(broker, tenant, update("a", channel="books"))
    await accepted(broker, "rival", update("a"))
    await accepted(broker, tenant, update("marker"))
    (event,) = await listener.count(1)
    assert event.content_id == "marker"


async def test_events_after_subscribe_are_announced(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Once `subscribe` has returned, no event of the channel is missed."""
    for n in range(50):
        await broker.subscribe(tenant, [f"channel-{n}"])
        await accepted(broker, tenant, update(f"c{n}", channel=f"channel-{n}"))
    events = await listener.count(50)
    assert [event.content_id for event in events] == [f"c{n}" for n in range(50)]


async def test_many_channels_are_subscribed_together(broker: Broker, tenant: str, listener: Recorder) -> None:
    """One call takes thousands of them, and one takes them back."""
    names = [f"channel-{n}" for n in range(2_200)]
    await broker.subscribe(tenant, names)
    for name in (names[0], names[1_100], names[-1]):
        await accepted(broker, tenant, update(name, channel=name))
    assert [event.content_id for event in await listener.count(3)] == [names[0], names[1_100], names[-1]]
    await broker.unsubscribe(tenant, names[1:])
    await broker.subscribe(tenant, [])
    for name in (names[-1], names[1_100], names[0]):
        await accepted(broker, tenant, update(f"{name} again", channel=name))
    assert [event.content_id for event in await listener.count(4)][3:] == [f"{names[0]} again"]


async def test_subscribing_twice_announces_once(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Subscribing is idempotent, also concurrently, and one unsubscribe undoes it."""
    await asyncio.gather(*(broker.subscribe(tenant, [CHANNEL]) for _ in range(5)))
    await broker.subscribe(tenant, ["markers"])
    await accepted(broker, tenant, update("a"))
    await listener.count(1)
    await broker.unsubscribe(tenant, [CHANNEL])
    await accepted(broker, tenant, update("b"))
    await accepted(broker, tenant, update("marker", channel="markers"))
    await listener.until(lambda: any(event.content_id == "marker" for event in listener.events))
    assert [event.content_id for event in listener.events] == ["a", "marker"]


async def test_unsubscribing_is_idempotent(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Unsubscribing twice, or without a subscription, is not an error; subscribing again works."""
    await broker.unsubscribe(tenant, ["nowhere"])
    for _ in range(2):
        await broker.subscribe(tenant, [CHANNEL])
        await broker.unsubscribe(tenant, [CHANNEL])
        await broker.unsubscribe(tenant, [CHANNEL])
    await broker.subscribe(tenant, [CHANNEL])
    await accepted(broker, tenant, update("a"))
    await listener.count(1)


async def test_changes_returns_after_its_announcements(broker: Broker, tenant: str, listener: Recorder) -> None:
    """When `changes` returns, every announcement up to its cursor has been made."""
    await broker.subscribe(tenant, [CHANNEL])
    for n in range(100):
        await broker.publish(tenant, [update(f"c{n}"), update(f"d{n}")])
        snapshot = await broker.changes(tenant, CHANNEL)
        assert listener.offsets == [event.offset for event in snapshot.events]
        assert listener.offsets[-1] == snapshot.cursor.offset


async def test_changes_returns_after_the_announcements_of_others(url: str, tenant: str) -> None:
    """The order also holds while another client publishes continuously."""
    listener = Recorder()
    broker = open_broker(url)
    broker.listen(listener)
    async with broker:
        await broker.subscribe(tenant, [CHANNEL])

        async def publish() -> None:
            for n in range(200):
                await broker.publish(tenant, [update(f"c{n}")])

        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(publish())
            while not publishing.done():
                snapshot = await broker.changes(tenant, CHANNEL)
                read = {event.offset for event in snapshot.events}
                assert read <= set(listener.offsets)


async def test_a_broker_without_a_listener_publishes(url: str, tenant: str) -> None:
    """A command line that publishes and exits needs no listener."""
    async with open_broker(url) as broker:
        await broker.subscribe(tenant, [CHANNEL])
        cursor = await accepted(broker, tenant, update("a"))
        assert (await broker.changes(tenant, CHANNEL)).cursor == cursor
        await broker.ping()


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["redis"])
async def test_events_are_announced_by_another_hub(url: str, broker: Broker, tenant: str, listener: Recorder) -> None:
    """An event published through one hub's broker is announced and read by another's."""
    await broker.subscribe(tenant, [CHANNEL])
    async with open_broker(url) as other:
        for n in range(50):
            cursor = await accepted(other, tenant, update(f"c{n}"))
            snapshot = await broker.changes(tenant, CHANNEL)
            assert snapshot.cursor == cursor
            assert listener.offsets[-1] == cursor.offset
        assert listener.events == (await other.changes(tenant, CHANNEL)).events


async def test_offsets_returns_after_its_announcements(broker: Broker, tenant: str, listener: Recorder) -> None:
    """A listener that has a lower offset than the answer has missed an event; none is still on its way."""
    await broker.subscribe(tenant, [CHANNEL])

    async def churn() -> None:
        for n in range(300):
            await broker.publish(tenant, [update(f"c{n}-{i}") for i in range(10)])

    async with asyncio.TaskGroup() as group:
        churning = group.create_task(churn())
        while not churning.done():
            answer = await broker.offsets(tenant, [CHANNEL])
            assert answer.offsets[0] <= (listener.offsets[-1] if listener.offsets else 0)
