"""`publish`: clock, data, batches and cancellation."""

from __future__ import annotations

import asyncio

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.receipt import Refusal
from tests.support.publications import CHANNEL, accepted, raw, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio

BYTES = [
    b"{}",
    b'{"outputs":[],"none":{}}',
    b'{"big":9007199254740993,"float":1e400,"long":123456789012345678901234567890}',
    '{"line\u2028separators\u2029and\u0085":"\u2028\u2029\u0085"}'.encode(),
    b'{\n\t"a" : 1,\r\n "b":2\n}\n',
    '{"emoji":"\U0001f3ac","tab":"\\t","nul":"\\u0000"}'.encode(),
    b"\x00\xff\r\n\t not JSON at all",
    b"",
]


async def test_one_clock_over_many_channels(broker: Broker, tenant: str) -> None:
    """A tenant's offsets grow strictly over all of its channels, and the epoch stays."""
    cursors = [await accepted(broker, tenant, update(f"c{n}", channel=f"channel/{n % 3}")) for n in range(12)]
    offsets = [cursor.offset for cursor in cursors]
    assert offsets == sorted(set(offsets))
    assert offsets[0] > 0
    assert {cursor.epoch for cursor in cursors} == {cursors[0].epoch}


async def test_a_cursor_can_be_parsed(broker: Broker, tenant: str) -> None:
    """The text of a receipt's cursor parses to the same cursor."""
    cursor = await accepted(broker, tenant, update("a"))
    assert Cursor.parse(str(cursor)) == cursor


async def test_refusals_do_not_advance_the_clock(broker: Broker, tenant: str) -> None:
    """A refused publication is neither stored nor counted."""
    await accepted(broker, tenant, update("a", "complete"))
    before = (await broker.changes(tenant, CHANNEL)).cursor
    (receipt,) = await broker.publish(tenant, [update("a")])
    assert receipt.reason is Refusal.CLOSED
    assert (await broker.changes(tenant, CHANNEL)).cursor == before


@pytest.mark.parametrize("data", BYTES, ids=range(len(BYTES)))
async def test_data_are_opaque(broker: Broker, tenant: str, listener: Recorder, data: bytes) -> None:
    """Announcement, `changes` and `lookup` give the published bytes."""
    await broker.subscribe(tenant, [CHANNEL])
    await accepted(broker, tenant, raw("a", data))
    (announced,) = await listener.count(1)
    (changed,) = (await broker.changes(tenant, CHANNEL)).events
    (found,) = (await broker.lookup(tenant, ["a"])).events
    assert announced.data == data
    assert changed == found == announced


@pytest.mark.parametrize("name", ["jobs/instagram-sync", "été 🎬", "a:b{c}d", "x" * 128, "100%", "'\";--", "0"])
async def test_any_valid_name_is_accepted(broker: Broker, tenant: str, listener: Recorder, name: str) -> None:
    """Names of channels and contents are returned unchanged."""
    await broker.subscribe(tenant, [name])
    await accepted(broker, tenant, update(name, channel=name))
    (announced,) = await listener.count(1)
    assert (announced.channel, announced.content_id) == (name, name)
    assert (await broker.changes(tenant, name)).events == [announced]
    assert (await broker.lookup(tenant, [name])).events == [announced]


async def test_a_thousand_in_one_call(broker: Broker, tenant: str, listener: Recorder) -> None:
    """A large batch is stored in order; each event has a receipt and an announcement."""
    await broker.subscribe(tenant, [CHANNEL])
    receipts = await broker.publish(tenant, [update(f"c{n}") for n in range(1_000)])
    offsets = [receipt.cursor.offset for receipt in receipts if receipt.cursor]
    assert len(offsets) == 1_000
    assert offsets == sorted(offsets)
    events = (await broker.changes(tenant, CHANNEL)).events
    assert [event.content_id for event in events] == [f"c{n}" for n in range(1_000)]
    assert [event.offset for event in events] == offsets
    assert await listener.count(1_000) == events


async def test_an_empty_publish_has_no_receipts(broker: Broker, tenant: str) -> None:
    """Publishing no event is not an error."""
    assert await broker.publish(tenant, []) == []


async def test_concurrent_publishes_are_announced_in_order(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Each concurrent call is stored completely."""
    await broker.subscribe(tenant, [CHANNEL])
    calls = [broker.publish(tenant, [update(f"c{n}"), update(f"d{n}")]) for n in range(100)]
    receipts = [receipt for batch in await asyncio.gather(*calls) for receipt in batch]
    offsets = {receipt.cursor.offset for receipt in receipts if receipt.cursor}
    assert len(offsets) == 200
    await listener.count(200)
    assert listener.offsets == sorted(offsets)


async def test_one_of_two_equal_publishers_wins(broker: Broker, tenant: str) -> None:
    """The same publish from many concurrent callers is stored once."""
    calls = [broker.publish(tenant, [update("a", attempt=1, seq=1)]) for _ in range(20)]
    cursors = {receipt.cursor for (receipt,) in await asyncio.gather(*calls)}
    assert len(cursors) == 1
    assert None not in cursors


async def test_a_cancelled_publish_affects_no_other(broker: Broker, tenant: str, listener: Recorder) -> None:
    """A cancelled publish may be stored or not; concurrent calls are answered correctly."""
    await broker.subscribe(tenant, [CHANNEL])
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(broker.publish(tenant, [update(f"c{n}", attempt=1, seq=1)])) for n in range(30)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
    for n, call in enumerate(calls):
        if call.cancelled():
            continue
        (receipt,) = call.result()
        (event,) = (await broker.lookup(tenant, [f"c{n}"])).events
        assert receipt.cursor is not None
        assert event is not None
        assert event.offset == receipt.cursor.offset
    marker = await accepted(broker, tenant, update("marker"))
    await listener.until(lambda: marker.offset in listener.offsets)
    assert listener.offsets == [event.offset for event in (await broker.changes(tenant, CHANNEL)).events]


async def test_ping_answers(broker: Broker) -> None:
    """An open broker answers."""
    await broker.ping()
