"""Fan-out: passes what a replica applied on to its subscribers.

What grows is written as deltas to those that take them. The others are written its whole state where that is due, and
otherwise are held before the events of this call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from statushub.hub.model.event import Event
from statushub.hub.replicas.growth import Grown, announced
from statushub.hub.replicas.interests import Interests
from statushub.hub.replicas.replica import Replica, Write
from statushub.hub.replicas.subscriber import Recipient
from statushub.hub.viewers.viewer import ends
from statushub.hub.wire.format import WireFormat

FanOut = Callable[[Replica, Sequence[Event]], int]
"""As `fan_out`."""

Delivered = Callable[[Event, int, int], None]
"""Is told of an event, since when it was being written (Unix nanoseconds), and to how many viewers."""


def fan_out(replica: Replica, events: Sequence[Event]) -> int:
    """Write the replica's next events to its live subscribers, and wake the others; returns the deliveries.

    Each event is encoded once per format, and each subscriber gets one write, which costs a system call.
    """
    if replica.grew or replica.held:
        return _fan_out_grown(replica, events)
    if replica.audiences:
        return _fan_out_widely(replica, events)
    epoch = replica.epoch or ""
    reached = len(replica.pollers)
    for format, writers in replica.writers.items():
        if writers:
            reached += len(writers)
            if len(events) == 1:
                data = format.event(epoch, events[0])
            else:
                data = b"".join([format.event(epoch, event) for event in events])
            # A copy, because a write may find the socket full and take its subscriber out.
            for write in tuple(writers.values()):
                write(data)
    for subscriber in replica.pollers:
        subscriber.catch_up()
    if replica.interests is not None:
        return len(events) * reached + _fan_out_narrowly(replica.interests, epoch, events)
    return len(events) * reached


def _fan_out_widely(replica: Replica, events: Sequence[Event]) -> int:
    """As `fan_out`, to the viewers of selections, too."""
    epoch, reached, narrowly = replica.epoch or "", 0, 0
    encoded: dict[WireFormat, bytes] = {}
    for audience in (replica, *replica.audiences):
        if audience.interests is not None:
            narrowly += _fan_out_narrowly(audience.interests, epoch, events)
        for format, writers in audience.writers.items():
            if not writers:
                continue
            reached += len(writers)
            data = encoded.get(format)
            if data is None:
                data = encoded[format] = b"".join([format.event(epoch, event) for event in events])
            for write in tuple(writers.values()):
                write(data)
        reached += len(audience.pollers)
        for subscriber in audience.pollers:
            subscriber.catch_up()
    return len(events) * reached + narrowly


def _fan_out_narrowly(interests: Interests, epoch: str, events: Sequence[Event]) -> int:
    """Write to those that read only some contents, and wake the others of them; returns the deliveries.

    One of which a content has grown catches up from the replica, which knows what it has of it.
    """
    delivered = 0
    encoded: dict[tuple[WireFormat, int], bytes] = {}
    for subscriber, (way, wanted) in interests.find(events).items():
        delivered += len(wanted)
        if way is None:
            subscriber.catch_up()
        elif any(type(event) is Grown for event in wanted):
            way.recipient.hold(wanted[0].offset - 1, 0.0)
        else:
            frames = []
            for event in wanted:
                key = way.format, event.offset
                if key not in encoded:
                    encoded[key] = way.format.event(epoch, event)
                frames.append(encoded[key])
            way.write(b"".join(frames))
    return delivered


def _fan_out_grown(replica: Replica, events: Sequence[Event]) -> int:
    """As `fan_out`, of events of which some are deltas, or while viewers are held."""
    replica.grew = False
    epoch, delivered = replica.epoch or "", 0
    ending = any(type(event) is not Grown and ends(event) for event in events)
    size = max((event.growth.size for event in events if type(event) is Grown), default=0)
    encoded: dict[WireFormat, bytes] = {}
    for audience in (replica, *replica.audiences):
        if audience.interests is not None:
            delivered += _fan_out_narrowly(audience.interests, epoch, events)
        for format, writers in audience.writers.items():
            due = tuple(writers.values())
            if due and size and not format.deltas:
                due = _due(writers, events[0].offset - 1, 0 if ending else size)
            if not due:
                continue
            data = encoded.get(format)
            if data is None:
                entries = announced(events) if format.deltas else _conflated(replica, events)
                data = encoded[format] = b"".join([format.event(epoch, event) for event in entries])
            delivered += len(due) * len(events)
            for write in due:
                write(data)
        delivered += len(audience.pollers) * len(events)
        for subscriber in audience.pollers:
            subscriber.catch_up()
        if ending:
            for viewer in tuple(audience.held):
                viewer.release()
    return delivered


def _conflated(replica: Replica, events: Sequence[Event]) -> list[Event]:
    """The events as whole states, of each content that has grown only the last one."""
    latest = replica.events
    kept = [event for event in events if type(event) is not Grown or latest.get(event.content_id) is event]
    return [event.whole() if type(event) is Grown else event for event in kept]


def _due(writers: dict[Recipient, Write], offset: int, size: int) -> tuple[Write, ...]:
    """How to write to those that may be sent a whole state of so many bytes now, where 0 is any. The others are held at
    `offset`."""
    due: list[Write] = []
    for recipient, write in tuple(writers.items()):
        if size and (seconds := recipient.due(size)):
            recipient.hold(offset, seconds)
        else:
            recipient.show()
            due.append(write)
    return tuple(due)


def traced(fan_out: FanOut, delivered: Delivered) -> FanOut:
    """As `fan_out`; tells of each event that was written."""

    def fan_out_traced(replica: Replica, events: Sequence[Event]) -> int:
        began = time.time_ns()
        deliveries = fan_out(replica, events)
        if deliveries:
            for event in events:
                delivered(event, began, deliveries // len(events))
        return deliveries

    return fan_out_traced
