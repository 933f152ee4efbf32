"""`changes`, `lookup`, `offsets`, and the isolation of tenants."""

from __future__ import annotations

import asyncio

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import decode
from tests.support.publications import CHANNEL, accepted, update

pytestmark = pytest.mark.anyio


async def test_an_unknown_channel_is_empty(broker: Broker, tenant: str) -> None:
    """Reading a channel without events returns the current cursor."""
    snapshot = await broker.changes(tenant, "nowhere")
    assert snapshot.events == []
    cursor = await accepted(broker, tenant, update("a"))
    assert cursor == Cursor(epoch=snapshot.cursor.epoch, offset=snapshot.cursor.offset + 1)


async def test_a_channel_is_compacted(broker: Broker, tenant: str) -> None:
    """Only the latest event of each content is read."""
    for progress in (10, 20, 30):
        await accepted(broker, tenant, update("a", progress=progress))
        last = await accepted(broker, tenant, update("b", progress=progress + 1))
    snapshot = await broker.changes(tenant, CHANNEL)
    assert [(event.content_id, decode(event.data)["progress"]) for event in snapshot.events] == [("a", 30), ("b", 31)]
    assert snapshot.cursor == last


async def test_changes_are_in_offset_order(broker: Broker, tenant: str) -> None:
    """A content with a new event moves to the end."""
    for content_id in ("a", "b", "c", "a", "b"):
        await accepted(broker, tenant, update(content_id))
    assert [event.content_id for event in (await broker.changes(tenant, CHANNEL)).events] == ["c", "a", "b"]


async def test_changes_since_a_cursor_gives_each_later_event_once(broker: Broker, tenant: str) -> None:
    """The property holds for each cursor that a receipt gave."""
    cursors = [await accepted(broker, tenant, update(f"c{n % 5}")) for n in range(12)]
    whole = (await broker.changes(tenant, CHANNEL)).events
    for cursor in cursors:
        snapshot = await broker.changes(tenant, CHANNEL, cursor)
        assert snapshot.events == [event for event in whole if event.offset > cursor.offset]
        assert snapshot.cursor == cursors[-1]


async def test_changes_without_a_usable_cursor_gives_the_whole_channel(broker: Broker, tenant: str) -> None:
    """No cursor, offset 0, and a cursor of another epoch all read the whole channel."""
    cursors = [await accepted(broker, tenant, update(f"c{n}")) for n in range(3)]
    epoch = cursors[0].epoch
    for since in (None, Cursor(epoch=epoch, offset=0), Cursor(epoch=f"{epoch}x", offset=cursors[1].offset)):
        snapshot = await broker.changes(tenant, CHANNEL, since)
        assert [event.offset for event in snapshot.events] == [cursor.offset for cursor in cursors]
        assert snapshot.cursor == cursors[-1]


async def test_changes_since_a_cursor_ahead_of_the_clock_gives_nothing(broker: Broker, tenant: str) -> None:
    """The returned cursor shows that the requested one is ahead."""
    cursor = await accepted(broker, tenant, update("a"))
    snapshot = await broker.changes(tenant, CHANNEL, Cursor(epoch=cursor.epoch, offset=cursor.offset + 1_000))
    assert snapshot.events == []
    assert snapshot.cursor == cursor


async def test_a_cursor_serves_every_channel(broker: Broker, tenant: str) -> None:
    """One cursor resumes any channel of its tenant."""
    await accepted(broker, tenant, update("a", channel="films"))
    cursor = await accepted(broker, tenant, update("b", channel="books"))
    last = await accepted(broker, tenant, update("c", channel="films"))
    films = await broker.changes(tenant, "films", cursor)
    books = await broker.changes(tenant, "books", cursor)
    assert [event.content_id for event in films.events] == ["c"]
    assert books.events == []
    assert films.cursor == books.cursor == last


async def test_a_read_is_whole_while_contents_change(broker: Broker, tenant: str) -> None:
    """A content that changes while a large channel is read is in the result, once."""
    contents = [f"c{n}" for n in range(3_000)]
    for n in range(0, 3_000, 1_000):
        await broker.publish(tenant, [update(content_id) for content_id in contents[n : n + 1_000]])

    async def churn() -> None:
        for n in range(0, 3_000, 100):
            await broker.publish(tenant, [update(content_id, progress=1) for content_id in contents[n : n + 100]])

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


