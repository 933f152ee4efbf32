"""Contents that grow: what deltas make of them, which are refused, and what becomes of what they have appended."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import CANCEL_GRACE, CANCEL_LEASE, Broker
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.delta import GROWN_BYTES, GROWN_FIELDS, GROWN_ITEMS, composed, decode
from statushub.hub.model.limits import StorageLimits
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.retention import RETENTION_SECONDS
from statushub.hub.model.vocabulary import CONTENT_DELTA, STATUS_UPDATE
from tests.support.publications import CHANNEL, accepted, grown, publish_one, update
from tests.support.recorder import Recorder

pytestmark = pytest.mark.anyio

REQUEST = CancelRequest(by="user-42", at="2025-07-31T13:00:00.000Z", reason=None)
COMMON = {"content_id", "channel_id", "status", "processing_status", "timestamp", "completed_at"}


async def state(broker: Broker, tenant: str, content_id: str = "a") -> dict[str, Any]:
    """What a content's data have beside the fields of every status; `lookup` and `changes` agree about it."""
    [event] = (await broker.lookup(tenant, [content_id])).events
    assert event is not None
    listed = (await broker.changes(tenant, CHANNEL)).events
    assert event in listed
    return fields(event.data)


def fields(data: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(data).items() if name not in COMMON}


async def publish(broker: Broker, tenant: str, *publications: Publication) -> None:
    """Publish, each of which must be accepted."""
    receipts = await broker.publish(tenant, publications)
    assert [receipt.reason for receipt in receipts] == [None] * len(publications)


async def test_a_content_grows_by_deltas(broker: Broker, tenant: str) -> None:
    """Texts and lists are appended to, other fields are set, and reads show the whole state with its usual type."""
    await publish(broker, tenant, update("a", seq=1, text="Once", progress=0))
    await publish(broker, tenant, grown("a", seq=2, text=" upon", log=["one"], sets={"progress": 50}))
    await publish(
        broker, tenant, grown("a", seq=5, follows=2, text=" a t\u00efme\u2028\U0001f600", log=[{"n": []}, None])
    )
    assert await state(broker, tenant) == {
        "text": "Once upon a t\u00efme\u2028\U0001f600",
        "progress": 50,
        "log": ["one", {"n": []}, None],
    }
    [event] = (await broker.lookup(tenant, ["a"])).events
    assert event is not None
    assert event.type == STATUS_UPDATE
    assert json.loads(event.data)["status"] == "generating"


async def test_a_delta_is_announced_as_one(broker: Broker, listener: Recorder, tenant: str) -> None:
    """Its event has only what changed, and says after which event of the content it comes."""
    await broker.subscribe(tenant, [CHANNEL])
    await publish(broker, tenant, update("a", seq=1), update("b", seq=1))
    await publish(broker, tenant, grown("a", seq=2, text="x" * 5_000, sets={"n": [1, {}]}))
    await publish(broker, tenant, grown("a", seq=3, text="y"))
    first, other, second, third = await listener.count(4)
    assert [it.type for it in (second, third)] == [CONTENT_DELTA] * 2
    assert second.delta
    assert not first.delta
    assert (second.after, third.after) == (first.offset, second.offset)
    assert [it.prev for it in listener.announcements] == [0, first.offset, other.offset, second.offset]
    said = json.loads(second.data)
    moment = said.pop("timestamp")
    assert said == {
        "content_id": "a",
        "set": {"n": [1, {}]},
        "append": {"text": "x" * 5_000},
    }
    assert moment.endswith("Z")
    assert len(third.data) < 120
    assert json.loads(composed(composed(first.data, decode(second.data)), decode(third.data))) == json.loads(
        (await broker.changes(tenant, CHANNEL)).events[-1].data
    )


async def test_a_followed_tenant_hears_deltas(broker: Broker, listener: Recorder, tenant: str) -> None:
    """Where the whole tenant is followed, the announcement is the same."""
    await broker.follow(tenant)
    await publish(broker, tenant, update("a", seq=1), grown("a", seq=2, text="x"), update("a", seq=3))
    whole, delta, after = await listener.count(3)
    assert (delta.type, delta.after) == (CONTENT_DELTA, whole.offset)
    assert fields(after.data) == {"text": "x"}
    assert listener.announcements[1].before == whole.offset


