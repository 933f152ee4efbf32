"""Fan-out: passes what a replica applied on to its subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from statushub.hub.model.event import Event
from statushub.hub.replicas.replica import Replica


def fan_out(replica: Replica, events: Sequence[Event]) -> int:
    """Write the replica's next events to its live subscribers, and wake the others; returns the deliveries.

    Each event is encoded once per format, and each subscriber gets one write, which costs a system call.
    """
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
    return len(events) * reached
