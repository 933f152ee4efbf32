"""Fan-out: passes what a replica applied on to its subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.row import Entry


def fan_out(replica: Replica, entries: Sequence[Entry]) -> int:
    """Write the replica's next entries to its live subscribers, and wake the others; returns the deliveries.

    Each event is encoded once per format, and each subscriber gets one write, which costs a system call.
    """
    epoch = replica.epoch or ""
    reached = len(replica.pollers)
    for format, writers in replica.writers.items():
        if writers:
            reached += len(writers)
            if len(entries) == 1:
                data = entries[0].encoded(format, epoch)
            else:
                data = b"".join([entry.encoded(format, epoch) for entry in entries])
            # A copy, because a write may find the socket full and take its subscriber out.
            for write in tuple(writers.values()):
                write(data)
    for subscriber in replica.pollers:
        subscriber.catch_up()
    return len(entries) * reached