REFUSED: dict[str, tuple[dict[str, Any], Refusal]] = {
    "unknown": ({"content_id": "unknown", "seq": 2}, Refusal.UNKNOWN),
    "follows an earlier one": ({"content_id": "a", "seq": 9, "follows": 6}, Refusal.GAP),
    "follows a later one": ({"content_id": "a", "seq": 9, "follows": 8}, Refusal.GAP),
    "late": ({"content_id": "a", "seq": 5}, Refusal.SUPERSEDED),
    "opens an attempt": ({"content_id": "a", "seq": 8, "attempt": 2}, Refusal.GAP),
    "of a former attempt": ({"content_id": "a", "seq": 8, "attempt": 0}, Refusal.SUPERSEDED),
    "of another channel": ({"content_id": "a", "seq": 8, "channel": "books"}, Refusal.WRONG_CHANNEL),
    "of a later run": ({"content_id": "a", "seq": 8, "run": "later"}, Refusal.GAP),
    "ended": ({"content_id": "ended", "seq": 2}, Refusal.CLOSED),
    "pending": ({"content_id": "pending", "seq": 2}, Refusal.GAP),
    "without a seq": ({"content_id": "counted", "seq": 2}, Refusal.GAP),
    "of what was removed": ({"content_id": "removed", "seq": 1, "follows": 0}, Refusal.REMOVED),
    "after the removal": ({"content_id": "removed", "seq": 2}, Refusal.UNKNOWN),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=[*REFUSED])
async def test_a_delta_that_does_not_follow_is_refused(
    broker: Broker, listener: Recorder, tenant: str, refused: tuple[dict[str, Any], Refusal]
) -> None:
    """A text has no holes: what does not build on the open attempt's last event is neither stored nor announced."""
    said, reason = refused
    await broker.subscribe(tenant, [CHANNEL])
    await publish(
        broker,
        tenant,
        update("a", seq=7, run="first", age_ms=60_000, text="begun"),
        update("ended", "complete", seq=1),
        update("pending", "pending", seq=1),
        update("counted"),
        update("removed", seq=1),
    )
    await broker.remove(tenant, CHANNEL, ["removed"])
    before = (await broker.changes(tenant, CHANNEL)).events
    receipt = await publish_one(broker, tenant, grown(**said, text="x"))
    assert receipt.reason == reason
    seqs = {"a": 7, "pending": 1}
    assert receipt.seq == (seqs.get(said["content_id"]) if reason is Refusal.GAP else None)
    assert (await broker.changes(tenant, CHANNEL)).events == before
    assert len(listener.events) == 6


async def test_a_repeated_delta_is_stored_once(broker: Broker, listener: Recorder, tenant: str) -> None:
    """It is accepted with the cursor of the first time, and appends nothing."""
    await broker.subscribe(tenant, [CHANNEL])
    await publish(broker, tenant, update("a", seq=1))
    first = await accepted(broker, tenant, grown("a", seq=2, text="once"))
    assert await accepted(broker, tenant, grown("a", seq=2, text="once")) == first
    assert await state(broker, tenant) == {"text": "once"}
    assert len(listener.events) == 2


async def test_a_whole_event_keeps_the_appended_fields_that_it_does_not_name(
    broker: Broker, listener: Recorder, tenant: str
) -> None:
    """It replaces the data and what deltas have set, and its announcement has the whole state."""
    await broker.subscribe(tenant, [CHANNEL])
    await publish(broker, tenant, update("a", seq=1, text="Once", title="T"))
    await publish(broker, tenant, grown("a", seq=2, text=" upon", log=[1], sets={"progress": 10}))
    await publish(broker, tenant, update("a", seq=3, step=2))
    kept = {"step": 2, "text": "Once upon", "log": [1]}
    assert await state(broker, tenant) == kept
    assert fields((await listener.count(3))[2].data) == kept
    await publish(broker, tenant, grown("a", seq=4, text=" a time", log=[2]), update("a", seq=5, log="none"))
    assert await state(broker, tenant) == {"log": "none", "text": "Once upon a time"}
    await publish(broker, tenant, grown("a", seq=6, text="."), update("a", "complete", seq=7))
    ended = {"text": "Once upon a time."}
    assert await state(broker, tenant) == ended
    assert fields((await listener.count(7))[6].data) == ended


async def test_a_whole_event_that_names_a_field_replaces_it(broker: Broker, tenant: str) -> None:
    """What was appended before is gone for good, also after further whole events."""
    await publish(broker, tenant, update("a", seq=1), grown("a", seq=2, text="old", log=[1]))
    await publish(broker, tenant, update("a", seq=3, text="new"))
    assert await state(broker, tenant) == {"text": "new", "log": [1]}
    await publish(broker, tenant, grown("a", seq=4, text="er"))
    assert await state(broker, tenant) == {"text": "newer", "log": [1]}
    await publish(broker, tenant, update("a", seq=5))
    assert await state(broker, tenant) == {"text": "newer", "log": [1]}
    await publish(broker, tenant, update("a", seq=6, text="", log=[]))
    assert await state(broker, tenant) == {"text": "", "log": []}
    await publish(broker, tenant, update("a", seq=7))
    assert await state(broker, tenant) == {}


