"""The progress of an encode on stderr: a bar in a terminal, else a line for each step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from statushub.hub.cli.board import row
from statushub.producers.encode.job import Work, Works


class EncodeProgressView:
    """Shows the progress of one encode, and the warnings of its producer, while its `with` block runs."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
        detail = TextColumn("{task.fields[detail]}", markup=False)
        self._bar = Progress(*columns, detail, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("", total=100, detail="") if self._bar else None
        self._step: object = None
        self._warnings = _Warnings()

    def __enter__(self) -> Self:
        logging.getLogger("statushub.producers").addHandler(self._warnings)
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("statushub.producers").removeHandler(self._warnings)
        if self._bar:
            self._bar.stop()

    def observe(self, producer: Works) -> Works:
        """`producer`, with the updates of its works shown here, too."""
        return _ObservedProducer(producer, self.show)

    def show(self, fields: dict[str, Any]) -> None:
        """Show the progress that the fields of an update report."""
        step = fields.get("step")
        shown = row("", fields)
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=shown.title, completed=shown.progress or 0, detail=shown.detail)
        elif step != self._step:
            click.echo(f"{shown.progress or 0:3.0f}% {step}", err=True)
        self._step = step


class _ObservedProducer:
    def __init__(self, producer: Works, show: Callable[[dict[str, Any]], None]) -> None:
        self._producer = producer
        self._show = show

    def work(
        self, content_id: str, *, channel: str, lease: float | None, **fields: Any
    ) -> AbstractAsyncContextManager[Work]:
        return _ObservedWork(self._producer.work(content_id, channel=channel, lease=lease, **fields), self._show)


class _ObservedWork:
    """Passes each call on to a work, and shows its updates."""

    def __init__(self, work: AbstractAsyncContextManager[Work], show: Callable[[dict[str, Any]], None]) -> None:
        self._context = work
        self._show = show

    async def __aenter__(self) -> Self:
        self._work = await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        self._show(fields)
        await self._work.update(status, **fields)

    async def complete(self, **fields: Any) -> bool:
        return await self._work.complete(**fields)

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        return await self._work.fail(message, **fields)


class _Warnings(logging.Handler):
    """Prints warnings about the hub above the bar; the encode continues without it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"statushub: {record.getMessage()}", err=True)
