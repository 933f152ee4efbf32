"""Contents are removed on request, and nothing of what was removed comes back."""

from __future__ import annotations

import asyncio
import time

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import FORMER_RUNS, REMOVE_BATCH, Broker
from statushub.hub.model.event import decode
from statushub.hub.model.limits import StorageLimits
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.vocabulary import CONTENT_REMOVED
from tests.support.publications import CHANNEL, accepted, publish_one, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0
LONG_AGO = 3_600_000
"""An age in milliseconds: the run began an hour before the removal."""


async def contents(broker: Broker, tenant: str, channel: str = CHANNEL) -> list[str]:
    """The contents that the channel has."""
    return [event.content_id for event in (await broker.changes(tenant, channel)).events if not event.removed]


async def begun_later(broker: Broker, tenant: str, run: str, **fence: object) -> None:
    """A run that begins after the removal; within one millisecond the broker cannot tell."""
    async with asyncio.timeout(20):
        while not (await publish_one(broker, tenant, update("a", run=run, age_ms=0, **fence))).accepted:  # type: ignore[arg-type]
            pass


async def test_a_tombstone_takes_the_place(broker: Broker, tenant: str, listener: Recorder) -> None:
    """On the clock, in reads and in announcements, as where retention ends."""
    await broker.subscribe(tenant, [CHANNEL])
    await broker.publish(tenant, [update("a"), update("b")])
    before = (await broker.changes(tenant, CHANNEL)).cursor
    removal = await broker.remove(tenant, CHANNEL, ["a"])
    assert (removal.removed, removal.cursor.offset) == (["a"], before.offset + 1)
    [tomb] = (await broker.changes(tenant, CHANNEL, before)).events
    assert (tomb.type, tomb.content_id, tomb.offset) == (CONTENT_REMOVED, "a", removal.cursor.offset)
    assert decode(tomb.data) == {"content_id": "a", "channel_id": CHANNEL}
    assert (await broker.lookup(tenant, ["a"])).events == [tomb]
    assert (await listener.count(3))[2] == tomb
    assert listener.announcements[2].prev == before.offset
    assert (await broker.offsets(tenant, [CHANNEL])).offsets == [tomb.offset]


async def test_what_is_not_there_is_left_alone(broker: Broker, tenant: str) -> None:
    """An unknown content, one of another channel, one that was removed already, and one that is named twice."""
    await broker.publish(tenant, [update("a"), update("there", channel="books")])
    first = await broker.remove(tenant, CHANNEL, ["unknown", "there", "a", "a"])
    again = await broker.remove(tenant, CHANNEL, ["a"])
    assert (first.removed, again.removed, again.cursor) == (["a"], [], first.cursor)
    assert await contents(broker, tenant, "books") == ["there"]


async def test_a_lease_goes_with_its_content(broker: Broker, tenant: str) -> None:
    """Nothing stalls after the removal, nor does a content that begins anew without a lease."""
    await accepted(broker, tenant, update("a", lease=5))
    await broker.remove(tenant, CHANNEL, ["a"])
    await accepted(broker, tenant, update("a", lease=0))
    assert await broker.expire(time.time() + 3) == 0
    assert await broker.expire(time.time() + 6) == 0


async def test_removal_makes_room(url: str, tenant: str) -> None:
    """Contents, bytes and the channel's contents count no more."""
    size = len(update("a").data)
    limits = StorageLimits(contents=2, channel_contents=2, bytes=2 * size)
    async with open_broker(url, limits=limits) as broker:
        await broker.publish(tenant, [update("a"), update("b")])
        assert (await publish_one(broker, tenant, update("c"))).reason is Refusal.QUOTA_EXCEEDED
        await broker.remove(tenant, CHANNEL, ["a", "b"])
        receipts = await broker.publish(tenant, [update("c"), update("d"), update("e")])
        assert [receipt.reason for receipt in receipts] == [None, None, Refusal.QUOTA_EXCEEDED]