async def test_a_set_field_replaces_what_was_appended(broker: Broker, tenant: str) -> None:
    """And what is appended then goes on from the value that was set, also after a whole event."""
    await publish(broker, tenant, update("a", seq=1, text="data"), grown("a", seq=2, text=" more", log=[1]))
    await publish(broker, tenant, grown("a", seq=3, sets={"text": "anew", "n": 1}))
    assert await state(broker, tenant) == {"text": "anew", "n": 1, "log": [1]}
    await publish(broker, tenant, grown("a", seq=4, text=" again"))
    assert await state(broker, tenant) == {"text": "anew again", "n": 1, "log": [1]}
    await publish(broker, tenant, update("a", seq=5), grown("a", seq=6, text="."))
    assert await state(broker, tenant) == {"text": "anew again.", "log": [1]}


async def test_an_append_of_another_kind_begins_the_field_anew(broker: Broker, tenant: str) -> None:
    """A list in the place of a text, a text in that of a list, and either in that of a number."""
    await publish(broker, tenant, update("a", seq=1, x="text", y=5), grown("a", seq=2, x=["list"], y="text"))
    assert await state(broker, tenant) == {"x": ["list"], "y": "text"}
    await publish(broker, tenant, grown("a", seq=3, x="again", y=" on"))
    assert await state(broker, tenant) == {"x": "again", "y": "text on"}
    await publish(broker, tenant, grown("a", seq=4, x=" and on"), update("a", seq=5))
    assert await state(broker, tenant) == {"x": "again and on", "y": "text on"}


async def test_another_attempt_begins_without_what_was_appended(broker: Broker, tenant: str) -> None:
    """By its number, by a run, and by a restart."""
    await publish(broker, tenant, update("a", seq=1), grown("a", seq=2, text="old", sets={"n": 1}))
    await publish(broker, tenant, update("a", attempt=2, seq=1))
    assert await state(broker, tenant) == {}
    await publish(broker, tenant, grown("a", seq=2, text="second"))
    await publish(broker, tenant, update("a", run="r", age_ms=0, seq=1, restart=True))
    assert await state(broker, tenant) == {}
    await publish(broker, tenant, grown("a", seq=2, run="r", age_ms=0, text="third"))
    await publish(broker, tenant, update("a", "complete", run="r", age_ms=0, seq=3))
    assert await state(broker, tenant) == {"text": "third"}
    await publish(broker, tenant, update("a", run="r", age_ms=0, seq=4, restart=True))
    assert await state(broker, tenant) == {}


async def test_a_removed_content_leaves_nothing_of_its_growth(broker: Broker, tenant: str) -> None:
    """On request or by its retention; a content that begins anew does not have it."""
    await publish(broker, tenant, update("a", seq=1), grown("a", seq=2, text="old", sets={"n": 1}))
    await broker.remove(tenant, CHANNEL, ["a"])
    await publish(broker, tenant, update("a", seq=3), grown("a", seq=4, text="new"))
    assert await state(broker, tenant) == {"text": "new"}
    await broker.expire(time.time() + RETENTION_SECONDS + 60)
    [event] = (await broker.lookup(tenant, ["a"])).events
    assert event is not None
    assert event.removed
    await publish(broker, tenant, update("a", seq=1), grown("a", seq=2, text="newest"))
    assert await state(broker, tenant) == {"text": "newest"}


async def test_a_delta_renews_lease_and_retention(broker: Broker, tenant: str) -> None:
    """A content whose deltas come does not stall, and one that is silent does, with all its text."""
    now = time.time()
    await broker.expire(now)
    await publish(broker, tenant, update("a", seq=1, lease=2), grown("a", seq=2, lease=60, text="t", sets={"n": 1}))
    await publish(broker, tenant, update("b", seq=1, lease=60), grown("b", seq=2, lease=1, text="t", sets={"n": 1}))
    await publish(broker, tenant, grown("b", seq=3, lease=1, text="!", log=[1]))
    assert await broker.expire(now + 4) == 1
    assert await state(broker, tenant) == {"text": "t", "n": 1}
    ended = await state(broker, tenant, "b")
    assert ended.pop("error_code") == "stalled"
    ended.pop("error_message")
    assert ended == {"text": "t!", "n": 1, "log": [1]}


