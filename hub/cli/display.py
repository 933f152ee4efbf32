"""Output of a watch: a table in a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from types import TracebackType
from typing import Protocol, Self

import msgspec

from statushub.hub.cli.board import Row
from statushub.hub.cli.keys import Key
from statushub.hub.cli.terminal import echo, printable, shows
from statushub.hub.model.line import one_line
from statushub.producers.following.change import RESET, Change


class Display(Protocol):
    """Shows changes while its `with` block runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, change: Change, row: Row | None) -> None:
        """Show a change; `row` is the row it changed, or None where there is none."""

    def notice(self, sentence: str) -> None:
        """Show a sentence about the stream."""

    def press(self, key: Key) -> None:
        """A key was pressed."""

    def draw(self) -> float:
        """Draw what is due; returns for how many seconds nothing has to be drawn."""


class Lines:
    """One line for each event, with its channel where there are several."""

    def __init__(self, *, channels: bool) -> None:
        self._channels = channels

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, change: Change, row: Row | None) -> None:
        if row is not None:
            echo(line(row, channel=self._channels))
        elif change.type == RESET:
            echo("reset: the cursor is void; the whole state follows")
        elif change.removed:
            channel = f"{printable(change.channel)}  " if self._channels else ""
            echo(f"{channel}{printable(change.content_id)}  removed")

    def notice(self, sentence: str) -> None:
        echo(f"statushub: {sentence}", err=True)

    def press(self, key: Key) -> None:
        pass

    def draw(self) -> float:
        return math.inf


class JsonLines(Lines):
    """One JSON object for each event: `id` (the cursor; null for `ready` and `reset`), `type`, `data`."""

    def show(self, change: Change, row: Row | None) -> None:
        # The cursor of an event is its id; that of `ready` is within its data.
        id = str(change.cursor) if change.content_id and change.cursor else None
        echo(as_json({"id": id, "type": change.type, "data": change.data}))


def line(row: Row, *, channel: bool = False) -> str:
    """A row as one line of text, with its channel or without."""
    progress = None if row.progress is None else f"{row.progress:g}%"
    parts = (row.timestamp, row.channel if channel else "", row.content_id, row.status, progress, row.detail)
    return "  ".join(part for part in parts if part)


def as_json(value: object) -> str:
    """`value` as JSON in one line; what stdout cannot show is escaped, so that it can still be parsed."""
    text = one_line(msgspec.json.encode(value)).decode()
    return text if shows(text, sys.stdout.encoding) else json.dumps(json.loads(text), separators=(",", ":"))
