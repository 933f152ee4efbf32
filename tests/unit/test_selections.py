"""Selections and directories: which channels they want, and when what they know holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import ALL, Patterns
from statushub.hub.metrics import Counts
from statushub.hub.model.event import Announcement, Event
from statushub.hub.replicas.births import Births
from statushub.hub.replicas.directory import IGNORED, Directory
from statushub.hub.replicas.ingest import Ingest
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import ScopeHost
from statushub.hub.replicas.selection import Criteria, Selection
from statushub.hub.replicas.sync import Synchronizer
from statushub.hub.viewers.fanout import fan_out
from statushub.hub.wire.sse import SSE


def criteria(*match: str, read: Patterns = ALL, within: Patterns = ALL) -> Criteria:
    return Criteria.of(Patterns(match), Identity(tenant="t", read=read, within=within))


def directory() -> Directory:
    return Directory("t", start=lambda _: None, verify=lambda _: None, expect=lambda *_: False, later=lambda _: None)


def replica(channel: str, offset: int = 5, *, live: bool = True) -> Replica:
    made = Replica("t", channel, {})
    made.begin("e", offset - 1, 0)
    made.live = live
    return made


def announced(offset: int, before: int, channel: str = "a", epoch: str = "e") -> Announcement:
    event = Event(channel=channel, content_id=f"c{offset}", offset=offset, type="x", data=b"{}")
    return Announcement(tenant="t", epoch=epoch, prev=0, event=event, before=before, floor=3)


@pytest.mark.parametrize(
    ("match", "read", "within", "prefixes"),
    [
        (["**"], ["**"], ["**"], [""]),
        (["jobs/**"], ["**"], ["**"], ["jobs/"]),
        (["jobs/**", "jobs/a/*", "films"], ["**"], ["**"], ["films", "jobs/"]),
        (["**"], ["users/42/**", "public"], ["**"], ["public", "users/42/"]),
        (["users/*/x"], ["users/42/**"], ["**"], ["users/42/"]),
        (["jobs/**"], ["users/**"], ["**"], []),
        (["**"], ["users/**"], ["users/42/*"], ["users/42/"]),
        (["*/inbox"], ["a*", "b*"], ["**"], ["a", "b"]),
    ],
    ids=["all", "one", "nested", "reads", "narrowed", "nothing", "ticket", "several"],
)
def test_only_what_may_match_is_looked_through(
    match: list[str], read: list[str], within: list[str], prefixes: list[str]
) -> None:
    """The prefixes are those that both a pattern and the token's rights begin with, each name under one of them."""
    assert criteria(*match, read=Patterns(read), within=Patterns(within)).prefixes() == prefixes


def test_viewers_of_the_same_rights_share_a_selection() -> None:
    """Other rights or patterns make another selection; one that left channels out is shared no longer."""
    place = directory()
    shared = place.select(criteria("jobs/**"))
    assert place.select(criteria("jobs/**")) is shared
    assert place.select(criteria("jobs/*")) is not shared
    assert place.select(criteria("jobs/**", read=Patterns(["jobs/1"]))) is not shared
    shared.exceed("jobs/1", 1)
    assert place.select(criteria("jobs/**")) is not shared
    assert shared in place.selections


