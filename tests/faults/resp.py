"""The end of a RESP2 value (redis.io/docs/latest/develop/reference/protocol-spec), and a filter for announcements."""

from __future__ import annotations

import random
from typing import Final

ANNOUNCEMENT: Final = b"*3\r\n$8\r\nsmessage\r\n"
"""The beginning of a message of a sharded pub/sub channel."""


def value_end(data: bytes, start: int) -> int | None:
    """The position after the value that begins at `start`; None where the value is incomplete."""
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, position = data[start : start + 1], line_end + 2
    if kind not in (b"$", b"*"):
        return position
    size = int(data[start + 1 : line_end])
    if kind == b"$":
        position += size + 2 if size >= 0 else 0
        return position if position <= len(data) else None
    for _ in range(size):
        end = value_end(data, position)
        if end is None:
            return None
        position = end
    return position


class Dropper:
    """Passes on a server's answers except a `share` of the announcements."""

    def __init__(self, rng: random.Random) -> None:
        self.share = 0.0
        self.dropped = 0
        self._rng = rng
        self._rest: dict[int, bytes] = {}

    def passed(self, connection: int, data: bytes) -> bytes:
        """The bytes to pass on now, of these and of those held back before."""
        data = self._rest.pop(connection, b"") + data
        kept, start = [], 0
        while start < len(data) and (end := value_end(data, start)) is not None:
            value = data[start:end]
            if self.share and value.startswith(ANNOUNCEMENT) and self._rng.random() < self.share:
                self.dropped += 1
            else:
                kept.append(value)
            start = end
        if start < len(data):
            self._rest[connection] = data[start:]
        return b"".join(kept)

    def closed(self, connection: int) -> None:
        """Forget a connection."""
        self._rest.pop(connection, None)
