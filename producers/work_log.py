"""The log of a work: its latest lines, as the state shows them. No I/O."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec

from statushub.hub.model.timestamp import timestamp
from statushub.producers.values import plain

LINES_MAX: Final = 100
"""Most lines: more than a page shows without scrolling."""

LINE_CHARACTERS: Final = 1_000
"""Longest line: a traceback is cut."""

LOG_BYTES: Final = 16 * 1024
"""Most bytes of all lines as JSON: a quarter of a state, so that the work's own fields have room."""

LEVEL_CHARACTERS: Final = 20
"""Longest name of a level: those of logging have at most eight characters."""

_encode = msgspec.json.Encoder().encode


class WorkLog:
    """The latest lines of a work. Where they are too many, the older half is dropped, and only then are all of them
    sent. Used under the lock of its work."""

    def __init__(self) -> None:
        self._lines: deque[tuple[dict[str, Any], int]] = deque()
        self._bytes = 0
        self._taken = 0
        """Of the lines."""
        self._dropped = False

    def add(self, message: object, level: object) -> None:
        """Append a line, with the time of now."""
        line = {
            "at": timestamp(),
            "level": str(plain(level))[:LEVEL_CHARACTERS].lower(),
            "message": str(plain(message))[:LINE_CHARACTERS],
        }
        size = len(_encode(line)) + 1
        self._lines.append((line, size))
        self._bytes += size
        if len(self._lines) > LINES_MAX or self._bytes > LOG_BYTES:
            while len(self._lines) > LINES_MAX // 2 or self._bytes > LOG_BYTES // 2:
                self._bytes -= self._lines.popleft()[1]
            self._taken, self._dropped = 0, True

    def take(self) -> tuple[list[dict[str, Any]], bool]:
        """The lines that were added since the last call; where some were dropped since, all lines, and True."""
        lines, dropped = self.lines()[self._taken :], self._dropped
        self._taken, self._dropped = len(self._lines), False
        return lines, dropped

    def lines(self) -> list[dict[str, Any]]:
        """The lines, the oldest first: `at` (ISO 8601, UTC), `level`, `message`."""
        return [line for line, _ in self._lines]