@pytest.mark.parametrize(
    "late",
    [
        pytest.param({"run": "two", "age_ms": LONG_AGO, "seq": 9}, id="its last run"),
        pytest.param({"run": "two", "age_ms": LONG_AGO, "restart": True}, id="its last run restarts"),
        pytest.param({"run": "two", "age_ms": 0}, id="its last run lies"),
        pytest.param({"run": "one", "age_ms": 0}, id="a former run"),
        pytest.param({"run": "unseen", "age_ms": LONG_AGO}, id="a run from before"),
        pytest.param({"run": "unseen", "age_ms": LONG_AGO, "restart": True}, id="a restart from before"),
        pytest.param({"attempt": 1, "seq": 99}, id="a lower attempt"),
        pytest.param({"attempt": 2, "seq": 99}, id="the same attempt"),
        pytest.param({"seq": 5}, id="the last seq"),
        pytest.param({"seq": 4}, id="a lower seq"),
    ],
)
@pytest.mark.parametrize("channel", [CHANNEL, "books"])
async def test_what_was_removed_stays_away(broker: Broker, tenant: str, late: dict[str, object], channel: str) -> None:
    """Whatever belongs to it is refused, its end included, and changes nothing."""
    await publish_one(broker, tenant, update("a", run="one", age_ms=2 * LONG_AGO))
    await publish_one(broker, tenant, update("a", run="two", age_ms=LONG_AGO, seq=5))
    removal = await broker.remove(tenant, CHANNEL, ["a"])
    for status in ("generating", "complete"):
        refused = await publish_one(broker, tenant, update("a", status, channel=channel, **late))  # type: ignore[arg-type]
        assert refused.reason is Refusal.REMOVED
    assert (await broker.changes(tenant, CHANNEL)).cursor == removal.cursor


@pytest.mark.parametrize(
    ("new", "attempt"),
    [
        pytest.param({}, 3, id="nothing named"),
        pytest.param({"seq": 6}, 3, id="a higher seq"),
        pytest.param({"attempt": 7, "seq": 1}, 7, id="a higher attempt"),
    ],
)
@pytest.mark.parametrize("channel", [CHANNEL, "books"])
async def test_a_later_publication_begins_anew(
    broker: Broker, tenant: str, new: dict[str, object], attempt: int, channel: str
) -> None:
    """In any channel, under an attempt above the former ones; and what was removed stays away."""
    await publish_one(broker, tenant, update("a", run="one", age_ms=2 * LONG_AGO))
    await publish_one(broker, tenant, update("a", run="two", age_ms=LONG_AGO, seq=5))
    await broker.remove(tenant, CHANNEL, ["a"])
    again = await publish_one(broker, tenant, update("a", channel=channel, **new))  # type: ignore[arg-type]
    assert again.attempt == attempt
    assert await contents(broker, tenant, channel) == ["a"]
    for run in ("one", "two"):
        refused = await publish_one(broker, tenant, update("a", channel=channel, run=run, age_ms=0, seq=9))
        assert refused.reason is Refusal.SUPERSEDED
    old = await publish_one(broker, tenant, update("a", channel=channel, attempt=2, seq=99))
    assert old.reason is Refusal.SUPERSEDED


async def test_a_later_run_begins_anew(broker: Broker, tenant: str) -> None:
    """It is a run of the content like any other, which a later one supersedes."""
    await publish_one(broker, tenant, update("a", "complete", run="one", age_ms=LONG_AGO, seq=3))
    await broker.remove(tenant, CHANNEL, ["a"])
    await begun_later(broker, tenant, "two", seq=1)
    assert (await publish_one(broker, tenant, update("a", run="two", seq=2))).attempt == 2
    assert (await publish_one(broker, tenant, update("a", run="one", seq=4))).reason is Refusal.SUPERSEDED


async def test_a_run_of_the_same_name_restarts_later(broker: Broker, tenant: str) -> None:
    """A job that is queued again under its id begins anew, with `restart`."""
    await publish_one(broker, tenant, update("a", "error", run="job", age_ms=LONG_AGO, seq=3))
    await broker.remove(tenant, CHANNEL, ["a"])
    await begun_later(broker, tenant, "job", seq=1, restart=True)
    assert (await publish_one(broker, tenant, update("a", run="job", seq=2))).attempt == 2


