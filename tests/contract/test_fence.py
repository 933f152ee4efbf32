"""The fence's rules one by one, with their numbers in contract.py."""

from __future__ import annotations

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.event import decode
from statushub.hub.model.receipt import Refusal
from tests.support.publications import CHANNEL, accepted, publish_one, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio


async def status(broker: Broker, tenant: str, content_id: str) -> object:
    (event,) = (await broker.lookup(tenant, [content_id])).events
    return None if event is None else decode(event.data)["status"]


async def test_another_channel_is_refused(broker: Broker, tenant: str) -> None:
    """Rule 1 comes before all others: even a higher attempt cannot move a content."""
    await accepted(broker, tenant, update("a", attempt=1))
    for attempt in (None, 0, 1, 2):
        receipt = await publish_one(broker, tenant, update("a", channel="books", attempt=attempt))
        assert receipt.reason is Refusal.WRONG_CHANNEL
    assert (await broker.changes(tenant, "books")).events == []


async def test_a_lower_attempt_is_superseded(broker: Broker, tenant: str) -> None:
    """Rule 2 comes before the seq: a stale worker's high seq is not compared."""
    await accepted(broker, tenant, update("a", attempt=2, seq=1))
    assert (await publish_one(broker, tenant, update("a", attempt=1, seq=99))).reason is Refusal.SUPERSEDED


async def test_a_lower_attempt_is_superseded_after_the_end(broker: Broker, tenant: str) -> None:
    """Rule 2 comes before rule 6: a stale event of a closed content is `superseded`."""
    await accepted(broker, tenant, update("a", "complete", attempt=2))
    assert (await publish_one(broker, tenant, update("a", attempt=1))).reason is Refusal.SUPERSEDED


@pytest.mark.parametrize("end", ["complete", "error"])
async def test_a_higher_attempt_reopens(broker: Broker, tenant: str, end: str) -> None:
    """Rule 3: a new run of the work may follow any ending, with seqs of its own."""
    await accepted(broker, tenant, update("a", end, attempt=1, seq=50))
    await accepted(broker, tenant, update("a", attempt=2, seq=1))
    assert await status(broker, tenant, "a") == "generating"
    await accepted(broker, tenant, update("a", "complete", attempt=2, seq=2))


async def test_a_higher_attempt_without_a_seq_begins_with_none(broker: Broker, tenant: str) -> None:
    """The seq of the old attempt does not limit the new one."""
    await accepted(broker, tenant, update("a", attempt=1, seq=50))
    await accepted(broker, tenant, update("a", attempt=2))
    await accepted(broker, tenant, update("a", attempt=2, seq=0))


