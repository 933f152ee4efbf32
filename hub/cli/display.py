"""Output of a watched channel: bars in a terminal, lines in a pipe, JSON for programs."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Protocol, Self

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column

from statushub.hub.cli.board import Row
from statushub.hub.cli.follow import Message
from statushub.hub.model.vocabulary import Phase

TITLE_CHARACTERS: Final = 32
"""Longest title beside a bar: it leaves room for the bar in a terminal of 80 columns."""


class Display(Protocol):
    """Shows messages while its `with` block runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, message: Message, row: Row | None) -> None:
        """Show a message; `row` is the row it changed, or None for a control event."""


class Lines:
    """One line for each event."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, message: Message, row: Row | None) -> None:
        if row is not None:
            progress = None if row.progress is None else f"{row.progress:g}%"
            parts = (row.timestamp, row.content_id, row.status, progress, row.detail)
            click.echo("  ".join(part for part in parts if part))
        elif message.type == "reset":
            click.echo("reset: the cursor is void; the whole state follows")


class JsonLines(Lines):
    """One JSON object for each event: `id` (the cursor; null for `ready` and `reset`), `type`, `data`."""

    def show(self, message: Message, row: Row | None) -> None:
        click.echo(msgspec.json.encode(message).decode())


class Bars:
    """A progress bar for each content, as many as the terminal has lines. Finished ones are removed first."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.fields[title]}", markup=False, table_column=Column(max_width=TITLE_CHARACTERS)),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[status]}", style="bold", markup=False),
            TextColumn("{task.fields[detail]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            console=console,
            expand=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, message: Message, row: Row | None) -> None:
        if row is not None:
            self._update(row)
        elif message.type == "reset":
            while self._tasks:
                self._remove(next(iter(self._tasks)))

    def _update(self, row: Row) -> None:
        progress = 100.0 if row.phase is Phase.COMPLETED else row.progress
        # rich draws a bar without a total as a moving one.
        total = None if progress is None and row.phase is Phase.PROCESSING else 100.0
        if row.content_id not in self._tasks:
            self._make_room()
            self._tasks[row.content_id] = self._progress.add_task("", total=total, title="", status="", detail="")
        self._progress.update(
            self._tasks[row.content_id],
            total=total,
            completed=progress or 0.0,
            title=row.title,
            status=row.status,
            detail=row.detail,
        )

    def _make_room(self) -> None:
        if len(self._tasks) >= max(1, self._console.height - 2):
            finished = {task.id for task in self._progress.tasks if task.finished}
            ended = (content_id for content_id, task in self._tasks.items() if task in finished)
            self._remove(next(ended, next(iter(self._tasks))))

    def _remove(self, content_id: str) -> None:
        self._progress.remove_task(self._tasks.pop(content_id))
