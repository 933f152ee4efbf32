"""One step of a work, while the program is in it: `with work.step("render") as step`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self, TypeVar

from statushub.producers.meter import checked_total, length
from statushub.producers.steps import Steps, StepState

T = TypeVar("T")


class Reports(Protocol):
    """What a step needs of its work."""

    def report_details(self) -> None:
        """Report how far the steps are, where the work has not ended; waits for nothing."""


class Step:
    """A step that is reported: a context manager, for `with` in ordinary and in asynchronous code.

    Entering it begins the step, leaving it completes it, and leaving it by an exception fails it. One that the work
    does not have is not reported.
    """

    def __init__(self, name: str, steps: Steps | None, work: Reports) -> None:
        self._name = name
        self._steps = steps
        self._work = work

    @property
    def name(self) -> str:
        return self._name

    def __enter__(self) -> Self:
        if self._steps is not None:
            self._steps.begin(self._name)
            self._work.report_details()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._steps is not None:
            self._steps.end(self._name, StepState.COMPLETED if error is None else StepState.FAILED)
            if error is None:
                self._work.report_details()

    def advance(self, fraction: float) -> None:
        """Set the part of the step that is done, 0 to 1; it is reported within half a second."""
        if self._steps is not None:
            self._steps.advance(self._name, fraction)

    def track(self, items: Iterable[T], *, total: float | None = None) -> Iterator[T]:
        """Yield `items`, each of which is a part of the step. `total` is by default their length, where they have one;
        without it the step is done when it is left."""
        count = length(items) if total is None else checked_total(total)
        for done, item in enumerate(items, 1):
            yield item
            self._count(done, count)

    async def atrack(self, items: AsyncIterable[T], *, total: float | None = None) -> AsyncIterator[T]:
        """As `track`, for `async for`."""
        count = length(items) if total is None else checked_total(total)
        done = 0
        async for item in items:
            yield item
            done += 1
            self._count(done, count)

    def _count(self, done: int, total: float | None) -> None:
        if total:
            self.advance(done / total)
