"""A replica holds the state of a channel in the clock's order, whatever happened in between."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event, tombstone
from statushub.hub.model.line import one_line
from statushub.hub.replicas.replica import Replica, merged
from statushub.hub.replicas.scheduler import STEP_EVENTS
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import CHUNKED_SSE, SSE

pytestmark = pytest.mark.anyio


def event(offset: int, content_id: str = "a", data: bytes = b"{}", channel: str = "c") -> Event:
    return Event(channel=channel, content_id=content_id, offset=offset, type="t", data=data)


def snapshot(*events: Event, epoch: str = "e", offset: int | None = None) -> Snapshot:
    clock = max((event.offset for event in events), default=0) if offset is None else offset
    return Snapshot(cursor=Cursor(epoch=epoch, offset=clock), events=list(events))


def announcement(offset: int, prev: int, content_id: str = "a", epoch: str = "e") -> Announcement:
    return Announcement(tenant="t", epoch=epoch, prev=prev, event=event(offset, content_id))


def loaded(*events: Event, contents: dict[str, Event] | None = None) -> Replica:
    replica = Replica("t", "c", {} if contents is None else contents)
    replica.load(snapshot(*events))
    return replica


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(0, 60))
def test_the_log_has_the_latest_event_of_each_content_in_order(content_ids: list[str], offset: int) -> None:
    """The property holds for any sequence of events and any offset."""
    replica = loaded()
    for number, content_id in enumerate(content_ids, 1):
        replica.apply(event(number, content_id))
    latest = {content_id: number for number, content_id in enumerate(content_ids, 1)}
    expected = sorted((number, content_id) for content_id, number in latest.items() if number > offset)
    assert [(found.offset, found.content_id) for found in replica.log.after(offset)] == expected


def test_a_snapshot_merges_within_an_epoch_and_replaces_across_epochs() -> None:
    """Events that are older than the known ones change nothing."""
    contents: dict[str, Event] = {}
    replica = loaded(event(1, "a"), event(4, "b"), contents=contents)
    replica.load(snapshot(event(6, "a"), offset=9))
    assert ([found.offset for found in replica.log.after(0)], replica.last) == ([4, 6], 9)
    replica.load(snapshot(event(2, "c"), epoch="f"))
    assert [found.content_id for found in replica.log.after(0)] == ["c"]
    assert (replica.cursor, set(contents)) == (Cursor(epoch="f", offset=2), {"c"})


@pytest.mark.parametrize(
    ("waiting", "whole", "offsets"),
    [
        ([announcement(2, 1), announcement(5, 3, "b")], True, [3, 5]),
        ([announcement(4, 3), announcement(6, 5)], False, [4]),
        ([announcement(4, 3, epoch="f")], False, [3]),
        ([announcement(9, 8, epoch="d"), announcement(4, 3, "b")], True, [3, 4]),
        ([], True, [3]),
    ],
)
def test_waiting_announcements_are_replayed_up_to_a_gap(
    waiting: list[Announcement], whole: bool, offsets: list[int]
) -> None:
    """Old announcements and those of a former epoch are skipped; a gap or a later epoch requires another read."""
    replica = loaded(event(3, "a"))
    replica.waiting += waiting
    assert replica.replay() is whole
    assert [found.offset for found in replica.log.after(0)] == offsets
    assert not replica.waiting


def test_a_whole_snapshot_replaces_within_an_epoch() -> None:
    """What the broker reads anew, because the cursor lay below the floor, does not keep what was removed."""
    contents: dict[str, Event] = {}
    replica = loaded(event(1, "a"), event(4, "b"), contents=contents)
    read = Snapshot(cursor=Cursor(epoch="e", offset=9), events=[event(4, "b")], floor=7, whole=True)
    replica.load(read)
    assert [found.content_id for found in replica.log.after(0)] == ["b"]
    assert (replica.last, replica.changed, replica.floor, set(contents)) == (9, 7, 7, {"b"})


def test_tombstones_are_forgotten_by_age() -> None:
    """Age counts from when the tombstone was applied; the floor is raised, and contents stay however old they are."""
    contents: dict[str, Event] = {}
    replica = loaded(event(1, "a"), event(2, "b"), event(3, "d"), contents=contents)
    replica.apply(tombstone("c", "b", 4))
    between = time.monotonic()
    replica.apply(tombstone("c", "d", 5))
    replica.forget(between)
    assert list(replica.events) == ["a", "d"]
    assert (replica.floor, set(contents)) == (4, {"a", "d"})
    replica.forget(time.monotonic())
    assert list(replica.events) == ["a"]
    assert (replica.last, replica.floor) == (5, 5)


def test_a_removed_content_is_no_state() -> None:
    """A tombstone is read by those who resume, and is none of the channel's states."""
    replica = loaded(event(1, "a"), event(2, "b"))
    replica.apply(tombstone("c", "a", 3))
    assert [found.content_id for found in replica.log.page(None, 10).events] == ["b"]
    assert [found.content_id for found in replica.log.after(2)] == ["a"]


