"""A request to cancel is kept beside the data of a content until its attempt ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from statushub.hub.brokers.contract import CANCEL_GRACE, CANCEL_LEASE, Broker
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.event import Event, decode
from statushub.hub.model.receipt import CancelRefusal, Refusal
from statushub.hub.model.vocabulary import ERROR
from tests.support.publications import CHANNEL, accepted, publish_one, raw, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio

REQUEST = CancelRequest(by="anna", at="2026-11-30T12:00:00.000Z", reason='no longer "needed", ünd\\so')
SHOWN = {"by": "anna", "at": "2026-11-30T12:00:00.000Z", "reason": 'no longer "needed", ünd\\so'}
OTHER = CancelRequest(by=None, at="2026-11-30T13:00:00.000Z", reason=None)


async def latest(broker: Broker, tenant: str, content_id: str = "a") -> Event:
    """The content's latest event."""
    (event,) = (await broker.lookup(tenant, [content_id])).events
    assert event is not None
    return event


async def shown(broker: Broker, tenant: str, content_id: str = "a") -> Any:
    """The request that the content's state has."""
    return decode((await latest(broker, tenant, content_id)).data).get("cancel_requested")


async def sweep(broker: Broker, later: float) -> int:
    """Sweep now, and so many seconds later in steps that count as lease time; returns how many ended at the end."""
    now = time.time()
    passed = 0.0
    while passed < later:
        assert await broker.expire(now + passed) == 0
        passed += 4
    return await broker.expire(now + later)


async def test_a_request_is_shown_and_announced(broker: Broker, tenant: str, listener: Recorder) -> None:
    """As an event of the content's last type with its data, on the clock."""
    await broker.subscribe(tenant, [CHANNEL])
    cursor = await accepted(broker, tenant, update("a", progress=40))
    receipt = await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    assert (receipt.request, receipt.reason) == (REQUEST, None)
    assert receipt.cursor is not None
    assert receipt.cursor.offset == cursor.offset + 1
    event = await latest(broker, tenant)
    data = decode(event.data)
    assert (event.offset, event.type, data["progress"]) == (cursor.offset + 1, "content_status_update", 40)
    assert data["cancel_requested"] == SHOWN
    assert (await broker.changes(tenant, CHANNEL, cursor)).events == [event]
    assert (await listener.count(2))[1] == event
    assert listener.announcements[1].prev == cursor.offset
    assert (await broker.offsets(tenant, [CHANNEL])).offsets == [event.offset]


