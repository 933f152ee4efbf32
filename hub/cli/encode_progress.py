"""The progress of an encode on stderr: a bar in a terminal, else a line for each step."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from statushub.hub.cli.board import row
from statushub.hub.cli.observed import ObservedWork, RefusableWork
from statushub.hub.cli.terminal import echo
from statushub.hub.cli.warnings import note, shown_warnings
from statushub.hub.model.receipt import Refusal
from statushub.producers.encode.job import Works


class RefusableWorks(Protocol):
    """What is observed: a producer."""

    def work(
        self, content_id: str, *, channel: str, lease: float | None, **fields: Any
    ) -> AbstractAsyncContextManager[RefusableWork]: ...


class EncodeProgressView:
    """Shows the progress of one encode, and the warnings of its producer, while its `with` block runs."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
        detail = TextColumn("{task.fields[detail]}", markup=False)
        self._bar = Progress(*columns, detail, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("", total=100, detail="") if self._bar else None
        self._step: object = None
        self._producer: RefusableWorks | None = None
        self._work: ObservedWork | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(shown_warnings())
        if self._bar:
            self._bar.start()
            self._stack.callback(self._bar.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def observe(self, producer: RefusableWorks) -> Works:
        """`producer`, with the updates of its works shown here, too."""
        self._producer = producer
        return self

    def work(self, content_id: str, *, channel: str, lease: float | None, **fields: Any) -> ObservedWork:
        """As the producer's."""
        if self._producer is None:
            raise RuntimeError("nothing is observed")
        work = self._producer.work(content_id, channel=channel, lease=lease, **fields)
        self._work = ObservedWork(work, self.show, note)
        return self._work

    @property
    def refused(self) -> Refusal | None:
        """Why the hub accepts nothing more of the encode; None where it does."""
        return self._work.refused if self._work else None

    def show(self, fields: Mapping[str, Any]) -> None:
        """Show the progress that the fields of an update report."""
        step = fields.get("step")
        shown = row("", fields)
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=shown.title, completed=shown.progress or 0, detail=shown.detail)
        elif step != self._step:
            echo(f"{shown.progress or 0:3.0f}% {step}", err=True)
        self._step = step
