"""`changes`, `lookup`, and the wall between tenants."""

from __future__ import annotations

import asyncio

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import decode
from tests.support.said import CHANNEL, accepted, said

pytestmark = pytest.mark.anyio


async def test_an_unknown_channel_is_empty(broker: Broker, tenant: str) -> None:
    """Reading before anything was said gives a cursor to wait at."""
    snapshot = await broker.changes(tenant, "nowhere")
    assert snapshot.events == []
    assert snapshot.cursor.offset == 0
    cursor = await accepted(broker, tenant, said("a"))
    assert cursor.epoch == snapshot.cursor.epoch


async def test_of_each_content_the_latest(broker: Broker, tenant: str) -> None:
    """A channel is compacted: superseded states are not read."""
    for progress in (10, 20, 30):
        await accepted(broker, tenant, said("a", progress=progress))
        last = await accepted(broker, tenant, said("b", progress=progress + 1))
    snapshot = await broker.changes(tenant, CHANNEL)
    assert [(event.content_id, decode(event.data)["progress"]) for event in snapshot.events] == [("a", 30), ("b", 31)]
    assert snapshot.cursor == last


async def test_changes_are_in_offset_order(broker: Broker, tenant: str) -> None:
    """A content that speaks again moves to the end."""
    for content_id in ("a", "b", "c", "a", "b"):
        await accepted(broker, tenant, said(content_id))
    assert [event.content_id for event in (await broker.changes(tenant, CHANNEL)).events] == ["c", "a", "b"]


async def test_since_every_cursor(broker: Broker, tenant: str) -> None:
    """From any cursor given, `changes` is what came after it, once each."""
    cursors = [await accepted(broker, tenant, said(f"c{n % 5}")) for n in range(12)]
    whole = (await broker.changes(tenant, CHANNEL)).events
    for cursor in cursors:
        snapshot = await broker.changes(tenant, CHANNEL, cursor)
        assert snapshot.events == [event for event in whole if event.offset > cursor.offset]
        assert snapshot.cursor == cursors[-1]


async def test_since_the_beginning(broker: Broker, tenant: str) -> None:
    """No cursor, the epoch's zero, and another epoch's cursor all read the whole channel."""
    cursors = [await accepted(broker, tenant, said(f"c{n}")) for n in range(3)]
    epoch = cursors[0].epoch
    for since in (None, Cursor(epoch=epoch, offset=0), Cursor(epoch=f"{epoch}x", offset=cursors[1].offset)):
        snapshot = await broker.changes(tenant, CHANNEL, since)
        assert [event.offset for event in snapshot.events] == [cursor.offset for cursor in cursors]
        assert snapshot.cursor == cursors[-1]


async def test_since_a_cursor_ahead_of_the_clock(broker: Broker, tenant: str) -> None:
    """Nothing has come after it; the cursor returned tells the caller that it is ahead."""
    cursor = await accepted(broker, tenant, said("a"))
    snapshot = await broker.changes(tenant, CHANNEL, Cursor(epoch=cursor.epoch, offset=cursor.offset + 1_000))
    assert snapshot.events == []
    assert snapshot.cursor == cursor


async def test_a_cursor_serves_every_channel(broker: Broker, tenant: str) -> None:
    """One cursor resumes any channel of its tenant."""
    await accepted(broker, tenant, said("a", channel="films"))
    cursor = await accepted(broker, tenant, said("b", channel="books"))
    last = await accepted(broker, tenant, said("c", channel="films"))
    films = await broker.changes(tenant, "films", cursor)
    books = await broker.changes(tenant, "books", cursor)
    assert [event.content_id for event in films.events] == ["c"]
    assert books.events == []
    assert films.cursor == books.cursor == last


async def test_a_read_is_whole_while_contents_change(broker: Broker, tenant: str) -> None:
    """A content that moves while a large channel is read is in the result all the same, and once."""
    contents = [f"c{n}" for n in range(3_000)]
    for n in range(0, 3_000, 1_000):
        await broker.publish(tenant, [said(content_id) for content_id in contents[n : n + 1_000]])

    async def churn() -> None:
        for n in range(0, 3_000, 100):
            await broker.publish(tenant, [said(content_id, progress=1) for content_id in contents[n : n + 100]])

    async with asyncio.TaskGroup() as group:
        churning = group.create_task(churn())
        while not churning.done():
            snapshot = await broker.changes(tenant, CHANNEL)
            offsets = [event.offset for event in snapshot.events]
            assert sorted(event.content_id for event in snapshot.events) == sorted(contents)
            assert offsets == sorted(offsets)
            later = await broker.changes(tenant, CHANNEL, snapshot.cursor)
            # Resuming from the cursor finds every state that the read did not hold.
            state = {event.content_id: event for event in (*snapshot.events, *later.events)}
            found = await broker.lookup(tenant, contents)
            if found.cursor == later.cursor:
                assert [state[content_id] for content_id in contents] == found.events


