"""Publishes the progress of a loop: `for page in track(pages, channel="jobs", content_id="import-7")`."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from statushub.hub.model.spelling import closest
from statushub.producers.departure import on_purpose
from statushub.producers.loop_report import INTERVAL_SECONDS, LoopReport
from statushub.producers.meter import Meter, checked_total, labels, length
from statushub.producers.producer import Producer
from statushub.producers.sender import PATIENCE_SECONDS
from statushub.producers.standalone import default
from statushub.producers.sync import SyncProducer, SyncWork
from statushub.producers.work import LEASE_SECONDS, Reporting, Work

T = TypeVar("T")
W = TypeVar("W", bound=Reporting)

OPTIONS: Final = (
    *(
        "items",
        "channel",
        "content_id",
        "total",
        "description",
        "unit",
        "postfix",
        "producer",
        "url",
        "tenant",
        "token",
    ),
    *("interval", "patience", "strict", "lease", "attempt", "cancellable"),
)

REPORTED: Final = frozenset(
    {"status", "done", "rate", "progress", "remaining_seconds", "estimated_completion", "completed"}
)
"""Fields that the loop reports itself."""

TQDM: Final[Mapping[str, str]] = {
    "desc": "description",
    "iterable": "items",
    "mininterval": "interval",
    **dict.fromkeys(("leave", "file", "ncols", "nrows", "maxinterval", "miniters", "ascii", "disable", "delay"), ""),
    **dict.fromkeys(("unit_scale", "unit_divisor", "dynamic_ncols", "smoothing", "bar_format", "initial"), ""),
    **dict.fromkeys(("position", "write_bytes", "lock_args", "colour", "gui", "refresh"), ""),
}
"""tqdm's options that have another name here, or none."""

ALIKE: Final = 0.85
"""Likeness (difflib's ratio) from which on a name counts as a misspelt option: one letter of six."""


class _Tracked(Generic[W]):
    """What can be said of a loop while it runs."""

    def __init__(self, report: LoopReport[W]) -> None:
        self._report = report

    @property
    def total(self) -> float | None:
        """The number of items, as far as it is known."""
        return self._report.meter.total

    @total.setter
    def total(self, value: float | None) -> None:
        self._report.meter.total = checked_total(value)

    def set_description(self, description: str) -> None:
        """Report what the loop does now, as `description`."""
        self._report.add(description=description)

    def set_postfix(self, **values: Any) -> None:
        """Report further values, such as a loss, as `postfix`."""
        self._report.add(postfix=values)

    def update(self, **fields: Any) -> None:
        """Report further fields."""
        self._report.add(**fields)


class Track(_Tracked[SyncWork], Generic[T]):
    """A loop that is tracked: an iterator over its items, and a context manager that sees how the loop ends."""

    def __init__(self, items: Iterable[T], report: LoopReport[SyncWork]) -> None:
        super().__init__(report)
        self._items = items
        self._rows: Generator[T, None, None] | None = None

    def __iter__(self) -> Iterator[T]:
        # Referred to by the loop only, which closes it where it is left, by dropping it.
        return self._rows or _rows(self._items, self._report)

    def __next__(self) -> T:
        if self._rows is None:
            self._rows = _rows(self._items, self._report)
        return next(self._rows)

    def __enter__(self) -> Self:
        self._report.seen = True
        self._report.begin()
        self._report.work.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report.work.leave()
        self._report.work.arrived(self._report.over() if error is None else self._report.failed(error))

    def close(self) -> None:
        """Leave the loop, on purpose."""
        self._report.work.arrived(self._report.left())
        if self._rows is not None:
            self._rows.close()


class AsyncTrack(_Tracked[Work], Generic[T]):
    """As `Track`, for `async for` and `async with`."""

    def __init__(self, items: AsyncIterable[T], report: LoopReport[Work]) -> None:
        super().__init__(report)
        self._items = items
        self._rows: _AsyncRows[T] | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        return self._rows or _AsyncRows(self._items, self._report)

    async def __anext__(self) -> T:
        if self._rows is None:
            self._rows = _AsyncRows(self._items, self._report)
        return await anext(self._rows)

    async def __aenter__(self) -> Self:
        self._report.seen = True
        self._report.begin()
        self._report.work.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report.work.leave()
        await self._report.work.arrived(self._report.over() if error is None else self._report.failed(error))

    async def aclose(self) -> None:
        """Leave the loop, on purpose."""
        await self._report.work.arrived(self._report.left())
        if self._rows is not None:
            await self._rows.aclose()


