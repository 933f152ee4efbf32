"""An item as the function of a job is given it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any

from statushub.hub.model.errors import Invalid
from statushub.producers.jobs.names import check_job_name


class PermanentFailure(Exception):
    """Raised by the function of a job where another try of the item would fail, too."""


class RetryLater(Exception):
    """Raised by the function of a job where what it uses asks for a pause of so many seconds, as an HTTP API does by a
    429. No item of the job begins within it, and the try does not count as one of those of the item."""

    def __init__(self, message: str, *, after: float) -> None:
        super().__init__(message)
        self.after = after


class Item:
    """One item of a job of a tenant: its `input`, and the steps that are done.

    `number` counts from 1, `tries` is the number of this try. `params` are those that the job was started with.
    `finished` are the steps that were completed in an earlier try, or before a crash.
    """

    def __init__(
        self,
        *,
        tenant: str,
        job_id: str,
        number: int,
        input: Any,
        params: Mapping[str, Any],
        tries: int,
        finished: Set[str],
        steps: Set[str],
        report: Callable[[str], Awaitable[None]],
        sums: dict[str, int],
        unpace: Callable[[], None],
    ) -> None:
        self.tenant = tenant
        self.job_id = job_id
        self.number = number
        self.input = input
        self.params = params
        self.tries = tries
        self.finished = finished
        self._steps = steps
        self._report = report
        self._sums = sums
        self._unpace = unpace

    def add(self, name: str, amount: int = 1) -> None:
        """Add to what the job shows as the sum `name` over all of its items and their tries, such as requests made.

        Raises `Invalid` for a name that is none.
        """
        self._sums[check_job_name(name)] = self._sums.get(name, 0) + amount

    def unpace(self) -> None:
        """The next item need not wait for the job's `pace`, since this one used nothing that it spares."""
        self._unpace()

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """The step `name` is completed where the block ends without an exception, and stored before the next line runs.

        Raises `Invalid` where the job has no such step.
        """
        if name not in self._steps:
            raise Invalid(f"the job has no step {name!r}", field="step")
        yield
        await self._report(name)
