"""Filtered scopes: who reads some contents only costs those nothing who read all of them."""

from __future__ import annotations

from typing import Any

from statushub.hub.auth.identity import ANONYMOUS
from statushub.hub.auth.patterns import Patterns
from statushub.hub.brokers.contract import Snapshot
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.filtered import Filtered
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import Channels
from statushub.hub.replicas.selection import Criteria, Selection
from statushub.hub.viewers.fanout import fan_out
from statushub.hub.wire.sse import SSE


class Recipient:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.paused = 0
        self.caught_up = 0

    def pause(self) -> None:
        self.paused += 1

    def catch_up(self) -> None:
        self.caught_up += 1


def event(name: str, offset: int) -> Event:
    return Event(channel="c", content_id=name, offset=offset, type="t", data=b'{"status":"idle"}')


def replica(*events: Event) -> Replica:
    made = Replica("t", "c", {})
    made.load(Snapshot(cursor=Cursor(epoch="e", offset=9), events=list(events)))
    made.live = True
    return made


def test_a_selection_that_waits_holds_its_filtered_viewers_up() -> None:
    """They are behind from then on, as those are that read everything."""
    place: Any = None
    selection = Selection(place, Criteria.of(Patterns(["**"]), ANONYMOUS))
    recipient: Any = Recipient()
    scope = Filtered(selection, frozenset({"a", "b"}))
    scope.add_writer(SSE, recipient, lambda data: None)
    selection.pause()
    assert recipient.paused == 1
    scope.remove_writer(SSE, recipient)
    selection.pause()
    assert recipient.paused == 1
    assert selection.interests is None


def test_one_write_has_all_that_is_wanted() -> None:
    """Of a batch each viewer is written its contents, together; one that polls is woken for these only."""
    one = replica()
    scope = Channels((one,))
    written: list[bytes] = []
    reader: Any = Recipient()
    poller: Any = Recipient()
    Filtered(scope, frozenset({"a", "b"})).add_writer(SSE, reader, written.append)
    Filtered(scope, frozenset({"c"})).join(poller, polls=True)
    batch = [event("a", 10), event("x", 11), event("b", 12)]
    for it in batch:
        one.apply(it)
    assert fan_out(one, batch) == 2
    assert written == [SSE.event("e", batch[0]) + SSE.event("e", batch[2])]
    assert poller.caught_up == 0
    fan_out(one, [event("c", 13)])
    assert (poller.caught_up, len(written)) == (1, 1)


def test_a_catch_up_costs_what_the_filter_names() -> None:
    """Its events come in the clock's order, after a cursor, however many others there are."""
    one = replica(*(event(f"v{n}", n) for n in range(1, 9)))
    scope = Filtered(Channels((one,)), frozenset({"v7", "v2", "v5", "no"}))
    assert [it.content_id for it in scope.after(0)] == ["v2", "v5", "v7"]
    assert [it.content_id for it in scope.after(2)] == ["v5", "v7"]