async def test_later_events_have_it(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Also those of a worker that does not know of it; its receipts tell it, those of repeats included."""
    await broker.subscribe(tenant, [CHANNEL])
    before = await publish_one(broker, tenant, update("a", run="one", seq=1))
    assert before.cancel is None
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    for repeated in (False, True):
        receipt = await publish_one(broker, tenant, update("a", run="one", seq=2, progress=50))
        assert (receipt.cancel, receipt.attempt) == (REQUEST, 1), repeated
    unnamed = await publish_one(broker, tenant, update("a", progress=60))
    assert unnamed.cancel == REQUEST
    assert await shown(broker, tenant) == SHOWN
    assert [decode(event.data).get("cancel_requested") for event in (await listener.count(4))[1:]] == [SHOWN] * 3


@pytest.mark.parametrize("data", [b"{}", b'{ "a": {"b": 1} } \n', '{"x":"ä}"}'.encode()])
async def test_data_of_other_publishers_have_it(broker: Broker, tenant: str, data: bytes) -> None:
    """However their JSON is written."""
    await accepted(broker, tenant, raw("a", data))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    whole = decode((await latest(broker, tenant)).data)
    assert whole.pop("cancel_requested") == SHOWN
    assert whole == decode(data)


async def test_data_that_are_no_object_stay_as_they_are(broker: Broker, tenant: str) -> None:
    """There is nothing to add to."""
    await accepted(broker, tenant, raw("a", b"[1]"))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    assert (await latest(broker, tenant)).data == b"[1]"


async def test_the_first_request_stands(broker: Broker, tenant: str) -> None:
    """A second one changes nothing, and is told of the first."""
    await accepted(broker, tenant, update("a"))
    first = await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    await accepted(broker, tenant, update("a", progress=1))
    cursor = (await broker.changes(tenant, CHANNEL)).cursor
    assert await broker.cancel(tenant, CHANNEL, "a", OTHER) == first
    assert (await broker.changes(tenant, CHANNEL)).cursor == cursor
    assert await shown(broker, tenant) == SHOWN


async def test_what_cannot_be_cancelled_is_refused(broker: Broker, tenant: str) -> None:
    """An unknown content, a removed one, one of another channel, and one that has ended; nothing changes."""
    await broker.publish(tenant, [update("gone"), update("there", channel="books"), update("done", "complete")])
    await broker.remove(tenant, CHANNEL, ["gone"])
    cursor = (await broker.changes(tenant, CHANNEL)).cursor
    for content_id, reason in (
        ("unknown", CancelRefusal.UNKNOWN),
        ("gone", CancelRefusal.UNKNOWN),
        ("there", CancelRefusal.UNKNOWN),
        ("done", CancelRefusal.ENDED),
    ):
        assert (await broker.cancel(tenant, CHANNEL, content_id, REQUEST)).reason is reason
    assert (await broker.changes(tenant, CHANNEL)).cursor == cursor


@pytest.mark.parametrize("status", ["complete", "error"])
async def test_an_end_drops_it(broker: Broker, tenant: str, status: str) -> None:
    """The work ended in time, as cancelled or as it would have; nothing ends it once more."""
    await accepted(broker, tenant, update("a", run="one", seq=1))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    ending = await publish_one(broker, tenant, update("a", status, run="one", seq=2))
    assert (ending.accepted, ending.cancel) == (True, None)
    assert await shown(broker, tenant) is None
    assert (await broker.cancels(tenant)).cancels == []
    assert await sweep(broker, CANCEL_LEASE + CANCEL_GRACE + 5) == 0
    assert decode((await latest(broker, tenant)).data)["status"] == status


@pytest.mark.parametrize("fence", [{"attempt": 2}, {"run": "two", "age_ms": 0}])
async def test_a_new_attempt_drops_it(broker: Broker, tenant: str, fence: dict[str, Any]) -> None:
    """The request was for the one before; the content can be cancelled again, and its own deadline counts."""
    first: dict[str, Any] = {"run": "one", "age_ms": 5_000} if "run" in fence else {}
    await accepted(broker, tenant, update("a", **first))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    receipt = await publish_one(broker, tenant, update("a", lease=0, **fence))
    assert (receipt.attempt, receipt.cancel) == (2, None)
    assert await shown(broker, tenant) is None
    assert (await broker.cancels(tenant)).cancels == []
    assert await sweep(broker, CANCEL_LEASE + CANCEL_GRACE + 5) == 0
    assert (await broker.cancel(tenant, CHANNEL, "a", OTHER)).request == OTHER


@pytest.mark.parametrize(
    ("lease", "seconds"),
    [
        pytest.param(0, CANCEL_LEASE, id="no lease"),
        pytest.param(20.0, 20.0, id="short lease"),
        pytest.param(3_600.0, CANCEL_LEASE, id="long lease"),
    ],
)
async def test_a_sweep_ends_what_goes_on(broker: Broker, tenant: str, lease: float, seconds: float) -> None:
    """As cancelled, although progress still comes and the lease is renewed; with all that it last said."""
    await accepted(broker, tenant, update("a", run="one", seq=1, lease=lease))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    now, until = time.time(), seconds + CANCEL_GRACE
    for passed in range(0, int(until), 4):
        assert await broker.expire(now + passed) == 0
        await accepted(broker, tenant, update("a", run="one", seq=2 + passed, lease=3_600, progress=passed))
    assert await broker.expire(now + until - 1) == 0
    assert await broker.expire(now + until + 2) == 1
    event = await latest(broker, tenant)
    data = decode(event.data)
    assert (event.type, data["status"], data["error_code"]) == (ERROR, "error", "cancelled")
    assert data["error_message"] == f"The work was cancelled: {REQUEST.reason}"
    assert data["progress"] == int(until) // 4 * 4 - (4 if until % 4 == 0 else 0)
    assert "cancel_requested" not in data
    late = await publish_one(broker, tenant, update("a", run="one", seq=999))
    assert late.reason is Refusal.CLOSED
    assert await broker.expire(now + until + 3) == 0


async def test_a_pending_content_ends_too(broker: Broker, tenant: str) -> None:
    """It has no lease and no worker."""
    await accepted(broker, tenant, update("a", "pending"))
    await broker.cancel(tenant, CHANNEL, "a", OTHER)
    assert await sweep(broker, CANCEL_LEASE + CANCEL_GRACE + 2) == 1
    assert decode((await latest(broker, tenant)).data)["error_message"] == "The work was cancelled."


async def test_time_without_sweeps_does_not_count(broker: Broker, tenant: str) -> None:
    """A worker that could not hear of it, because every hub was away, gets its time."""
    await accepted(broker, tenant, update("a", lease=0))
    await broker.expire(time.time())
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    assert await broker.expire(time.time() + 10 * (CANCEL_LEASE + CANCEL_GRACE)) == 0


async def test_each_content_is_ended_once(sweepers: list[Broker], tenant: str) -> None:
    """Simultaneous sweeps of several hubs."""
    names = [f"c{number}" for number in range(150)]
    await sweepers[0].publish(tenant, [update(name, lease=0) for name in names])
    ended, swept = 0, time.time()
    due = swept + 70
    for name in names:
        await sweepers[0].cancel(tenant, CHANNEL, name, REQUEST)
    last = time.time() + 76
    while swept < last:
        found = await asyncio.gather(*(broker.expire(swept) for broker in sweepers for _ in range(4)))
        assert swept >= due or not any(found)
        ended += sum(found)
        swept += 4
    assert ended == len(names)
    offsets = [event.offset for event in (await sweepers[-1].changes(tenant, CHANNEL)).events]
    assert offsets[-1] - offsets[0] == len(names) - 1


async def test_requests_in_force_are_listed(broker: Broker, tenant: str) -> None:
    """With their attempts and offsets; what was ended, removed or begun anew is not."""
    await broker.publish(tenant, [update(name) for name in ("ended", "gone", "anew", "kept")])
    await accepted(broker, tenant, update("there", channel="books", attempt=3))
    for channel, name in [(CHANNEL, it) for it in ("ended", "gone", "anew", "kept")] + [("books", "there")]:
        await broker.cancel(tenant, channel, name, REQUEST)
    await broker.publish(tenant, [update("ended", "error"), update("anew", attempt=2)])
    await broker.remove(tenant, CHANNEL, ["gone"])
    found = await broker.cancels(tenant)
    listed = {it.content_id: (it.channel, it.attempt, it.request) for it in found.cancels}
    assert listed == {"kept": (CHANNEL, 1, REQUEST), "there": ("books", 3, REQUEST)}
    assert {it.offset for it in found.cancels} == {
        (await latest(broker, tenant, name)).offset for name in ("kept", "there")
    }
    assert found.cursor == (await broker.changes(tenant, CHANNEL)).cursor
    assert (await broker.cancels("other")).cancels == []


async def test_a_request_does_not_move_the_fence(broker: Broker, tenant: str) -> None:
    """A repeat of the last event still has its cursor, and a lower seq is superseded."""
    first = await publish_one(broker, tenant, update("a", run="one", seq=5))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    again = await publish_one(broker, tenant, update("a", run="one", seq=5))
    assert again.cursor == first.cursor
    assert (await publish_one(broker, tenant, update("a", run="one", seq=4))).reason is Refusal.SUPERSEDED


async def test_a_stalled_work_drops_it(broker: Broker, tenant: str) -> None:
    """Its lease ran out before the deadline; the end has no request."""
    await accepted(broker, tenant, update("a", lease=5))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    assert await sweep(broker, 7) == 1
    data = decode((await latest(broker, tenant)).data)
    assert (data["error_code"], data.get("cancel_requested")) == ("stalled", None)


async def test_a_removed_content_keeps_nothing_of_it(broker: Broker, tenant: str) -> None:
    """One that begins anew is not to be cancelled, and no sweep ends it."""
    await accepted(broker, tenant, update("a"))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    await broker.remove(tenant, CHANNEL, ["a"])
    assert (await publish_one(broker, tenant, update("a", lease=0))).cancel is None
    assert await sweep(broker, CANCEL_LEASE + CANCEL_GRACE + 5) == 0
    assert await shown(broker, tenant) is None