async def test_many_removals_know_the_last_runs(broker: Broker, tenant: str) -> None:
    """As many former runs are kept over removals as without."""
    for number in range(FORMER_RUNS + 1):
        await begun_later(broker, tenant, f"r{number}")
        await broker.remove(tenant, CHANNEL, ["a"])
    for number in range(FORMER_RUNS + 1):
        late = await publish_one(broker, tenant, update("a", run=f"r{number}", age_ms=0))
        assert late.reason is Refusal.REMOVED


async def test_a_forgotten_removal_refuses_nothing(broker: Broker, tenant: str) -> None:
    """What is kept of it is kept for as long as its tombstone; the floor stays."""
    before = await accepted(broker, tenant, update("a", attempt=4))
    await broker.remove(tenant, CHANNEL, ["a"])
    await broker.expire(time.time() + DAY + 60)
    assert (await broker.changes(tenant, CHANNEL, before)).whole
    assert (await publish_one(broker, tenant, update("a", attempt=1))).attempt == 1


async def test_a_removal_that_was_overtaken_is_not_forgotten_twice(broker: Broker, tenant: str) -> None:
    """The end of the first tombstone leaves what the second removal keeps."""
    await accepted(broker, tenant, update("a", attempt=1))
    await broker.remove(tenant, CHANNEL, ["a"])
    await accepted(broker, tenant, update("a", channel="books", attempt=5))
    await broker.remove(tenant, "books", ["a"])
    # Both tombstones are forgotten by one sweep; until then each channel has its own.
    assert [event.removed for event in (await broker.changes(tenant, CHANNEL)).events] == [True]
    assert (await publish_one(broker, tenant, update("a", attempt=5))).reason is Refusal.REMOVED


async def test_all_of_a_channel_is_removed(broker: Broker, tenant: str) -> None:
    """In several steps, and nothing of another channel."""
    many = [f"c{number}" for number in range(1_000 + 2 * REMOVE_BATCH + 5)]
    for start in range(0, len(many), 500):
        await broker.publish(tenant, [update(name) for name in many[start : start + 500]])
    await accepted(broker, tenant, update("there", channel="books"))
    removal = await broker.remove(tenant, CHANNEL)
    assert sorted(removal.removed) == sorted(many)
    snapshot = await broker.changes(tenant, CHANNEL)
    assert snapshot.cursor == removal.cursor
    assert all(event.removed for event in snapshot.events)
    assert await contents(broker, tenant, "books") == ["there"]
    assert (await broker.remove(tenant, CHANNEL)).removed == []


async def test_others_are_served_between_the_steps(broker: Broker, tenant: str) -> None:
    """A publish that comes during the removal of a large channel is answered before it ends."""
    for start in range(0, 3_000, 1_000):
        await broker.publish(tenant, [update(f"c{number}") for number in range(start, start + 1_000)])
    removing = asyncio.create_task(broker.remove(tenant, CHANNEL))
    await asyncio.sleep(0)
    await accepted(broker, tenant, update("there", channel="books"))
    assert not removing.done()
    assert len((await removing).removed) == 3_000


async def test_an_empty_channel_has_nothing_to_remove(broker: Broker, tenant: str) -> None:
    """The answer has the tenant's clock."""
    removal = await broker.remove(tenant, "empty")
    assert (removal.removed, removal.cursor) == ([], (await broker.changes(tenant, "empty")).cursor)


async def test_each_content_is_removed_once(sweepers: list[Broker], tenant: str) -> None:
    """Simultaneous requests over several hubs name each content once."""
    names = [f"c{number}" for number in range(50)]
    await sweepers[0].publish(tenant, [update(name) for name in names])
    removals = await asyncio.gather(*(broker.remove(tenant, CHANNEL, names) for broker in sweepers for _ in range(3)))
    assert sorted(name for removal in removals for name in removal.removed) == sorted(names)
