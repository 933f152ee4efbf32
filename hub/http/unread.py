"""Unread answers: what a process holds of them until their clients read on."""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A connection that holds bytes of an answer."""

    def drop_unread(self) -> None:
        """Abort the connection, whose bytes are no longer counted."""


class Unread:
    """Counts the bytes that the connections of a process hold.

    Above `limit` bytes the connection whose client has read nothing for longest is dropped. The last one is kept:
    where no other waits, an answer may be larger than the limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # In the order in which their clients last read.
        self._held: dict[Holder, int] = {}
        self.total = 0

    def hold(self, holder: Holder, size: int) -> None:
        """`size` bytes are all that this connection holds now, after its client has read."""
        self.total += size - self._held.pop(holder, 0)
        if size:
            self._held[holder] = size
        while self.total > self._limit and len(self._held) > 1:
            slowest = next(iter(self._held))
            self.total -= self._held.pop(slowest)
            slowest.drop_unread()
