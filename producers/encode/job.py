"""One encode from end to end: `convert` does it, `encode` publishes it under a content."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec

from statushub.producers.encode import download
from statushub.producers.encode.errors import (
    DestinationUnwritable,
    EncodeError,
    NotAVideo,
    SourceUnreadable,
    TranscodeFailed,
    ValidationFailed,
    reason,
)
from statushub.producers.encode.ladder import renditions
from statushub.producers.encode.options import Options
from statushub.producers.encode.playlist import MASTER, Variant, master
from statushub.producers.encode.poster import POSTER, poster
from statushub.producers.encode.probe import Video, probe
from statushub.producers.encode.progress import Progress, Step
from statushub.producers.encode.reporter import Report, Reporter
from statushub.producers.encode.transcode import transcode
from statushub.producers.encode.upload import Destination
from statushub.producers.encode.validate import validate

PROCESSING: Final = "PROCESSING"
"""The status of every report but the last; the event type `encoding_progress` follows from it."""

LEASE_SECONDS: Final = 60.0
"""How long a silent encode counts as alive. The producer says so again while the work runs."""

_ERRORS: Final[Mapping[Step, type[EncodeError]]] = {
    Step.DOWNLOADING: SourceUnreadable,
    Step.PROBING: NotAVideo,
    Step.PREPARING: DestinationUnwritable,
    Step.TRANSCODING: TranscodeFailed,
    Step.VALIDATING: ValidationFailed,
    Step.THUMBNAIL: TranscodeFailed,
    Step.UPLOADING: DestinationUnwritable,
}
"""What an error that nobody foresaw counts as, by the step it came in: file systems and codecs have their own."""

P = ParamSpec("P")
T = TypeVar("T")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition of the result; `bandwidth` is its peak, in bits a second."""

    name: str
    width: int
    height: int
    bandwidth: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an encode made. Paths begin with the destination, or with `Options.public_url`."""

    hls_path: str
    poster: str
    duration: float
    renditions: tuple[Listed, ...]
    bytes: int
    elapsed_seconds: float


class Work(Protocol):
    """What is needed of a producer's work."""

    async def update(self, status: str | None = None, /, **fields: Any) -> None: ...

    async def complete(self, **fields: Any) -> bool: ...

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool: ...


class Works(Protocol):
    """What is needed of a producer."""

    def work(
        self, content_id: str, *, channel: str, lease: float | None, **fields: Any
    ) -> AbstractAsyncContextManager[Work]: ...


async def encode(
    source: str | Path,
    *,
    channel: str,
    content_id: str,
    destination: str | Path,
    producer: Works,
    options: Options | None = None,
    lease: float = LEASE_SECONDS,
    **fields: Any,
) -> Result:
    """Encode `source` into the folder `destination`, and publish how far it is as the status of `content_id`.

    `source` and `destination` are paths or URLs of any kind fsspec knows. `fields` are published besides, and
    instead of what the encode itself would say by the same name, such as `title`.
    Raises `EncodeError`, which has been published then as `error_message` and `error_code`.
    """
    progress = Progress()
    begin = {"status": PROCESSING, "title": download.title(str(source)), **fields}

    async def report(state: Mapping[str, Any]) -> None:
        await work.update(PROCESSING, **{**state, **fields})

    async with producer.work(content_id, channel=channel, lease=lease, **begin) as work:
        try:
            result = await convert(source, destination, report=report, options=options, progress=progress)
        except EncodeError as error:
            reasons = {"error_reason": error.message, "error_code": error.code}
            await work.fail(error.message, **{**progress.failure(), **fields, **reasons})
            raise
        await work.complete(**{**_completion(progress, result), **fields})
        return result


