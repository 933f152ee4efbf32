"""Contents are removed `retention` seconds after their last event, and leave a tombstone for a day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker, Snapshot
from statushub.hub.model.event import decode
from statushub.hub.model.vocabulary import CONTENT_REMOVED
from tests.support.publications import CHANNEL, accepted, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio

RETENTION = 60.0
LATER = 3600.0
DAY = 24 * 3600.0


@pytest.fixture
async def forgetful(url: str, listener: Recorder) -> AsyncIterator[Broker]:
    """A broker with a short retention. Sweeps get the time as an argument, so that no test waits."""
    broker = open_broker(url, retention=RETENTION)
    broker.listen(listener)
    async with broker:
        yield broker


async def removed(broker: Broker, *, after: float = LATER) -> None:
    """Sweep at a later time."""
    await broker.expire(time.time() + after)


def names(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(event.type, event.content_id) for event in snapshot.events]


async def test_contents_are_removed(forgetful: Broker, tenant: str, listener: Recorder) -> None:
    """A tombstone takes the content's place: on the clock, in reads and in announcements."""
    await forgetful.subscribe(tenant, [CHANNEL])
    cursor = await accepted(forgetful, tenant, update("a", "complete"))
    await removed(forgetful)
    snapshot = await forgetful.changes(tenant, CHANNEL)
    assert names(snapshot) == [(CONTENT_REMOVED, "a")]
    assert snapshot.cursor.offset == cursor.offset + 1
    [tomb] = snapshot.events
    assert decode(tomb.data) == {"content_id": "a", "channel_id": CHANNEL}
    assert (await forgetful.lookup(tenant, ["a"])).events == [tomb]
    assert (await forgetful.changes(tenant, CHANNEL, cursor)).events == [tomb]
    assert (await listener.count(2))[1] == tomb
    assert listener.announcements[1].prev == cursor.offset
    assert (await forgetful.offsets(tenant, [CHANNEL])).offsets == [tomb.offset]


async def test_a_content_is_kept_before_its_retention_ends(forgetful: Broker, tenant: str) -> None:
    """A sweep before that removes nothing."""
    cursor = await accepted(forgetful, tenant, update("a", "complete"))
    await removed(forgetful, after=RETENTION - 5)
    assert (await forgetful.changes(tenant, CHANNEL)).cursor == cursor


async def test_the_last_event_counts(forgetful: Broker, tenant: str) -> None:
    """Each event begins the retention anew, with its own length."""
    await forgetful.publish(tenant, [update("silent"), update("speaking")])
    await forgetful.publish(tenant, [update("speaking")], retention=2 * LATER)
    await removed(forgetful)
    assert names(await forgetful.changes(tenant, CHANNEL)) == [
        ("content_status_update", "speaking"),
        (CONTENT_REMOVED, "silent"),
    ]


async def test_each_content_is_removed_once(sweepers: list[Broker], tenant: str) -> None:
    """Concurrent sweeps of several hubs remove each content once."""
    await sweepers[0].publish(tenant, [update(f"c{n}") for n in range(50)], retention=1)
    await asyncio.gather(*(removed(broker) for broker in sweepers for _ in range(5)))
    snapshot = await sweepers[-1].changes(tenant, CHANNEL)
    assert [event.removed for event in snapshot.events] == [True] * 50
    assert snapshot.events[-1].offset - snapshot.events[0].offset == 49


async def test_a_removed_content_begins_again(forgetful: Broker, tenant: str) -> None:
    """Its fence and its channel are forgotten with it; the offset still grows."""
    first = await accepted(forgetful, tenant, update("a", "complete", attempt=9, seq=9))
    await removed(forgetful)
    again = await accepted(forgetful, tenant, update("a", channel="books", attempt=1, seq=1))
    assert again.offset > first.offset
    assert again.epoch == first.epoch
    assert names(await forgetful.changes(tenant, CHANNEL)) == [(CONTENT_REMOVED, "a")]
    assert names(await forgetful.changes(tenant, "books")) == [("content_status_update", "a")]
    [event] = (await forgetful.lookup(tenant, ["a"])).events
    assert event is not None
    assert event.channel == "books"


