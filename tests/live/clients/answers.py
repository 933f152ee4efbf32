"""What passes from a hub to the clients behind a proxy: counts answers, and cuts frames short."""

from __future__ import annotations

import re
from typing import Final

CUTS: Final = 10
"""The connections that are cut in one frame: each of its three lines in the middle, before its end and after it, and
the first byte."""


class Answers:
    """A filter of `tests.support.proxy.Proxy`."""

    def __init__(self) -> None:
        self.count = 0
        """The answers that have begun."""
        self.refused = 0
        """Those of them that were 401."""
        self.ready = 0
        """The streams that have told that all events before them were sent."""
        self.cut: set[int] = set()
        """The connections that were cut within a frame: they pass nothing more."""
        self._mark = b""

    def cut_frames_with(self, mark: bytes) -> None:
        """Cut the next `CUTS` frames that hold `mark`, each after another byte."""
        self._mark = mark

    def passed(self, connection: int, data: bytes) -> bytes:
        if connection in self.cut:
            return b""
        self.count += len(re.findall(rb"HTTP/1\.[01] \d{3} ", data))
        self.refused += data.count(b"HTTP/1.1 401 ")
        self.ready += data.count(b"event: ready\n")
        if self._mark and self._mark in data and len(self.cut) < CUTS:
            # A chunk's size comes before its frame.
            start = data.rindex(b"\r\n", 0, data.index(self._mark)) + 2
            frame = data[start : data.index(b"\n\n", start) + 2]
            place = places(frame)[len(self.cut)]
            self.cut.add(connection)
            return data[: start + place]
        return data

    def closed(self, connection: int) -> None:
        pass


def places(frame: bytes) -> list[int]:
    """After how many of its bytes a frame of three lines is cut."""
    found, start = [1], 0
    for line in frame.rstrip(b"\n").split(b"\n"):
        found += [start + len(line) // 2, start + len(line), start + len(line) + 1]
        start += len(line) + 1
    return found
