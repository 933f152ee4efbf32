"""Leases: a content whose worker stops reporting ends once, and only while hubs sweep."""

from __future__ import annotations

import asyncio
import time

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import STALL_BATCH, SWEEP_GAP, Broker
from statushub.hub.model.event import decode
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.vocabulary import ERROR
from tests.support.offsets import consecutive
from tests.support.publications import CHANNEL, accepted, publish_one, raw, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio

LEASE = 60.0
LATER = 3600.0
"""Longer than every lease here. Sweeps get the time as an argument, so that no test waits."""


async def statuses(broker: Broker, tenant: str, *content_ids: str) -> list[object]:
    found = await broker.lookup(tenant, content_ids)
    return [event and decode(event.data)["status"] for event in found.events]


async def test_a_lease_that_runs_out_ends_the_content(broker: Broker, tenant: str, listener: Recorder) -> None:
    """It ends as stalled, stored and announced like any event, with the data of the last one."""
    await broker.subscribe(tenant, [CHANNEL])
    before = await accepted(broker, tenant, update("a", lease=LEASE, progress=40, outputs=[], title="Metropolis"))
    assert await broker.expire(time.time() + LATER) == 1
    _, announced = await listener.count(2)
    assert (announced.channel, announced.content_id, announced.type) == (CHANNEL, "a", ERROR)
    assert announced.offset > before.offset
    assert listener.announcements[1].prev == before.offset
    assert (await broker.changes(tenant, CHANNEL, before)).events == [announced]
    data = decode(announced.data)
    assert (data["status"], data["processing_status"], data["error_code"]) == ("error", "failed", "stalled")
    assert (data["progress"], data["outputs"], data["title"]) == (40, [], "Metropolis")
    assert data["error_message"]


async def test_a_running_lease_ends_nothing(broker: Broker, tenant: str) -> None:
    """A sweep before a lease runs out does not end the content."""
    await accepted(broker, tenant, update("a", lease=LEASE))
    assert await broker.expire(time.time()) == 0
    assert await broker.expire() == 0
    assert await statuses(broker, tenant, "a") == ["generating"]


async def test_the_brokers_own_clock_ends_leases(broker: Broker, tenant: str, listener: Recorder) -> None:
    """Without a time as an argument, sweeps use the broker's clock."""
    await broker.subscribe(tenant, [CHANNEL])
    await accepted(broker, tenant, update("a", lease=0.02))
    async with asyncio.timeout(20):
        while not await broker.expire():
            await asyncio.sleep(0)
    assert [event.type for event in (await listener.count(2))[1:]] == [ERROR]


async def test_only_overdue_contents_end(broker: Broker, tenant: str) -> None:
    """Each lease has its own deadline, and a content without a lease has none."""
    await broker.publish(tenant, [update("short", lease=5), update("long", lease=3 * LATER), update("none")])
    assert await broker.expire(time.time() + LATER) == 1
    assert await statuses(broker, tenant, "short", "long", "none") == ["error", "generating", "generating"]


async def test_the_next_event_renews_the_lease(broker: Broker, tenant: str) -> None:
    """Each event sets the lease to its own, longer or shorter one."""
    await broker.publish(tenant, [update("a", lease=LEASE), update("b", lease=3 * LATER)])
    await broker.publish(tenant, [update("a", lease=3 * LATER), update("b", lease=LEASE)])
    assert await broker.expire(time.time() + LATER) == 1
    assert await statuses(broker, tenant, "a", "b") == ["generating", "error"]


async def test_the_next_event_without_a_lease_clears_it(broker: Broker, tenant: str) -> None:
    """A content whose last event has no lease never stalls."""
    await accepted(broker, tenant, update("a", lease=LEASE))
    await accepted(broker, tenant, update("a"))
    assert await broker.expire(time.time() + LATER) == 0


async def test_a_refused_event_leaves_the_lease(broker: Broker, tenant: str) -> None:
    """Refused and repeated events do not renew a lease."""
    await accepted(broker, tenant, update("a", lease=LEASE, attempt=2, seq=2))
    await publish_one(broker, tenant, update("a", lease=3 * LATER, attempt=2, seq=1))
    await publish_one(broker, tenant, update("a", lease=3 * LATER, attempt=2, seq=2))
    await publish_one(broker, tenant, update("a", attempt=1))
    assert await broker.expire(time.time() + LATER) == 1