def test_a_content_that_moved_is_known_where_it_lives_now() -> None:
    """A replica that is read later than another does not replace the newer entry of a content in the index."""
    contents: dict[str, Event] = {}
    former, present = Replica("t", "c", contents), Replica("t", "d", contents)
    present.load(snapshot(event(6, channel="d")))
    former.load(snapshot(tombstone("c", "a", 5)))
    assert contents["a"] is present.events["a"]
    former.apply(event(7))
    assert contents["a"] is former.events["a"]


def test_clearing_a_replica_keeps_contents_that_moved() -> None:
    """A content that expired in one channel and was published to another belongs to the other."""
    contents: dict[str, Event] = {}
    first, second = Replica("t", "c", contents), Replica("t", "d", contents)
    first.load(snapshot(event(1)))
    second.load(snapshot(event(2, channel="d")))
    first.clear()
    assert contents == second.events


def test_several_channels_merge_by_offset() -> None:
    """The merged entries are in the clock's order, whatever their channel."""
    one, other = Replica("t", "c", {}), Replica("t", "d", {})
    one.load(snapshot(event(1, "a"), event(5, "b")))
    other.load(snapshot(event(2, "x"), event(6, "y")))
    assert [found.offset for found in merged((one, other), 1)] == [2, 5, 6]


@given(st.binary(max_size=200).map(one_line), st.integers(1, 2**53))
def test_a_chunk_holds_one_frame(data: bytes, offset: int) -> None:
    """The frame is one chunk of the body, and its data are on one line."""
    frame = SSE.event("e", event(offset, data=data))
    assert CHUNKED_SSE.event("e", event(offset, data=data)) == b"%x\r\n%b\r\n" % (len(frame), frame)
    assert frame == b"event: t\ndata: %b\nid: e-%d\n\n" % (data, offset)


def test_line_breaks_in_data_add_no_line_to_a_frame() -> None:
    """Line breaks between JSON tokens become spaces, and others escapes, in both kinds of frames."""
    stored = event(1, data='{\r\n"a": "\u2028",\n\nid: 7\v}'.encode())
    frame = SSE.event("e", stored)
    assert frame == b'event: t\ndata: {  "a": "\\u2028",  id: 7 }\nid: e-1\n\n'
    assert frame in CHUNKED_SSE.event("e", stored)


@pytest.mark.parametrize("format", [SSE, CHUNKED_SSE], ids=["plain", "chunked"])
def test_line_breaks_in_a_type_add_no_line_to_a_frame(format: StreamFormat) -> None:
    """A straight publisher may have stored any text as a type."""
    stored = Event(channel="c", content_id="a", offset=1, type="x\u2028id: 7\n\ndata: y", data=b"{}")
    assert b"event: x\xef\xbf\xbdid: 7\xef\xbf\xbd\xef\xbf\xbddata: y\ndata: {}\n" in format.event("e", stored)


def test_what_replaces_everything_cannot_be_read_in_part() -> None:
    """A replica that is being loaded has no epoch, so that no answer shows a part as the whole."""
    replica = loaded(event(1, "a"))
    steps = replica.loading(snapshot(*(event(n, str(n)) for n in range(1, 3 * STEP_EVENTS)), epoch="f"))
    next(steps)
    assert (replica.epoch, replica.cursor) == (None, None)
    list(steps)
    assert (replica.epoch, len(replica.events)) == ("f", 3 * STEP_EVENTS - 1)


def test_a_load_ends_where_its_replica_is_dropped() -> None:
    """Nothing more comes into the tenant's index, which no replica would take out again."""
    contents: dict[str, Event] = {}
    replica = Replica("t", "c", contents)
    steps = replica.loading(snapshot(*(event(n, str(n)) for n in range(1, 3 * STEP_EVENTS))))
    next(steps)
    next(steps)
    replica.clear()
    list(steps)
    assert (contents, replica.events, replica.epoch) == ({}, {}, None)


def test_an_updated_content_keeps_one_text_of_its_id() -> None:
    """The event and both indexes share it."""
    replica = loaded(event(1, "".join(["content", "-", "1"])))
    [key] = replica.events
    replica.apply(event(2, "".join(["content", "-", "1"])))
    assert replica.events["content-1"].content_id is key
