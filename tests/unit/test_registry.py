"""The registry finds the replicas of a tenant, and the contents that they hold."""

from __future__ import annotations

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event, tombstone
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica


def event(offset: int, content_id: str, channel: str = "c") -> Event:
    return Event(channel=channel, content_id=content_id, offset=offset, type="t", data=b"{}")


def add(registry: Registry, channel: str, *events: Event) -> Replica:
    """A replica of this channel, read from the broker."""
    replica = registry.add("t", channel)
    replica.load(Snapshot(cursor=Cursor(epoch="e", offset=9), events=[*events]))
    return replica


def found(registry: Registry, *content_ids: str) -> list[int] | None:
    """The offsets of the contents' entries."""
    entries = registry.events("t", content_ids)
    return None if entries is None else [entry.offset for entry in entries]


def test_contents_are_found_in_any_channel() -> None:
    """They are in the order asked, and all of them or none."""
    registry = Registry()
    add(registry, "c", event(1, "a"))
    add(registry, "d", event(2, "b", "d"))
    assert found(registry, "b", "a") == [2, 1]
    assert found(registry, "b", "x") is None
    assert registry.events("u", ["a"]) is None


def test_a_removed_content_is_not_held() -> None:
    """By now it may live in a channel that is not held here: the broker has to be asked."""
    registry = Registry()
    replica = add(registry, "c", event(1, "a"), event(2, "b"))
    replica.apply(tombstone("c", "a", 10))
    assert found(registry, "a", "b") is None
    assert found(registry, "b") == [2]
    replica.apply(event(11, "a"))
    assert found(registry, "a", "b") == [11, 2]


def test_a_content_that_moved_is_found_where_it_lives_now() -> None:
    """The tombstone in its former channel does not hide it, whichever of the two was read first."""
    for channels in (("c", "d"), ("d", "c")):
        registry = Registry()
        events = {"c": tombstone("c", "a", 4), "d": event(6, "a", "d")}
        for channel in channels:
            add(registry, channel, events[channel])
        assert found(registry, "a") == [6]


def test_removing_a_replica_removes_its_contents() -> None:
    """Those of other channels stay, and a tenant without a replica is gone."""
    registry = Registry()
    one, other = add(registry, "c", event(1, "a")), add(registry, "d", event(2, "b", "d"))
    registry.remove(one)
    assert (found(registry, "a"), found(registry, "b")) == (None, [2])
    assert one not in registry
    registry.remove(other)
    assert not registry.tenants