async def test_offsets_tell_how_far_each_channel_is(broker: Broker, tenant: str) -> None:
    """In the order asked; a channel without events is at 0, however far the clock is."""
    films = await accepted(broker, tenant, said("a", channel="films"))
    books = await accepted(broker, tenant, said("b", channel="books"))
    again = await accepted(broker, tenant, said("a", channel="films"))
    told = await broker.offsets(tenant, ["books", "nothing", "films"])
    assert (told.epoch, told.offsets) == (films.epoch, [books.offset, 0, again.offset])


async def test_offsets_of_many_channels(broker: Broker, tenant: str) -> None:
    """More than are asked for in one go, with a name that needs escaping among them."""
    names = [f"c{number}" for number in range(1_500)] + ['"ü,\\']
    last = await accepted(broker, tenant, said("x", channel=names[-1]))
    assert (await broker.offsets(tenant, names)).offsets == [0] * 1_500 + [last.offset]


async def test_lookup_keeps_the_order_asked(broker: Broker, tenant: str) -> None:
    """Over channels, with unknown and repeated ids, each answer stands where its question stood."""
    await accepted(broker, tenant, said("a", channel="films"))
    last = await accepted(broker, tenant, said("b", channel="books"))
    found = await broker.lookup(tenant, ["b", "nobody", "a", "b"])
    assert [event and (event.content_id, event.channel) for event in found.events] == [
        ("b", "books"),
        None,
        ("a", "films"),
        ("b", "books"),
    ]
    assert found.cursor == last


async def test_lookup_is_one_moment(broker: Broker, tenant: str) -> None:
    """At every moment the last hundred offsets belong to these contents; a torn read would show a hole."""
    contents = [f"c{n}" for n in range(100)]
    await broker.publish(tenant, [said(content_id, progress=0) for content_id in contents])

    async def churn() -> None:
        for progress in range(1, 30):
            await broker.publish(tenant, [said(content_id, progress=progress) for content_id in contents])

    async with asyncio.TaskGroup() as group:
        churning = group.create_task(churn())
        while not churning.done():
            found = await broker.lookup(tenant, contents)
            offsets = [event.offset for event in found.events if event]
            assert len(offsets) == 100
            assert max(offsets) == found.cursor.offset
            assert max(offsets) - min(offsets) == 99


async def test_looking_nothing_up(broker: Broker, tenant: str) -> None:
    """No ids, no events, and the clock."""
    cursor = await accepted(broker, tenant, said("a"))
    found = await broker.lookup(tenant, [])
    assert found.events == []
    assert found.cursor == cursor


async def test_tenants_are_walled_off(broker: Broker, tenant: str) -> None:
    """Same names, other tenant: another clock, another content, another fence."""
    for _ in range(3):
        await accepted(broker, tenant, said("a", progress=1))
    await accepted(broker, tenant, said("a", "complete"))
    assert (await broker.changes("rival", CHANNEL)).events == []
    assert (await broker.lookup("rival", ["a"])).events == [None]
    await accepted(broker, "rival", said("a", channel="books"))
    assert (await broker.changes("rival", CHANNEL)).events == []
    assert (await broker.changes(tenant, "books")).events == []
    (event,) = (await broker.lookup("rival", ["a"])).events
    assert event is not None
    assert event.channel == "books"
    mine = (await broker.changes(tenant, CHANNEL)).cursor
    theirs = (await broker.changes("rival", CHANNEL)).cursor
    assert theirs.offset < mine.offset


async def test_tenants_and_channels_do_not_run_together(broker: Broker) -> None:
    """A tenant's name that begins another's opens nothing of it."""
    await accepted(broker, "ab", said("c", channel="d"))
    for tenant, channel in (("a", "bd"), ("a", "d"), ("abc", "d")):
        assert (await broker.changes(tenant, channel)).events == []