async def test_offsets_gives_the_latest_offset_of_each_channel(broker: Broker, tenant: str) -> None:
    """The order is that of the request; a channel without events is at 0, whatever the clock."""
    films = await accepted(broker, tenant, update("a", channel="films"))
    books = await accepted(broker, tenant, update("b", channel="books"))
    again = await accepted(broker, tenant, update("a", channel="films"))
    answer = await broker.offsets(tenant, ["books", "nothing", "films"])
    assert (answer.cursor.epoch, answer.offsets) == (films.epoch, [books.offset, 0, again.offset])


async def test_offsets_of_many_channels(broker: Broker, tenant: str) -> None:
    """More channels than one call takes, one with a name that needs escaping."""
    names = [f"c{number}" for number in range(1_500)] + ['"ü,\\']
    last = await accepted(broker, tenant, update("x", channel=names[-1]))
    assert (await broker.offsets(tenant, names)).offsets == [0] * 1_500 + [last.offset]


async def test_offsets_are_not_older_than_their_cursor(broker: Broker, tenant: str) -> None:
    """No event of a requested channel lies between its offset and the cursor, also where many channels are asked for
    while events are published: who takes the cursor for read has missed nothing."""
    names = [f"c{number}" for number in range(2_500)]
    published: dict[str, list[int]] = {names[0]: [], names[-1]: []}

    async def publish() -> None:
        for number in range(150):
            name = (names[0], names[-1])[number % 2]
            published[name].append((await accepted(broker, tenant, update(name, channel=name))).offset)

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publish())
        told = []
        while not publishing.done():
            told.append(await broker.offsets(tenant, names))
    for answer in told:
        for name, offset in ((names[0], answer.offsets[0]), (names[-1], answer.offsets[-1])):
            assert not [it for it in published[name] if offset < it <= answer.cursor.offset]


async def test_lookup_keeps_the_order_of_the_request(broker: Broker, tenant: str) -> None:
    """Unknown and repeated ids, of several channels, have their answers in place."""
    await accepted(broker, tenant, update("a", channel="films"))
    last = await accepted(broker, tenant, update("b", channel="books"))
    found = await broker.lookup(tenant, ["b", "unknown", "a", "b"])
    assert [event and (event.content_id, event.channel) for event in found.events] == [
        ("b", "books"),
        None,
        ("a", "films"),
        ("b", "books"),
    ]
    assert found.cursor == last


async def test_lookup_is_atomic(broker: Broker, tenant: str) -> None:
    """At any moment the last hundred offsets belong to these contents; a torn read would show a gap."""
    contents = [f"c{n}" for n in range(100)]
    await broker.publish(tenant, [update(content_id, progress=0) for content_id in contents])

    async def churn() -> None:
        for progress in range(1, 30):
            await broker.publish(tenant, [update(content_id, progress=progress) for content_id in contents])

    async with asyncio.TaskGroup() as group:
        churning = group.create_task(churn())
        while not churning.done():
            found = await broker.lookup(tenant, contents)
            offsets = [event.offset for event in found.events if event]
            assert len(offsets) == 100
            assert max(offsets) == found.cursor.offset
            assert max(offsets) - min(offsets) == 99


async def test_an_empty_lookup_gives_the_cursor(broker: Broker, tenant: str) -> None:
    """The answer has no events."""
    cursor = await accepted(broker, tenant, update("a"))
    found = await broker.lookup(tenant, [])
    assert found.events == []
    assert found.cursor == cursor


async def test_tenants_are_isolated(broker: Broker, tenant: str) -> None:
    """The same names in another tenant have another clock, other contents and another fence."""
    for _ in range(3):
        await accepted(broker, tenant, update("a", progress=1))
    await accepted(broker, tenant, update("a", "complete"))
    assert (await broker.changes("rival", CHANNEL)).events == []
    assert (await broker.lookup("rival", ["a"])).events == [None]
    await accepted(broker, "rival", update("a", channel="books"))
    assert (await broker.changes("rival", CHANNEL)).events == []
    assert (await broker.changes(tenant, "books")).events == []
    (event,) = (await broker.lookup("rival", ["a"])).events
    assert event is not None
    assert event.channel == "books"
    mine = (await broker.changes(tenant, CHANNEL)).cursor
    theirs = (await broker.changes("rival", CHANNEL)).cursor
    assert theirs != mine


async def test_tenant_and_channel_names_are_not_confused(broker: Broker) -> None:
    """A tenant whose name is a prefix of another's reads nothing of it."""
    await accepted(broker, "ab", update("c", channel="d"))
    for tenant, channel in (("a", "bd"), ("a", "d"), ("abc", "d")):
        assert (await broker.changes(tenant, channel)).events == []
