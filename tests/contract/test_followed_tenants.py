"""Followed tenants: every announcement of a tenant, in the order of its clock, however its channels come and go."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import TOMBSTONE_SECONDS, Broker
from statushub.hub.model.event import Announcement
from statushub.hub.model.retention import RETENTION_SECONDS
from tests.support.publications import accepted, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio


def chained(announcements: list[Announcement], offset: int) -> bool:
    """Whether each follows the one before on the tenant's clock, and the first one follows `offset`."""
    offsets = [offset, *(it.event.offset for it in announcements)]
    return [it.before for it in announcements] == offsets[:-1] and all(a < b for a, b in pairwise(offsets))


async def test_channels_that_come_into_being_are_announced(broker: Broker, tenant: str, listener: Recorder) -> None:
    """The first event of a channel without a subscriber is announced, and says that the channel was empty."""
    began = (await broker.follow(tenant)).cursor
    for n in range(50):
        await accepted(broker, tenant, update(f"c{n}", channel=f"jobs/{n}"))
        await accepted(broker, tenant, update(f"c{n}", channel=f"jobs/{n}"))
    await listener.count(100)
    assert chained(listener.announcements, began.offset)
    assert [it.prev for it in listener.announcements[::2]] == [0] * 50
    assert [it.prev for it in listener.announcements[1::2]] == [it.event.offset for it in listener.announcements[::2]]
    assert {it.epoch for it in listener.announcements} == {began.epoch}


async def test_other_tenants_stay_silent(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Following a tenant brings nothing of another one, also of one whose name begins the same."""
    await broker.follow(tenant)
    for other in ("rival", f"{tenant}2", f"{tenant}-events"):
        await accepted(broker, other, update("a"))
    await accepted(broker, tenant, update("marker"))
    (event,) = await listener.count(1)
    assert event.content_id == "marker"


async def test_follow_returns_after_its_announcements(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Every announcement up to the returned cursor has reached the listener, also while others publish."""
    began = (await broker.follow(tenant)).cursor.offset

    async def churn() -> None:
        for n in range(200):
            await broker.publish(tenant, [update(f"c{n}-{i}", channel=f"jobs/{n % 17}") for i in range(5)])

    async with asyncio.TaskGroup() as group:
        churning = group.create_task(churn())
        while not churning.done():
            told = (await broker.follow(tenant)).cursor.offset
            assert told <= (listener.offsets[-1] if listener.offsets else began)
    assert chained(listener.announcements, began)


async def test_subscribed_channels_go_on_before_and_after(broker: Broker, tenant: str, listener: Recorder) -> None:
    """A subscribed channel misses nothing when its tenant is followed, nor when it no longer is."""
    await broker.subscribe(tenant, ["films"])
    stop = asyncio.Event()

    async def publish() -> int:
        count = 0
        while not stop.is_set():
            await accepted(broker, tenant, update(f"c{count}"))
            count += 1
        return count

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish())
        for n in range(20):
            await broker.follow(tenant)
            await broker.subscribe(tenant, [f"other-{n}"])
            await broker.unfollow(tenant)
        stop.set()
    published = publishing.result()
    # Around the calls it may come twice.
    await listener.until(lambda: len({it for it in listener.contents if it.startswith("c")}) == published)
    offsets = list(dict.fromkeys(it.offset for it in listener.events if it.channel == "films"))
    assert offsets == sorted(offsets)
    listener.announcements.clear()
    await accepted(broker, tenant, update("unseen", channel="books"))
    for n in range(20):
        await accepted(broker, tenant, update(f"seen-{n}", channel=f"other-{n}"))
    assert {it.channel for it in await listener.count(20)} == {f"other-{n}" for n in range(20)}


async def test_unfollowing_is_idempotent(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Twice, or without having followed, is no error; following again works."""
    await broker.unfollow(tenant)
    for _ in range(2):
        await broker.follow(tenant)
        await broker.follow(tenant)
        await broker.unfollow(tenant)
        await broker.unfollow(tenant)
    await broker.subscribe(tenant, ["markers"])
    await accepted(broker, tenant, update("unheard"))
    await accepted(broker, tenant, update("marker", channel="markers"))
    await listener.count(1)
    began = (await broker.follow(tenant)).cursor.offset
    await accepted(broker, tenant, update("heard"))
    await listener.count(2)
    assert listener.contents == ["marker", "heard"]
    assert chained(listener.announcements[1:], began)


async def test_removals_and_endings_are_in_the_chain(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Tombstones and stalled contents are announced in their places; a channel that was forgotten is born again, and
    its first event names the floor."""
    began = (await broker.follow(tenant)).cursor.offset
    now, later = 4e9, 2 * RETENTION_SECONDS
    await accepted(broker, tenant, update("a", channel="jobs/1", lease=5))
    await accepted(broker, tenant, update("b", channel="jobs/2"))
    for moment in (now, now + later, now + later + 2 * TOMBSTONE_SECONDS):
        await broker.expire(moment)
    removed = (await listener.count(5))[-1]
    assert [it.type for it in listener.events].count("content_removed") == 2
    assert [it.type for it in listener.events if it.content_id == "a"] == [
        "content_status_update",
        "processing_error",
        "content_removed",
    ]
    await accepted(broker, tenant, update("c", channel="jobs/1"))
    await listener.count(6)
    assert chained(listener.announcements, began)
    assert listener.announcements[-1].prev == 0
    assert listener.announcements[-1].floor == removed.offset
    assert (await broker.follow(tenant)).floor == removed.offset


async def test_a_broker_without_a_listener_follows_nothing(url: str, tenant: str) -> None:
    """It answers the clock."""
    async with open_broker(url) as broker:
        cursor = await accepted(broker, tenant, update("a"))
        assert (await broker.follow(tenant)).cursor == cursor
        await broker.unfollow(tenant)


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["redis"])
async def test_the_events_of_other_hubs_are_in_the_chain(
    url: str, broker: Broker, tenant: str, listener: Recorder
) -> None:
    """What several hubs publish simultaneously comes in the order of the clock, each event once."""
    began = (await broker.follow(tenant)).cursor.offset
    rng = random.Random(7)

    async def publish(name: str) -> None:
        async with open_broker(url) as other:
            for n in range(60):
                batch = [update(f"{name}{n}-{i}", channel=f"jobs/{rng.randrange(40)}") for i in range(rng.randrange(9))]
                await other.publish(tenant, batch)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(publish(name))
    told = await broker.follow(tenant)
    assert listener.offsets[-1] == told.cursor.offset
    assert chained(listener.announcements, began)