def track(
    items: Iterable[T],
    *,
    channel: str,
    content_id: str,
    total: float | None = None,
    description: str | None = None,
    unit: str | None = None,
    postfix: Mapping[str, Any] | str | None = None,
    producer: SyncProducer | None = None,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
    patience: float = PATIENCE_SECONDS,
    strict: bool = False,
    interval: float = INTERVAL_SECONDS,
    attempt: int | None = None,
    lease: float | None = LEASE_SECONDS,
    cancellable: bool = False,
    **fields: Any,
) -> Track[T]:
    """Yield `items`, and publish the progress of the loop: the fields of `Meter.fields`, besides `fields`.

    `total` is by default `len(items)` where they have a length; `description`, `unit` and `postfix` are as tqdm has
    them, and published under these names. Without a `producer` the loop shares the one that the process has for `url`,
    `tenant` and `token`. At most one report is made in `interval` seconds.

    With `cancellable`, the next item after a request to cancel raises `Cancelled`, and the loop ends as `cancelled`.

    An error raised by `items` is reported. `break` and `return` in the loop complete it, with `completed` false; an
    error in its body is reported as `cancelled`, or as itself in `with track(…) as rows:`, which sees it. A mistake in
    the options raises here: `TypeError` for one that is misspelt, or that the loop reports itself, and what `Producer`
    and `Producer.work` raise.
    """
    _check_names(fields)
    if producer is None:
        producer = default(SyncProducer, url=url, tenant=tenant, token=token, patience=patience, strict=strict)
    named = {**labels(description, unit, postfix), **fields}
    work = producer.work(content_id, channel=channel, attempt=attempt, lease=lease, **named)
    meter = Meter(length(items) if total is None else checked_total(total))
    return Track(items, LoopReport(work, meter, interval, cancellable=cancellable))


def atrack(
    items: AsyncIterable[T],
    *,
    channel: str,
    content_id: str,
    total: float | None = None,
    description: str | None = None,
    unit: str | None = None,
    postfix: Mapping[str, Any] | str | None = None,
    producer: Producer | None = None,
    url: str | None = None,
    tenant: str | None = None,
    token: str | None = None,
    patience: float = PATIENCE_SECONDS,
    strict: bool = False,
    interval: float = INTERVAL_SECONDS,
    attempt: int | None = None,
    lease: float | None = LEASE_SECONDS,
    cancellable: bool = False,
    **fields: Any,
) -> AsyncTrack[T]:
    """As `track`, for `async for`; a loop that is left early is reported without waiting for it."""
    _check_names(fields)
    if producer is None:
        producer = default(Producer, url=url, tenant=tenant, token=token, patience=patience, strict=strict)
    named = {**labels(description, unit, postfix), **fields}
    work = producer.work(content_id, channel=channel, attempt=attempt, lease=lease, **named)
    meter = Meter(length(items) if total is None else checked_total(total))
    return AsyncTrack(items, LoopReport(work, meter, interval, cancellable=cancellable))


def _rows(items: Iterable[T], report: LoopReport[SyncWork]) -> Generator[T, None, None]:
    report.begin()
    meter, work = report.meter, report.work
    try:
        for item in items:
            report.check()
            yield item
            meter.done += 1
    except GeneratorExit as left:
        if not report.seen:
            work.arrived(report.left() if on_purpose(sys._getframe().f_back) else report.failed(left))
        raise
    except BaseException as error:
        work.arrived(report.failed(error))
        raise
    report.exhausted = True
    if not report.seen:
        work.arrived(report.over())


async def _async_rows(items: AsyncIterable[T], report: LoopReport[Work]) -> AsyncGenerator[T, None]:
    report.begin()
    meter, work = report.meter, report.work
    try:
        async for item in items:
            report.check()
            yield item
            meter.done += 1
    except GeneratorExit as left:
        # The event loop closes it, later than `_AsyncRows` has seen whether it was left on purpose.
        if not report.seen:
            report.failed(left)
        raise
    except BaseException as error:
        await work.arrived(report.failed(error))
        raise
    report.exhausted = True
    if not report.seen:
        await work.arrived(report.over())


class _AsyncRows(Generic[T]):
    """The items of an asynchronous loop. Sees immediately that it is dropped, unlike a generator, which the event
    loop closes."""

    def __init__(self, items: AsyncIterable[T], report: LoopReport[Work]) -> None:
        self._report = report
        self._rows = _async_rows(items, report)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    def __anext__(self) -> Any:
        return self._rows.__anext__()

    async def aclose(self) -> None:
        await self._rows.aclose()

    def __del__(self) -> None:
        if self._report.begun and not self._report.seen and on_purpose(sys._getframe().f_back):
            self._report.left()


def _check_names(fields: Mapping[str, Any]) -> None:
    """Raise `TypeError` for a field that is a mistake in an option."""
    for name in fields:
        if name in REPORTED:
            raise TypeError(f"the loop reports {name!r} itself")
        if name in TQDM:
            instead = f"; it is called {TQDM[name]!r} here" if TQDM[name] else ""
            raise TypeError(f"{name!r} is an option of tqdm that there is not{instead}")
        close = closest(name, OPTIONS, alike=ALIKE)
        if close is not None:
            raise TypeError(f"there is no option {name!r}; did you mean {close!r}?")
