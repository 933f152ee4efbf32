"""The processing status of a generation on stderr, a line for each, and the warnings of its producer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any, Protocol, Self

from statushub.hub.cli.observed import ObservedWork, RefusableWork
from statushub.hub.cli.terminal import echo
from statushub.hub.cli.warnings import note, shown_warnings
from statushub.hub.model.receipt import Refusal
from statushub.producers.generate.job import Works


class RefusableWorks(Protocol):
    """What is observed: a producer."""

    def work(
        self, content_id: str, *, channel: str, lease: float | None, steps: Mapping[str, float] | None, **fields: Any
    ) -> AbstractAsyncContextManager[RefusableWork]: ...


class WorkView:
    """Shows what one generation does, and the warnings of its producer, while its `with` block runs."""

    def __init__(self) -> None:
        self._shown: object = None
        self._work: ObservedWork | None = None
        self._producer: RefusableWorks | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(shown_warnings())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def observe(self, producer: RefusableWorks) -> Works:
        """`producer`, with the updates of its works shown here, too."""
        self._producer = producer
        return self

    def work(
        self, content_id: str, *, channel: str, lease: float | None, steps: Mapping[str, float] | None, **fields: Any
    ) -> ObservedWork:
        """As the producer's."""
        if self._producer is None:
            raise RuntimeError("nothing is observed")
        work = self._producer.work(content_id, channel=channel, lease=lease, steps=steps, **fields)
        self._show(fields)
        self._work = ObservedWork(work, self._show, note)
        return self._work

    @property
    def refused(self) -> Refusal | None:
        """Why the hub accepts nothing more of the work; None where it does."""
        return self._work.refused if self._work else None

    def _show(self, fields: Mapping[str, Any]) -> None:
        status = fields.get("processing_status", self._shown)
        if status != self._shown:
            self._shown = status
            echo(str(status).replace("_", " "), err=True)
