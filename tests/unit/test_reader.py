"""A reader reads on from its cursor, and is reset where it may have missed a removal or has a void cursor."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.metrics import Counts
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event, tombstone
from statushub.hub.replicas.reader import Reader, Resync
from statushub.hub.replicas.replica import Replica


class Hosting:
    """A host whose replicas are readable; `later` is the epoch that it looks for."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.later = ""
        self.verified: list[Replica] = []

    def live(self, replicas: Sequence[Replica]) -> bool:
        return True

    def readable(self, replicas: Sequence[Replica]) -> bool:
        return True

    def verify(self, replica: Replica) -> None:
        self.verified.append(replica)

    def expect(self, replica: Replica, epoch: str) -> bool:
        return epoch == self.later


class Reading(Reader):
    """A reader that reads only when a test tells it to."""

    __slots__ = ()

    def pause(self) -> None:
        pass

    def catch_up(self) -> None:
        pass


@pytest.fixture
def host() -> Hosting:
    return Hosting()


def event(offset: int, content_id: str, channel: str = "c") -> Event:
    return Event(channel=channel, content_id=content_id, offset=offset, type="t", data=b"{}")


def loaded(*events: Event, offset: int = 9, floor: int = 0, channel: str = "c", epoch: str = "e") -> Replica:
    replica = Replica("t", channel, {})
    replica.load(Snapshot(cursor=Cursor(epoch=epoch, offset=offset), events=[*events], floor=floor))
    return replica


def since(offset: int, epoch: str = "e") -> Cursor:
    return Cursor(epoch=epoch, offset=offset)


def offsets(events: Sequence[Event]) -> list[int]:
    return [event.offset for event in events]


def test_a_fresh_reader_skips_former_removals(host: Hosting) -> None:
    """What was removed before it began was never shown, and needs no removing; later removals are read."""
    replica = loaded(event(1, "a"), tombstone("c", "b", 3), event(4, "d"))
    reader = Reading(host, (replica,), None)
    outcome, entries = reader.take()
    assert (outcome, offsets(entries), reader.cursor) == (Resync.RESUME, [1, 4], since(9))
    replica.apply(tombstone("c", "a", 10))
    assert offsets(reader.take()[1]) == [10]
    assert host.counts.resets == 0


def test_a_resumed_reader_is_told_of_removals(host: Hosting) -> None:
    """It may show what was removed after its cursor."""
    replica = loaded(event(1, "a"), tombstone("c", "b", 3), event(4, "d"))
    outcome, entries = Reading(host, (replica,), since(2)).take()
    assert (outcome, offsets(entries)) == (Resync.RESUME, [3, 4])


@pytest.mark.parametrize(
    ("offset", "outcome", "read"),
    [(4, Resync.RESET, [2, 7]), (0, Resync.RESET, [2, 7]), (5, Resync.RESUME, [6, 7]), (9, Resync.RESUME, [])],
)
def test_a_cursor_below_the_floor_is_reset(host: Hosting, offset: int, outcome: Resync, read: list[int]) -> None:
    """A removal between cursor and floor is forgotten; from the floor on, all of them are known."""
    replica = loaded(event(2, "a"), tombstone("c", "b", 6), event(7, "d"), floor=5)
    reader = Reading(host, (replica,), since(offset))
    found, entries = reader.take()
    assert (found, offsets(entries)) == (outcome, read)
    assert host.counts.resets == (outcome is Resync.RESET)
    assert reader.take() == (Resync.RESUME, [])


def test_the_highest_floor_of_several_channels_counts(host: Hosting) -> None:
    """Their one cursor does not say which channel a removal was in."""
    one, other = loaded(event(2, "a"), floor=1), loaded(event(3, "x", "d"), floor=6, channel="d")
    assert Reading(host, (one, other), since(5)).take()[0] is Resync.RESET
    assert Reading(host, (one, other), since(6)).take()[0] is Resync.RESUME


def test_a_reader_in_the_middle_of_its_catch_up_is_not_reset(host: Hosting) -> None:
    """Its offset is below the floor because it reads from the beginning, and it was never shown what was removed."""
    replica = loaded(event(1, "a"), tombstone("c", "b", 3), event(4, "d"))
    reader = Reading(host, (replica,), None)
    assert offsets(reader.take(limit=1)[1]) == [1]
    replica.forget(time.monotonic())
    assert replica.floor == 3
    outcome, entries = reader.take()
    assert (outcome, offsets(entries)) == (Resync.RESUME, [4])


def test_a_reader_in_the_middle_of_its_catch_up_is_reset_for_a_later_removal(host: Hosting) -> None:
    """A content that it was shown was removed after it began, and the removal is forgotten."""
    replica = loaded(event(1, "a"), event(4, "d"))
    reader = Reading(host, (replica,), None)
    assert offsets(reader.take(limit=1)[1]) == [1]
    replica.apply(tombstone("c", "a", 10))
    replica.forget(time.monotonic())
    outcome, entries = reader.take()
    assert (outcome, offsets(entries)) == (Resync.RESET, [4])


def test_a_reader_in_the_middle_of_its_catch_up_is_told_of_later_removals(host: Hosting) -> None:
    """What was removed after it began may have been shown already."""
    replica = loaded(event(1, "a"), tombstone("c", "b", 3), event(4, "d"))
    reader = Reading(host, (replica,), None)
    assert offsets(reader.take(limit=1)[1]) == [1]
    replica.apply(tombstone("c", "a", 10))
    assert offsets(reader.take()[1]) == [4, 10]


def test_a_reset_reader_skips_former_removals(host: Hosting) -> None:
    """After a reset it begins like a fresh one."""
    replica = loaded(event(1, "a"), tombstone("c", "b", 3), event(4, "d"))
    reader = Reading(host, (replica,), since(2, epoch="d"))
    outcome, entries = reader.take()
    assert (outcome, offsets(entries), reader.began) == (Resync.RESET, [1, 4], 9)


def test_a_reader_of_a_later_epoch_waits_while_it_is_looked_for(host: Hosting) -> None:
    """The hub is behind: the cursor is kept, and void when the epoch is no longer looked for."""
    host.later = "f"
    reader = Reading(host, (loaded(event(1, "a")),), since(2, epoch="f"))
    assert reader.take() == (Resync.BEHIND, [])
    assert reader.cursor == since(2, epoch="f")
    host.later = ""
    assert reader.take()[0] is Resync.RESET
    assert host.counts.resets == 1


def test_a_reader_ahead_of_its_epoch_waits_for_a_check(host: Hosting) -> None:
    """The replica may have missed an announcement, so that the clock is read before the cursor is void."""
    replica = loaded(event(1, "a"))
    reader = Reading(host, (replica,), since(12))
    assert reader.take() == (Resync.WAIT, [])
    assert host.verified == [replica]
    reader.invalidate()
    assert reader.take()[0] is Resync.RESET
