"""An item as the function of a job is given it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any

from statushub.hub.model.errors import Invalid


class PermanentFailure(Exception):
    """Raised by the function of a job where another try of the item would fail, too."""


class Item:
    """One item of a job: its `input`, and the steps that are done.

    `number` counts from 1, `tries` is the number of this try. `params` are those that the job was started with.
    `finished` are the steps that were completed in an earlier try, or before a crash.
    """

    def __init__(
        self,
        *,
        job_id: str,
        number: int,
        input: Any,
        params: Mapping[str, Any],
        tries: int,
        finished: Set[str],
        steps: Set[str],
        report: Callable[[str], Awaitable[None]],
    ) -> None:
        self.job_id = job_id
        self.number = number
        self.input = input
        self.params = params
        self.tries = tries
        self.finished = finished
        self._steps = steps
        self._report = report

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """The step `name` is completed where the block ends without an exception, and stored before the next line runs.

        Raises `Invalid` where the job has no such step.
        """
        if name not in self._steps:
            raise Invalid(f"the job has no step {name!r}", field="step")
        yield
        await self._report(name)
