"""The table of a watch in a terminal: as many rows as it has lines, and a line that sums up the rest."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from statushub.hub.cli.board import Board, Row
from statushub.hub.cli.cells import ending, shortened
from statushub.hub.cli.columns import PERCENT_CELLS, Columns, columns
from statushub.hub.cli.duration import duration
from statushub.hub.cli.keys import Key
from statushub.hub.cli.terminal import echo, printable, shows
from statushub.hub.model.vocabulary import Phase
from statushub.producers.following.change import Change

FRAME_SECONDS: Final = 0.1
"""Least time between two drawings: fifty events a second are as easy to follow, and cost as little, as ten."""

TICK_SECONDS: Final = 1.0
"""Longest time between two drawings: the time left counts down in seconds."""

NOTICE_SECONDS: Final = 5.0
"""How long a sentence about the stream stays at least; while no event comes, it stays."""

TAIL_CELLS: Final = 8
"""Least room for the end of a text: a word."""

STYLES: Final = {
    Phase.PROCESSING: "cyan",
    Phase.FAILED: "red",
    Phase.PENDING: "dim",
    Phase.COMPLETED: "green",
    Phase.IDLE: "dim",
}

WORDS: Final = {
    Phase.PROCESSING: "running",
    Phase.PENDING: "queued",
    Phase.FAILED: "failed",
    Phase.COMPLETED: "complete",
    Phase.IDLE: "idle",
}
"""The phases in the line that sums up, in its order."""

SHORT_WORDS: Final = {
    Phase.PROCESSING: "run",
    Phase.PENDING: "queue",
    Phase.FAILED: "fail",
    Phase.COMPLETED: "done",
    Phase.IDLE: "idle",
}
"""The same where the line has no room for them."""


class Screen:
    """Draws a board while its `with` block runs; the last drawing stays."""

    def __init__(self, console: Console, board: Board, subject: str) -> None:
        """`subject` says what is watched."""
        self._console = console
        self._board = board
        self._subject = subject
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._size = console.size
        self._offset = 0
        self._dirty = True
        self._notice, self._notice_until = "", 0.0
        self._drawn_at = float("-inf")
        fine = shows("━─…·", console.encoding)
        self._full, self._empty, self._cut, self._dot = ("━", "─", "…", "·") if fine else ("#", "-", "~", "|")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._draw()
        self._live.stop()

    def show(self, change: Change, row: Row | None) -> None:
        """The board has applied a change."""
        self._dirty = True
        if time.monotonic() >= self._notice_until:
            self._notice = ""

    def notice(self, sentence: str) -> None:
        """Show a sentence under the table, and print it to stderr where that is not the terminal."""
        self._notice, self._notice_until = printable(sentence), time.monotonic() + NOTICE_SECONDS
        self._dirty = True
        if not sys.stderr.isatty():
            echo(f"statushub: {sentence}", err=True)

    def press(self, key: Key) -> None:
        """Scroll."""
        page = self._lines
        moves = {Key.UP: -1, Key.DOWN: 1, Key.PAGE_UP: -page, Key.PAGE_DOWN: page}
        ends = {Key.HOME: 0, Key.END: len(self._board)}
        self._scroll(ends.get(key, self._offset + moves.get(key, 0)))
        self._dirty = True

    def draw(self) -> float:
        """Draw what has changed, if it is time to; returns for how many seconds nothing has to be drawn."""
        now = time.monotonic()
        due = self._drawn_at + (FRAME_SECONDS if self._dirty else TICK_SECONDS)
        if now < due:
            return due - now
        self._draw()
        return TICK_SECONDS

    @property
    def _lines(self) -> int:
        """How many rows there is room for, beside the line that sums up and the one of the cursor."""
        return max(1, self._console.height - 2 - bool(self._notice))

    def _draw(self) -> None:
        if self._size != self._console.size:
            # What was drawn for another width may have been wrapped: nothing tells on which lines it is now.
            self._size = self._console.size
            self._console.clear()
        self._scroll(self._offset)
        rows = list(islice(self._board.rows(), self._offset, self._offset + self._lines))
        layout = columns(self._console.width, channels=self._board.channels > 1)
        lines = [self._line(row, layout) for row in rows]
        if self._notice:
            lines.append(self._text(self._cropped(self._notice, self._console.width), "yellow"))
        self._live.update(Group(*lines, self._summary(len(rows))), refresh=True)
        self._dirty, self._drawn_at = False, time.monotonic()

    def _scroll(self, offset: int) -> None:
        self._offset = max(0, min(offset, len(self._board) - self._lines))

    def _line(self, row: Row, layout: Columns) -> Text:
        channel = f"{self._shortened(row.channel, layout.channel)} " if layout.channel else ""
        line = self._text(channel, "dim")
        line.append(f"{self._shortened(row.title, layout.title)} ", "none")
        style = STYLES[row.phase]
        if row.phase is Phase.FAILED:
            rest = self._console.width - layout.names
            line.append(self._cropped(f"failed: {row.error}" if row.error else "failed", rest), style)
            return line
        progress = 100.0 if row.phase is Phase.COMPLETED else row.progress
        if layout.bar:
            full = round(layout.bar * min(max(progress or 0.0, 0.0), 100.0) / 100)
            line.append(self._full * full, style)
            line.append(self._empty * (layout.bar - full), "dim")
            line.append(" ")
        line.append(f"{'' if progress is None else f'{progress:.0f}%':>{PERCENT_CELLS}} ")
        word = row.step or row.status if row.phase is Phase.PROCESSING else WORDS[row.phase]
        if layout.detail > 0:
            told = self._told(word, row.tail, layout.detail)
            line.append(told, "" if row.phase is Phase.PROCESSING else style)
            if layout.left:
                line.append(f" {_left(row):>{layout.left}}")
        return line

    def _told(self, word: str, tail: str, cells: int) -> str:
        """The step, and behind it the end of the text that grows, where there is room."""
        room = cells - cell_len(word) - 1
        if not tail or room < TAIL_CELLS:
            return self._cropped(word, cells)
        return f"{word} {ending(tail, room, self._cut)}"

    def _summary(self, shown: int) -> Text:
        width = self._console.width
        if not len(self._board):
            state = f"nothing in {self._subject} yet" if self._board.ready else f"reading {self._subject}"
            return self._text(self._cropped(state, width), "dim")
        first, last, total = self._offset + 1, self._offset + shown, len(self._board)
        long, short = (
            (f"   rows {first} to {last} of {total}", f" {first}-{last}/{total}") if shown < total else ("", "")
        )
        counts = [(count, phase) for phase in WORDS if (count := self._board.count(phase))]
        line = self._counts(counts, WORDS, f" {self._dot} ", long)
        while line.cell_len > width and counts:
            # What is not shown is said in any case, and then what comes first.
            line = self._counts(counts, SHORT_WORDS, " ", short)
            counts.pop()
        line.truncate(width)
        return line

    def _counts(self, counts: Sequence[tuple[int, Phase]], words: Mapping[Phase, str], between: str, rows: str) -> Text:
        line = self._text("")
        for count, phase in counts:
            line.append(f"{between if line else ''}{count} {words[phase]}", STYLES[phase])
        line.append(rows, "bold")
        return line

    def _text(self, text: str, style: str = "") -> Text:
        return Text(text, style, no_wrap=True, overflow="crop")

    def _cropped(self, text: str, cells: int) -> str:
        """`text` in so many cells: cut at its end, or filled with blanks."""
        if cell_len(text) > cells > 0:
            return set_cell_size(text, cells - 1) + self._cut
        return set_cell_size(text, cells)

    def _shortened(self, name: str, cells: int) -> str:
        return shortened(name, cells, self._cut)


def _left(row: Row) -> str:
    """The time left, counted down since the row was made."""
    if row.remaining is None or row.phase is not Phase.PROCESSING:
        return ""
    seconds = row.remaining - (time.monotonic() - row.made)
    return duration(seconds) if seconds > 0 else "overdue" if row.remaining > 0 else ""