async def test_a_content_that_comes_back_replaces_its_tombstone(forgetful: Broker, tenant: str) -> None:
    """The channel has one event of it."""
    await accepted(forgetful, tenant, update("a", "complete"))
    await removed(forgetful)
    await accepted(forgetful, tenant, update("a"))
    assert names(await forgetful.changes(tenant, CHANNEL)) == [("content_status_update", "a")]
    await removed(forgetful, after=2 * DAY)
    await removed(forgetful, after=4 * DAY)
    assert names(await forgetful.changes(tenant, CHANNEL)) == []


async def test_a_removed_content_is_not_stalled(forgetful: Broker, tenant: str) -> None:
    """A lease that outlived its content ends nothing, and no new content of that name either."""
    await accepted(forgetful, tenant, update("a", lease=2 * LATER))
    await removed(forgetful)
    await accepted(forgetful, tenant, update("a"))
    assert await forgetful.expire(time.time() + LATER + 1) == 0


async def test_a_forgotten_tombstone_voids_older_cursors(forgetful: Broker, tenant: str) -> None:
    """A cursor below the channel's floor reads the whole channel; a later one resumes."""
    await forgetful.publish(tenant, [update("kept")], retention=10 * DAY)
    before = await accepted(forgetful, tenant, update("gone"))
    await removed(forgetful)
    after = (await forgetful.changes(tenant, CHANNEL)).cursor
    assert not (await forgetful.changes(tenant, CHANNEL, before)).whole
    await removed(forgetful, after=2 * DAY)
    late = await forgetful.changes(tenant, CHANNEL, before)
    assert (late.whole, names(late)) == (True, [("content_status_update", "kept")])
    assert late.floor == after.offset
    in_time = await forgetful.changes(tenant, CHANNEL, after)
    assert (in_time.whole, in_time.events) == (False, [])


async def test_the_floor_outlives_its_channel(forgetful: Broker, tenant: str) -> None:
    """A cursor from before the removal is void in the empty channel, and in one that begins again."""
    before = await accepted(forgetful, tenant, update("gone"))
    await removed(forgetful)
    await removed(forgetful, after=2 * DAY)
    void = await forgetful.changes(tenant, CHANNEL, before)
    assert void.whole
    told = await forgetful.offsets(tenant, [CHANNEL])
    assert (told.offsets, told.floor) == ([0], void.floor)
    assert told.floor > before.offset
    now = await accepted(forgetful, tenant, update("new"))
    again = await forgetful.changes(tenant, CHANNEL, before)
    assert (again.whole, names(again)) == (True, [("content_status_update", "new")])
    assert not (await forgetful.changes(tenant, CHANNEL, now)).whole


async def test_a_long_channel_is_read_whole_although_it_has_a_floor(forgetful: Broker, tenant: str) -> None:
    """Reading in pages passes the floor."""
    await forgetful.publish(tenant, [update(f"old{n}") for n in range(1_000)], retention=10 * DAY)
    await forgetful.publish(tenant, [update(f"more{n}") for n in range(500)], retention=10 * DAY)
    await accepted(forgetful, tenant, update("gone"))
    await removed(forgetful)
    await removed(forgetful, after=2 * DAY)
    assert len((await forgetful.changes(tenant, CHANNEL)).events) == 1_500


async def test_the_broker_s_own_retention_counts(url: str, tenant: str) -> None:
    """Without a time as an argument, sweeps use the broker's clock."""
    async with open_broker(url, retention=0.05) as broker:
        await accepted(broker, tenant, update("a"))
        async with asyncio.timeout(20):
            while not (await broker.changes(tenant, CHANNEL)).events[0].removed:
                await broker.expire()