async def convert(
    source: str | Path,
    destination: str | Path,
    *,
    report: Report,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Result:
    """Encode `source` into the folder `destination`; `report` is awaited with the state whenever it changed.

    Cancelling stops the encoder between two packets. Temporary files are removed in any case, and a folder
    without a master playlist is all that a failure leaves at the destination. Raises `EncodeError`.
    """
    options, progress = options or Options(), progress or Progress()
    reporter = Reporter(progress, report, options.report_seconds)
    outcome: Result | EncodeError | None = None
    with tempfile.TemporaryDirectory(prefix="statushub-", dir=options.scratch) as scratch:
        job = _Job(str(source), str(destination), Path(scratch), options, progress, reporter)

        async def run() -> None:
            nonlocal outcome
            try:
                outcome = await job.run()
            except EncodeError as error:
                # Raised out there, where the task group does not wrap it into an exception group.
                outcome = error
            group.cancel_scope.cancel()

        # A task of its own: the threads notice when a scope is cancelled, and not when a task is, which is how
        # asyncio cancels; the group turns that into this.
        async with anyio.create_task_group() as group:
            group.start_soon(reporter.watch)
            group.start_soon(run)
    if isinstance(outcome, Result):
        return outcome
    raise outcome or TranscodeFailed("The encode ended without a result.")


class _Job:
    """The steps of one encode. The work of each runs in a thread, which a cancellation stops at its next tick."""

    def __init__(
        self, source: str, destination: str, scratch: Path, options: Options, progress: Progress, reporter: Reporter
    ) -> None:
        self._source = source
        self._destination = destination
        self._scratch = scratch
        self._options = options
        self._progress = progress
        self._reporter = reporter

    async def run(self) -> Result:
        self._progress.learn(title=download.title(self._source))
        path = await self._step(Step.DOWNLOADING, self._download)
        video = await self._step(Step.PROBING, self._thread, probe, path, self._options.source_seconds)
        self._progress.learn(**video.facts)
        destination = await self._step(Step.PREPARING, self._thread, _prepare, self._destination)
        return await self._make(video, destination)

    async def _make(self, video: Video, destination: Destination) -> Result:
        folder, chosen = self._scratch / "result", renditions(video.width, video.height, self._options.ladder)
        seconds = await self._step(
            Step.TRANSCODING, self._thread, transcode, video, chosen, folder, self._options, self._tick
        )
        self._progress.learn(duration=round(seconds, 3))
        variants = await self._step(Step.VALIDATING, self._thread, validate, video, chosen, folder, seconds, self._tick)
        await self._step(
            Step.THUMBNAIL, self._thread, poster, variants[-1].media, variants[0].media, folder, self._tick
        )
        (folder / MASTER).write_text(master(variants), "utf-8")
        size = await self._step(Step.UPLOADING, self._thread, destination.upload, folder, self._tick)
        return self._result(destination, seconds, variants, size)

    async def _step(self, step: Step, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        self._progress.begin(step)
        await self._reporter.now()
        try:
            return await work(*args, **kwargs)
        except EncodeError:
            raise
        except Exception as error:
            raise _ERRORS[step](f"The step {step.value} failed: {reason(error)}.") from error

    async def _thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(partial(work, *args, **kwargs))

    async def _download(self) -> Path:
        source, target, limit = self._source, self._scratch / "source", self._options.source_bytes
        path = download.local_path(source)
        if path is not None:
            return await self._thread(download.check_local, path, limit)
        if source.startswith(("http://", "https://")):
            return await download.from_http(source, target, limit, self._progress.advance)
        return await self._thread(download.from_filesystem, source, target, limit, self._tick)

    def _tick(self, fraction: float) -> None:
        anyio.from_thread.check_cancelled()
        self._progress.advance(fraction)

    def _result(self, destination: Destination, seconds: float, variants: list[Variant], size: int) -> Result:
        base = (self._options.public_url or destination.location).rstrip("/")
        return Result(
            hls_path=f"{base}/{MASTER}",
            poster=f"{base}/{POSTER}",
            duration=round(seconds, 3),
            renditions=tuple(_listed(variant) for variant in variants),
            bytes=size,
            elapsed_seconds=round(self._progress.elapsed, 3),
        )


def _prepare(location: str) -> Destination:
    destination = Destination(location)
    destination.check()
    return destination


def _listed(variant: Variant) -> Listed:
    rendition = variant.rendition
    return Listed(
        name=rendition.name, width=rendition.width, height=rendition.height, bandwidth=variant.media.bandwidth
    )


def _completion(progress: Progress, result: Result) -> dict[str, Any]:
    done = {"progress": 100, "remaining_seconds": 0, "estimated_completion": None}
    return {**progress.snapshot(), **done, **msgspec.to_builtins(result)}
