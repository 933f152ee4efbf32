"""Tells on stderr how far an encode is: a bar in a terminal, else a line a step."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from statushub.hub.cli.board import row
from statushub.producers.encode.job import Work, Works


class EncodeProgressView:
    """Shows the states of one encode, and what its producer warns of, for the time of a `with` block."""

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

    def listening(self, producer: Works) -> Works:
        """`producer`, whose works are told here too."""
        return _ToldWorks(producer, self)

    def tell(self, fields: dict[str, Any]) -> None:
        """Show a state of the encode."""
        step = fields.get("step")
        shown = row("", fields)
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=shown.title, completed=shown.progress or 0, detail=shown.detail)
        elif step != self._step:
            click.echo(f"{shown.progress or 0:3.0f}% {step}", err=True)
        self._step = step


class _ToldWorks:
    def __init__(self, producer: Works, narrator: EncodeProgressView) -> None:
        self._producer = producer
        self._narrator = narrator

    def work(
        self, content_id: str, *, channel: str, lease: float | None, **fields: Any
    ) -> AbstractAsyncContextManager[Work]:
        return _ToldWork(self._producer.work(content_id, channel=channel, lease=lease, **fields), self._narrator)


class _ToldWork:
    """A work that passes on what it is told, and shows it."""

    def __init__(self, work: AbstractAsyncContextManager[Work], narrator: EncodeProgressView) -> None:
        self._context = work
        self._narrator = narrator

    async def __aenter__(self) -> Self:
        self._work = await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        self._narrator.tell(fields)
        await self._work.update(status, **fields)

    async def complete(self, **fields: Any) -> bool:
        return await self._work.complete(**fields)

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        return await self._work.fail(message, **fields)


class _Warnings(logging.Handler):
    """What goes wrong with the hub is told, and the encode goes on. Beside a bar, not across it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"statushub: {record.getMessage()}", err=True)
