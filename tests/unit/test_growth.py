"""A replica takes in deltas at their own cost, and gives each reader what it needs."""

from __future__ import annotations

import json
import sys
import tracemalloc
from typing import Any

import msgspec
import pytest

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.brokers.redis import commands
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.vocabulary import CONTENT_DELTA
from statushub.hub.replicas.growth import MARKS, Grown, Growth, announced
from statushub.hub.replicas.replica import Replica
from tests.support.growing import Reader

TYPE = "content_status_update"


def whole(offset: int, content_id: str = "a", **data: Any) -> Event:
    said = {"content_id": content_id, "channel_id": "c", "status": "generating", "timestamp": "0", **data}
    return Event(channel="c", content_id=content_id, offset=offset, type=TYPE, data=msgspec.json.encode(said))


def delta(offset: int, after: int, content_id: str = "a", **append: Any) -> Event:
    said = {"content_id": content_id, "channel_id": "c", "append": append, "timestamp": str(offset)}
    data = msgspec.json.encode(said)
    return Event(channel="c", content_id=content_id, offset=offset, type=CONTENT_DELTA, data=data, after=after)


def loaded(*events: Event) -> Replica:
    replica = Replica("t", "c", {})
    offset = max((event.offset for event in events), default=0)
    replica.load(Snapshot(cursor=Cursor(epoch="e", offset=offset), events=list(events)))
    replica.live = True
    return replica


def announcement(event: Event, prev: int) -> Announcement:
    return Announcement(tenant="t", epoch="e", prev=prev, event=event)


def growth_of(replica: Replica, content_id: str = "a") -> Growth:
    event = replica.events[content_id]
    assert type(event) is Grown
    return event.growth


def text_of(event: Event) -> Any:
    return json.loads(event.data)["text"]


def test_a_delta_makes_a_state_of_the_usual_type() -> None:
    """A reader of the replica finds the whole state, at the delta's place on the clock."""
    replica = loaded(whole(3, text="one"))
    replica.apply(delta(4, 3, text=" two"))
    [event] = replica.log.after(0)
    assert (event.offset, event.type, text_of(event), json.loads(event.data)["timestamp"]) == (4, TYPE, "one two", "4")
    assert replica.growing == 1
    replica.apply(whole(5, text="end"))
    assert replica.growing == 0


@pytest.mark.parametrize(
    "misfit",
    [delta(6, 4, text="x"), delta(6, 5, "b", text="x"), msgspec.structs.replace(delta(6, 5, text="x"), data=b"no")],
    ids=["another event", "an unknown content", "no delta"],
)
def test_a_delta_that_does_not_fit_is_a_gap(misfit: Event) -> None:
    """It is not applied, neither as it comes nor of what has waited; the channel is read."""
    replica = loaded(whole(5, text="x"))
    assert not replica.follows(announcement(misfit, 5))
    replica.waiting = [announcement(misfit, 5)]
    assert not replica.replay()
    assert replica.last == 5


@pytest.mark.parametrize("after", [b"0", b"-1", b"", b"x"])
def test_a_delta_names_the_event_it_builds_on(after: bytes) -> None:
    """A foreign publisher's announcement of one that does not is none."""
    message = b"e\t6\t5\ta\tcontent_delta\t\t%b\t\nt text 0 1\nx"
    assert commands.announcement("t", "c", message % b"5").event.after == 5
    with pytest.raises(ValueError, match=r"."):
        commands.announcement("t", "c", message % after)


def test_deltas_that_waited_are_applied() -> None:
    """As other announcements are."""
    replica = loaded(whole(5, text="a"))
    replica.waiting = [announcement(delta(4, 3, text="old"), 3), announcement(delta(6, 5, text="b"), 5)]
    assert replica.replay()
    assert text_of(replica.events["a"]) == "ab"