async def test_a_repeat_is_stored_and_announced_once(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Rule 4: a repeated publish gets its cursor again and changes nothing, even with other data."""
    await broker.subscribe(tenant, [CHANNEL])
    first = await accepted(broker, tenant, update("a", attempt=1, seq=7, progress=10))
    assert await accepted(broker, tenant, update("a", attempt=1, seq=7, progress=10)) == first
    assert await accepted(broker, tenant, update("a", seq=7, progress=99)) == first
    marker = await accepted(broker, tenant, update("marker"))
    assert marker.offset == first.offset + 1
    assert [event.content_id for event in await listener.count(2)] == ["a", "marker"]
    (event,) = (await broker.lookup(tenant, ["a"])).events
    assert event is not None
    assert decode(event.data)["progress"] == 10


async def test_a_repeat_gets_its_own_cursor_after_an_event_without_a_seq(broker: Broker, tenant: str) -> None:
    """Rule 4: the cursor is that of the event with this seq, not of a later one without a seq."""
    first = await accepted(broker, tenant, update("a", attempt=1, seq=7))
    await accepted(broker, tenant, update("a"))
    assert await accepted(broker, tenant, update("a", attempt=1, seq=7)) == first


async def test_a_repeat_of_the_end_is_accepted(broker: Broker, tenant: str) -> None:
    """Rule 4 comes before rule 6: a repeated final event is accepted."""
    first = await accepted(broker, tenant, update("a", "complete", attempt=1, seq=9))
    assert await accepted(broker, tenant, update("a", "complete", attempt=1, seq=9)) == first


async def test_a_repeat_within_one_call(broker: Broker, tenant: str) -> None:
    """Publications of one call are evaluated in order, each after the previous one."""
    one = update("a", attempt=1, seq=1)
    first, repeat, late = await broker.publish(tenant, [one, one, update("a", attempt=1, seq=0)])
    assert first.accepted
    assert repeat == first
    assert late.reason is Refusal.SUPERSEDED


async def test_a_lower_seq_is_superseded(broker: Broker, tenant: str) -> None:
    """Rule 5 comes before rule 6: a late event of a closed content is `superseded`."""
    await accepted(broker, tenant, update("a", attempt=1, seq=5))
    assert (await publish_one(broker, tenant, update("a", attempt=1, seq=4))).reason is Refusal.SUPERSEDED
    await accepted(broker, tenant, update("a", "complete", attempt=1, seq=6))
    assert (await publish_one(broker, tenant, update("a", seq=5))).reason is Refusal.SUPERSEDED


@pytest.mark.parametrize("end", ["complete", "error"])
async def test_the_end_closes_the_attempt(broker: Broker, tenant: str, listener: Recorder, end: str) -> None:
    """Rule 6: late progress does not reopen a content, with or without attempt and seq."""
    await broker.subscribe(tenant, [CHANNEL])
    await accepted(broker, tenant, update("a", end, attempt=1, seq=5))
    for late in (update("a"), update("a", attempt=1), update("a", seq=6), update("a", "complete", attempt=1, seq=7)):
        assert (await publish_one(broker, tenant, late)).reason is Refusal.CLOSED
    await accepted(broker, tenant, update("marker"))
    assert [event.content_id for event in await listener.count(2)] == ["a", "marker"]
    assert await status(broker, tenant, "a") == end


async def test_an_event_without_an_attempt_joins_the_open_one(broker: Broker, tenant: str) -> None:
    """Rule 7: it is accepted, and the attempt stays."""
    await accepted(broker, tenant, update("a", attempt=3, seq=1))
    await accepted(broker, tenant, update("a", seq=2))
    await accepted(broker, tenant, update("a"))
    assert (await publish_one(broker, tenant, update("a", attempt=2))).reason is Refusal.SUPERSEDED
    assert (await publish_one(broker, tenant, update("a", attempt=3, seq=1))).reason is Refusal.SUPERSEDED


async def test_an_event_without_a_seq_leaves_the_last_one(broker: Broker, tenant: str) -> None:
    """Rule 7: an event without a seq neither raises nor resets it."""
    await accepted(broker, tenant, update("a", attempt=1, seq=5))
    await accepted(broker, tenant, update("a", attempt=1))
    assert (await publish_one(broker, tenant, update("a", attempt=1, seq=4))).reason is Refusal.SUPERSEDED
    await accepted(broker, tenant, update("a", attempt=1, seq=6))


async def test_the_first_event_opens_attempt_one(broker: Broker, tenant: str) -> None:
    """A first event is always accepted; without an attempt it opens attempt 1."""
    await accepted(broker, tenant, update("a"))
    assert (await publish_one(broker, tenant, update("a", attempt=0))).reason is Refusal.SUPERSEDED
    await accepted(broker, tenant, update("a", attempt=1))
    await accepted(broker, tenant, update("a", attempt=2))


@pytest.mark.parametrize(("attempt", "seq"), [(0, 0), (2**53 - 2, 2**53 - 2)])
async def test_counters_are_exact_at_their_ends(broker: Broker, tenant: str, attempt: int, seq: int) -> None:
    """Zero is a number, and the two largest values are distinguished."""
    await accepted(broker, tenant, update("a", attempt=attempt, seq=seq))
    await accepted(broker, tenant, update("a", attempt=attempt, seq=seq + 1))
    assert (await publish_one(broker, tenant, update("a", attempt=attempt, seq=seq))).reason is Refusal.SUPERSEDED
    await accepted(broker, tenant, update("a", attempt=attempt + 1, seq=seq))
    assert (await publish_one(broker, tenant, update("a", attempt=attempt, seq=seq + 1))).reason is Refusal.SUPERSEDED


async def test_the_end_may_be_the_first_event(broker: Broker, tenant: str) -> None:
    """The first event of a content may be final, and closes it."""
    await accepted(broker, tenant, update("a", "error"))
    assert (await publish_one(broker, tenant, update("a"))).reason is Refusal.CLOSED