@pytest.mark.parametrize("lease", [None, 5.0])
async def test_a_final_event_clears_the_lease(broker: Broker, tenant: str, lease: float | None) -> None:
    """A finished content never stalls, even where its final event has a lease."""
    await accepted(broker, tenant, update("a", lease=LEASE))
    await accepted(broker, tenant, update("a", "complete", lease=lease))
    assert await broker.expire(time.time() + LATER) == 0
    assert await statuses(broker, tenant, "a") == ["complete"]


async def test_stalling_closes_the_attempt(broker: Broker, tenant: str) -> None:
    """A stalled worker that resumes is refused; a new attempt reopens the content, with a lease of its own."""
    now = time.time() + LATER
    first = await accepted(broker, tenant, update("a", lease=LEASE, attempt=3, seq=5))
    assert await broker.expire(now) == 1
    assert (await publish_one(broker, tenant, update("a", attempt=3, seq=6))).reason is Refusal.CLOSED
    assert (await publish_one(broker, tenant, update("a", attempt=3, seq=4))).reason is Refusal.SUPERSEDED
    assert await accepted(broker, tenant, update("a", attempt=3, seq=5)) == first
    await accepted(broker, tenant, update("a", attempt=4, seq=1, lease=1))
    assert await broker.expire(now + 2) == 1


async def test_every_tenant_is_swept(broker: Broker) -> None:
    """One sweep ends the overdue contents of all tenants, each on its own clock."""
    for tenant in ("one", "two", "three"):
        await accepted(broker, tenant, update("a", lease=LEASE))
    assert await broker.expire(time.time() + LATER) == 3
    for tenant in ("one", "two", "three"):
        assert (await statuses(broker, tenant, "a")) == ["error"]


async def test_lease_time_stands_still_without_sweeps(broker: Broker, tenant: str) -> None:
    """After a gap between sweeps a lease has as much time left as it had before."""
    start = time.time()
    await accepted(broker, tenant, update("a", lease=LEASE))
    assert await broker.expire(start) == 0
    back = start + 10 * LATER
    assert await broker.expire(back) == 0
    left = back + LEASE
    while back < left - SWEEP_GAP:
        back += SWEEP_GAP - 1
        assert await broker.expire(back) == 0
    assert await broker.expire(left - 1) == 0
    # A second more than it had, for the duration of the test itself.
    ends = [await broker.expire(left + 4), await broker.expire(left + 8), await broker.expire(left + 12)]
    assert sum(ends) == 1


async def test_a_lease_set_within_a_gap_is_extended_from_then(broker: Broker, tenant: str) -> None:
    """A gap that began an hour before the lease does not extend it by an hour."""
    hour_ago = time.time() - 3600
    await accepted(broker, tenant, update("old", lease=3 * LATER))
    await broker.expire(hour_ago)
    await accepted(broker, tenant, update("new", lease=2))
    back = time.time()
    assert await broker.expire(back) == 0
    ends = [await broker.expire(back + 4 * n) for n in range(1, 6)]
    assert sum(ends) == 1
    assert await statuses(broker, tenant, "old", "new") == ["generating", "error"]


@pytest.mark.parametrize("back", [30.0, LATER])
async def test_a_clock_that_is_set_back_takes_leases_with_it(broker: Broker, tenant: str, back: float) -> None:
    """After a step back of the clock a lease has as much time left as before."""
    start = time.time() + back + 10
    await accepted(broker, tenant, update("long ago", lease=LEASE + back + 10))
    assert await broker.expire(start) == 0
    now = start - back
    assert await broker.expire(now) == 0
    while now < start - back + LEASE - SWEEP_GAP:
        now += SWEEP_GAP - 1
        assert await broker.expire(now) == 0
    ends = [await broker.expire(now + 4), await broker.expire(now + 8)]
    assert sum(ends) == 1