def test_a_state_is_composed_once_for_all_that_read_it() -> None:
    """And is as it was at its moment, also once the content has grown on; nothing is kept when nothing reads it."""
    replica = loaded(whole(1, text="a"))
    replica.apply(delta(2, 1, text="b"))
    growth = growth_of(replica)
    one = growth.whole()
    assert growth.whole() is one
    replica.apply(delta(3, 2, text="c"))
    other = growth.whole()
    assert (text_of(one), one.offset, text_of(other), other.offset) == ("ab", 2, "abc", 3)


def test_a_reader_at_a_remembered_moment_gets_one_delta() -> None:
    """The moments are those of the last events; the delta is made once for all that stand there."""
    replica = loaded(whole(10, text="-", items=[1]))
    for offset in range(11, 10 + MARKS):
        replica.apply(delta(offset, offset - 1, text=f"{offset},", items=[offset]))
    growth = growth_of(replica)
    assert growth.has_mark(10)
    reader = Reader()
    reader.take(TYPE, "e-10", json.loads(whole(10, text="-", items=[1]).data))
    event = growth.since(10)
    assert growth.since(10) is event
    reader.take(event.type, f"e-{event.offset}", json.loads(event.data))
    assert reader.states["a"] == json.loads(replica.events["a"].data)
    replica.apply(delta(10 + MARKS, 9 + MARKS, text="more"))
    assert not growth.has_mark(10)
    assert (growth.latest_mark(10), growth.latest_mark(11), growth.latest_mark(99)) == (None, 11, 10 + MARKS)


def test_deltas_that_come_together_leave_together() -> None:
    """Those of one content that follow one another are one frame; an event between them keeps its place."""
    replica = loaded(whole(1, text="-"), whole(2, "b", text="+"))
    said = [delta(3, 1, text="a"), delta(4, 3, text="b"), delta(5, 2, "b", text="c"), delta(6, 4, text="d")]
    events = announced([replica.apply(event) for event in said])
    assert [(event.offset, event.after) for event in events] == [(4, 1), (5, 2), (6, 4)]
    assert [json.loads(event.data)["append"] for event in events] == [{"text": "ab"}, {"text": "c"}, {"text": "d"}]
    assert [json.loads(event.data)["back"] for event in events] == [3, 3, 2]


@pytest.mark.parametrize(
    ("former", "later", "told"),
    [
        ("2026-01-01T11:00:00.000Z", "2026-01-01T11:00:00.999Z", False),
        ("2026-01-01T11:00:00.999Z", "2026-01-01T11:00:01.000Z", True),
        ("2026-01-01T11:00:00.000+01:00", "2026-01-01T11:00:00.999Z", True),
        ("yesterday, about eleven", "yesterday, about eleven!", True),
    ],
)
def test_a_delta_tells_its_time_once_a_second(former: str, later: str, told: bool) -> None:
    """Whole states, and deltas of what was missed, always have the latest."""
    replica = loaded(whole(1, text="", timestamp=former))
    said = delta(2, 1, text="a")
    data = json.loads(said.data) | {"timestamp": later}
    [event] = announced([replica.apply(msgspec.structs.replace(said, data=msgspec.json.encode(data)))])
    assert json.loads(event.data).get("timestamp") == (later if told else None)
    assert json.loads(event.data)["append"] == {"text": "a"}
    assert json.loads(replica.events["a"].data)["timestamp"] == later
    assert json.loads(growth_of(replica).since(1).data)["timestamp"] == later


def test_a_growing_content_takes_less_than_twice_its_text() -> None:
    """A text of 100 KB that has grown by deltas of 20 bytes, with the moments that are remembered."""
    replica, piece = loaded(whole(1, text="")), "x" * 20
    tracemalloc.start()
    try:
        for offset in range(2, 5_002):
            replica.apply(delta(offset, offset - 1, text=piece))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(text_of(replica.events["a"])) == 100_000
    assert held < 200_000, held
    assert sys.getsizeof(replica.events["a"]) < 1_000