class Told:
    """A viewer that records what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda: self.heard.append(name)


def test_a_channel_that_is_not_live_pauses_those_that_are_written_to() -> None:
    """A live channel pauses no viewer."""
    selection = Selection(directory(), criteria("**"))
    viewer: Any = Told()
    selection.join(viewer, polls=False)
    selection.add_writer(None, viewer, lambda _: None)  # type: ignore[arg-type]
    selection.add(replica("a"))
    assert viewer.heard == []
    selection.add(replica("b", live=False))
    assert viewer.heard == ["pause"]


class Found:
    """A hub whose replicas are as their directory says."""

    def live(self, replicas: Sequence[Replica]) -> bool:
        return True

    def readable(self, replicas: Sequence[Replica]) -> bool:
        return True


def test_what_was_read_waits_until_the_tenant_was_heard_as_far() -> None:
    """A channel that was read beyond what was heard of the others shows nothing before, and it is found out why."""
    asked: list[Directory] = []
    place = Directory("t", start=lambda _: None, verify=asked.append, expect=lambda *_: False, later=lambda _: None)
    place.hear_on("e", 5, 0)
    selection = place.select(criteria("**"))
    selection.indexed = True
    viewer: Any = Told()
    selection.join(viewer, polls=False)
    selection.add_writer(SSE, viewer, lambda _: None)
    ahead, host = replica("a", 7), cast(ScopeHost, Found())
    ahead.apply(announced(7, 6).event)
    selection.add(ahead)
    assert viewer.heard == ["pause"]
    assert not selection.live(host)
    assert asked == [place]
    place.hear(announced(6, 5, "b"))
    assert not selection.live(host)
    place.hear(announced(7, 6))
    assert selection.live(host)
    assert [event.offset for event in selection.after(0)] == [7]


@pytest.mark.parametrize(("known", "indexed"), [(False, True), (True, True), (True, False)])
def test_a_channel_that_the_index_lacked_resets_those_that_follow(known: bool, indexed: bool) -> None:
    """It may hold what is older than what they have. None is reset by one that held nothing, nor before the index is
    read."""
    registry, place = Registry(), directory()
    registry.direct(place)
    place.hear_on("e", 5, 0)
    selection = place.select(criteria("**"))
    selection.indexed = indexed
    viewer: Any = Told()
    selection.join(viewer, polls=False)
    found = registry.add("t", "a")
    found.begin("e", 4, 0)
    if known:
        found.apply(announced(5, 4).event)
    births = Births(registry, cast(Synchronizer, None), selected=10, tenant=10)
    ingest = Ingest(registry, cast(Synchronizer, None), fan_out, Counts(), max_waiting=10, hear=births.hear)
    ingest.announced([msgspec.structs.replace(announced(6, 5), prev=1)])
    assert selection.has(found)
    assert viewer.heard == (["invalidate"] if known and indexed else [])


def test_channels_of_which_nothing_is_left_make_room() -> None:
    """An empty channel is dropped where another one needs its place; its floor stays."""
    place = directory()
    selection = Selection(place, criteria("**"))
    empty, held = replica("empty"), replica("held")
    held.apply(Event(channel="held", content_id="x", offset=5, type="x", data=b"{}"))
    empty.floor = 9
    for it in (empty, held):
        selection.add(it)
    assert selection.has_room(2)
    assert selection.channels == ["held"]
    assert not empty.subscribers
    assert empty.audiences == []
    assert place.floor == 9
    assert not selection.has_room(1)


def test_a_directory_hears_a_chain() -> None:
    """An announcement follows where nothing lies between it and the last one; another epoch never does."""
    place = directory()
    place.hear(announced(7, 6))
    place.hear_on("e", 5, 1)
    assert place.last == 7
    assert place.follows(announced(8, 7))
    assert not place.follows(announced(9, 8))
    assert not place.follows(announced(8, 7, epoch="f"))
    place.hear(announced(8, 7))
    assert (place.last, place.floor) == (8, 3)
    place.hear_on("f", 2, 0)
    assert (place.last, place.floor) == (2, 0)


def test_what_was_heard_stays_readable_only_for_a_loss() -> None:
    """A directory that was hearing is frozen by a loss of the broker; one that was not has nothing to show."""
    place = directory()
    selection = place.select(criteria("**"))
    place.hear_on("e", 5, 0)
    selection.indexed = True
    place.lose(1)
    assert (place.frozen, selection.indexed) == (1, True)
    place.begin_survey()
    assert (place.frozen, selection.indexed) == (0, False)
    place.lose(2)
    assert place.frozen == 0


def test_channels_of_an_earlier_moment_show_nothing_in_a_loss() -> None:
    """Where the broker is lost again before its channels were read anew, they lack what the tenant was heard with."""
    place, host = directory(), cast(ScopeHost, Found())
    selection = place.select(criteria("**"))
    place.hear_on("e", 9, 0)
    selection.indexed = True
    for channel in ("a", "b"):
        it = replica(channel, live=False)
        it.frozen = 1
        selection.add(it)
    place.lose(2)
    assert not selection.readable(host)
    for it in selection.replicas:
        it.frozen = 2
    assert selection.readable(host)


def test_channels_that_were_not_read_in_time_show_nothing_in_a_loss() -> None:
    """One that is asked for while the broker is away does not know its channels: its viewers keep their cursors."""
    place, host = directory(), cast(ScopeHost, Found())
    place.hear_on("e", 9, 0)
    place.lose(1)
    selection = place.select(criteria("**"))
    assert not selection.readable(host)
    selection.indexed = True
    assert selection.readable(host)


def test_channels_that_nobody_wants_are_matched_once() -> None:
    """The names are remembered, in a limited number, until another selection comes."""
    place = directory()
    place.select(criteria("jobs/**"))
    for number in range(IGNORED + 1):
        assert place.wanting(f"films/{number}") == []
    assert len(place._ignored) == 1
    later = place.select(criteria("films/*"))
    assert place.wanting(f"films/{IGNORED}") == [later]


def test_a_viewer_stands_where_it_was_written_to() -> None:
    """While an event is written, the place of the selection is that event's, not that of a later one of its batch: a
    viewer that is paused by the write resumes from there."""
    registry, place = Registry(), directory()
    registry.direct(place)
    place.hear_on("e", 5, 0)
    selection = place.select(criteria("**"))
    births = Births(registry, cast(Synchronizer, None), selected=10, tenant=10)
    ingest = Ingest(registry, cast(Synchronizer, None), fan_out, Counts(), max_waiting=10, hear=births.hear)
    places: list[tuple[int, int]] = []
    viewer: Any = Told()
    selection.add_writer(SSE, viewer, lambda data: places.append((data.count(b"id: "), selection.position)))
    ingest.announced([announced(6, 5, "a"), announced(7, 6, "b"), announced(8, 7, "c")])
    assert places == [(1, 6), (1, 7), (1, 8)]
    assert [it.channel for it in selection.replicas] == ["a", "b", "c"]
    again = msgspec.structs.replace(announced(9, 8, "c"), prev=8)
    ingest.announced([msgspec.structs.replace(again, before=None), again])
    assert places[3:] == [(1, 9)]