async def test_a_cancelled_content_keeps_its_text(broker: Broker, listener: Recorder, tenant: str) -> None:
    """The request is announced with the whole state, stays with further deltas, and the ending carries the text."""
    await broker.subscribe(tenant, [CHANNEL])
    now = time.time()
    await broker.expire(now)
    await publish(broker, tenant, update("a", seq=1, text="a"), grown("a", seq=2, text="b", sets={"n": 1}))
    await broker.cancel(tenant, CHANNEL, "a", REQUEST)
    announced = fields((await listener.count(3))[2].data)
    assert announced.pop("cancel_requested")["by"] == "user-42"
    assert announced == {"text": "ab", "n": 1}
    receipt = await publish_one(broker, tenant, grown("a", seq=3, text="c"))
    assert receipt.cancel == REQUEST
    await publish(broker, tenant, update("a", seq=4))
    shown = await state(broker, tenant)
    assert shown == {"text": "abc", "cancel_requested": {"by": "user-42", "at": REQUEST.at, "reason": None}}
    assert fields((await listener.count(5))[4].data) == shown
    for step in range(1, 20):
        await broker.expire(now + step * (CANCEL_LEASE + CANCEL_GRACE + 4) / 19)
    ended = await state(broker, tenant)
    assert (ended["error_code"], ended["text"]) == ("cancelled", "abc")


@pytest.mark.parametrize(
    "deltas",
    [
        [{"text": "x" * 50_000}] * (GROWN_BYTES // 50_000 + 1),
        [{"log": [1] * 5_000}] * (GROWN_ITEMS // 5_000 + 1),
        [{f"f{n}": "x"} for n in range(GROWN_FIELDS + 1)],
        [{"sets": {f"f{n}": n}} for n in range(GROWN_FIELDS + 1)],
    ],
    ids=["bytes", "items", "fields", "set fields"],
)
async def test_a_content_does_not_grow_beyond_its_limits(
    broker: Broker, tenant: str, deltas: list[dict[str, Any]]
) -> None:
    """The delta that would exceed them is refused, and changes nothing; a whole event makes place."""
    await publish(broker, tenant, update("a", seq=1))
    *fitting, last = [grown("a", seq=n, **delta) for n, delta in enumerate(deltas, 2)]
    await publish(broker, tenant, *fitting)
    before = await state(broker, tenant)
    assert (await publish_one(broker, tenant, last)).reason == Refusal.TOO_LARGE
    assert await state(broker, tenant) == before
    without: dict[str, Any] = dict.fromkeys(before)
    await publish(broker, tenant, update("a", seq=90, **without), grown("a", seq=91, text="again"))
    assert (await state(broker, tenant))["text"] == "again"


async def test_what_grows_counts_towards_the_quota(url: str, tenant: str) -> None:
    """Deltas over it are refused, and removal gives all of it back."""
    async with open_broker(url, limits=StorageLimits(bytes=5_000)) as broker:
        for name in ("a", "b", "c"):
            await publish(broker, tenant, update(name, seq=1), grown(name, seq=2, text="x" * 3_000))
            for refused in (grown(name, seq=3, text="x" * 3_000), update("other", text="x" * 3_000)):
                assert (await publish_one(broker, tenant, refused)).reason == Refusal.QUOTA_EXCEEDED
            await publish(broker, tenant, grown(name, seq=3, sets={"n": "y" * 500}), update(name, seq=4))
            await publish(broker, tenant, grown(name, seq=5, text="x" * 400, sets={"m": "y"}))
            await broker.remove(tenant, CHANNEL)
        await publish(broker, tenant, update("d", seq=1), grown("d", seq=2, text="x" * 4_500))


async def test_a_growing_content_stays_in_its_phase(broker: Broker, tenant: str) -> None:
    """The index counts it once, and has the offset of its latest delta."""
    await publish(broker, tenant, update("a", seq=1))
    cursor = await accepted(broker, tenant, grown("a", seq=2, text="x"))
    [entry] = (await broker.channels(tenant, limit=10)).entries
    assert (entry.processing, entry.offset) == (1, cursor.offset)
    assert [event.offset for event in (await broker.changes(tenant, CHANNEL)).events] == [cursor.offset]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def test_what_has_grown_survives_the_broker(url: str, tenant: str) -> None:
    """Another broker over the same store reads the whole state, and takes the next delta."""
    async with open_broker(url) as broker:
        await publish(broker, tenant, update("a", seq=1, text="a"), grown("a", seq=2, text="b", sets={"n": 1}))
    async with open_broker(url) as broker:
        await publish(broker, tenant, grown("a", seq=3, text="c"))
        assert await state(broker, tenant) == {"text": "abc", "n": 1}