async def test_a_lease_that_was_set_since_the_clock_was_set_back_stays(broker: Broker, tenant: str) -> None:
    """A lease that was set by the new clock does not move."""
    await accepted(broker, tenant, update("old", lease=3 * LATER))
    ahead = time.time() + LATER
    await broker.expire(ahead)
    await accepted(broker, tenant, update("new", lease=LEASE))
    assert await broker.expire(time.time()) == 0
    assert await broker.expire(time.time() + SWEEP_GAP - 1) == 0
    assert await statuses(broker, tenant, "old", "new") == ["generating", "generating"]


async def test_short_gaps_do_not_move_leases(broker: Broker, tenant: str) -> None:
    """With sweeps in time a lease runs out in its time."""
    start = time.time()
    await accepted(broker, tenant, update("a", lease=15))
    ends = [await broker.expire(start + n * (SWEEP_GAP - 0.5)) for n in range(8)]
    assert ends[:4] == [0, 0, 0, 0]
    assert sum(ends) == 1


async def test_a_content_with_foreign_data_stalls(broker: Broker, tenant: str) -> None:
    """Bytes that a foreign publisher stored do not stop the sweep."""
    await broker.publish(tenant, [raw("a", b"\xff[", lease=LEASE), update("b", lease=LEASE)])
    assert await broker.expire(time.time() + LATER) == 2
    assert await statuses(broker, tenant, "a", "b") == ["error", "error"]


async def test_a_sweep_is_bounded(broker: Broker, tenant: str) -> None:
    """Overdue contents beyond the limit of one sweep are left to the next."""
    await broker.publish(tenant, [update(f"c{n}", lease=LEASE) for n in range(STALL_BATCH // 2)])
    await broker.publish(tenant, [update(f"d{n}", lease=LEASE) for n in range(STALL_BATCH // 2 + 10)])
    now = time.time() + LATER
    ends = [await broker.expire(now), await broker.expire(now + 1), await broker.expire(now + 2)]
    assert ends == [STALL_BATCH, 10, 0]


async def test_each_content_ends_once_however_many_sweep(sweepers: list[Broker], tenant: str) -> None:
    """Concurrent sweeps of several hubs end each content once."""
    await sweepers[0].publish(tenant, [update(f"c{n}", lease=LEASE) for n in range(100)])
    now = time.time() + LATER
    ends = await asyncio.gather(*(broker.expire(now) for broker in sweepers for _ in range(10)))
    assert sum(ends) == 100
    snapshot = await sweepers[-1].changes(tenant, CHANNEL)
    assert consecutive([event.offset for event in snapshot.events], 100)
    assert {event.type for event in snapshot.events} == {ERROR}


async def test_a_stalled_content_is_announced_once(url: str, tenant: str) -> None:
    """Concurrent sweeps of one hub announce each ending once."""
    listener = Recorder()
    broker = open_broker(url)
    broker.listen(listener)
    async with broker:
        await broker.subscribe(tenant, [CHANNEL])
        await broker.publish(tenant, [update(f"c{n}", lease=LEASE) for n in range(20)])
        now = time.time() + LATER
        await asyncio.gather(*(broker.expire(now) for _ in range(10)))
        marker = await accepted(broker, tenant, update("marker"))
        await listener.until(lambda: marker.offset in listener.offsets)
    assert consecutive(listener.offsets, 41)


@pytest.mark.parametrize("lease", [None, 3 * LATER])
async def test_progress_concurrent_with_a_sweep(sweepers: list[Broker], tenant: str, lease: float | None) -> None:
    """Either the worker's event comes first and the content lives, or it is ended and the event refused."""
    contents = [f"c{n}" for n in range(50)]
    await sweepers[0].publish(tenant, [update(content_id, lease=LEASE) for content_id in contents])
    now = time.time() + LATER
    sweeps = asyncio.gather(*(broker.expire(now) for broker in sweepers))
    receipts = await asyncio.gather(
        *(publish_one(sweepers[0], tenant, update(content_id, lease=lease)) for content_id in contents)
    )
    ended = sum(await sweeps)
    lived = [receipt.accepted for receipt in receipts]
    assert ended == lived.count(False)
    after = await statuses(sweepers[0], tenant, *contents)
    assert after == ["generating" if alive else "error" for alive in lived]
