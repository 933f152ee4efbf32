"""Channels as text: the rows of a table, or lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from statushub.hub.cli.duration import duration
from statushub.hub.cli.terminal import printable, shows

LEAST_NAME: Final = 12
"""Least cells of a name, however narrow the terminal is."""

COLUMNS: Final = (("pending", 7), ("processing", 10), ("completed", 9), ("failed", 6), ("idle", 5), ("updated", 7))
"""The columns behind the name, with their widths: a name has 30 of 80 cells."""


def line(channel: Mapping[str, Any]) -> str:
    """A channel as one line of text, safe to print."""
    counts = [f"{channel[name]} {name}" for name, _ in COLUMNS[:-1] if channel.get(name)]
    parts = (channel.get("updated_at"), channel.get("channel"), ", ".join(counts) or "no contents")
    return "  ".join(printable(str(part)) for part in parts)


class ChannelTable:
    """Channels as the rows of a table that is `width` cells wide."""

    def __init__(self, width: int) -> None:
        self._cut = "…" if shows("…", sys.stdout.encoding) else "~"
        self._name = max(width - sum(cells + 1 for _, cells in COLUMNS), LEAST_NAME)
        self._now = time.time()

    @property
    def head(self) -> str:
        """The names of the columns."""
        return self._joined("channel", [name for name, _ in COLUMNS])

    def row(self, channel: Mapping[str, Any]) -> str:
        """A channel; its time is how long ago its latest event came."""
        values = [str(channel.get(name, "")) for name, _ in COLUMNS[:-1]]
        return self._joined(printable(str(channel.get("channel"))), [*values, self._ago(channel.get("updated_at"))])

    def _joined(self, name: str, values: list[str]) -> str:
        from statushub.hub.cli.cells import shortened

        fields = (f"{value:>{cells}}" for value, (_, cells) in zip(values, COLUMNS, strict=True))
        return " ".join((shortened(name, self._name, self._cut), *fields))

    def _ago(self, moment: object) -> str:
        try:
            return duration(max(self._now - datetime.fromisoformat(str(moment)).timestamp(), 0.0))
        except ValueError:
            return ""
