"""One encode from end to end: `convert` runs the steps and reports their progress."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

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
from statushub.producers.encode.result import EncodedRendition, Result
from statushub.producers.encode.transcode import transcode
from statushub.producers.encode.upload import Destination
from statushub.producers.encode.validate import validate

_ERRORS: Final[Mapping[Step, type[EncodeError]]] = {
    Step.DOWNLOADING: SourceUnreadable,
    Step.PROBING: NotAVideo,
    Step.PREPARING: DestinationUnwritable,
    Step.TRANSCODING: TranscodeFailed,
    Step.VALIDATING: ValidationFailed,
    Step.THUMBNAIL: TranscodeFailed,
    Step.UPLOADING: DestinationUnwritable,
}
"""What any other error counts as, by the step that raised it: each file system and codec has its own classes."""

P = ParamSpec("P")
T = TypeVar("T")


async def convert(
    source: str | Path,
    destination: str | Path,
    *,
    report: Report,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Result:
    """Encode `source` into the folder `destination`; `report` is awaited with the state each time it has changed.

    Cancelling stops the encoder between two packets. Temporary files are removed in any case; a failure leaves at
    most a folder without a master playlist at the destination. Raises `EncodeError`.
    """
    options, progress = options or Options(), progress or Progress()
    reporter = Reporter(progress, report, options.report_seconds)
    outcome: Result | EncodeError | None = None
    with tempfile.TemporaryDirectory(prefix="statushub-", dir=options.scratch) as scratch:
        conversion = _Conversion(str(source), str(destination), Path(scratch), options, progress, reporter)

        async def run() -> None:
            nonlocal outcome
            try:
                outcome = await conversion.run()
            except EncodeError as error:
                # Raised outside of the task group, which would wrap it into an exception group.
                outcome = error
            group.cancel_scope.cancel()

        # The threads notice the cancellation of a scope, but not that of a task, which is how asyncio cancels. The
        # task group turns the latter into the former.
        async with anyio.create_task_group() as group:
            group.start_soon(reporter.watch)
            group.start_soon(run)
    if isinstance(outcome, Result):
        return outcome
    raise outcome or TranscodeFailed("The encode ended without a result.")


class _Conversion:
    """The steps of one encode. Each runs in a thread, and stops at its next progress call when it is cancelled."""

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
            Step.TRANSCODING, self._thread, transcode, video, chosen, folder, self._options, self._advance
        )
        self._progress.learn(duration=round(seconds, 3))
        variants = await self._step(
            Step.VALIDATING, self._thread, validate, video, chosen, folder, seconds, self._advance
        )
        await self._step(
            Step.THUMBNAIL, self._thread, poster, variants[-1].media, variants[0].media, folder, self._advance
        )
        (folder / MASTER).write_text(master(variants), "utf-8")
        size = await self._step(Step.UPLOADING, self._thread, destination.upload, folder, self._advance)
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
        return await self._thread(download.from_filesystem, source, target, limit, self._advance)

    def _advance(self, fraction: float) -> None:
        """Called in the worker thread: raises there when the encode is cancelled."""
        anyio.from_thread.check_cancelled()
        self._progress.advance(fraction)

    def _result(self, destination: Destination, seconds: float, variants: list[Variant], size: int) -> Result:
        base = (self._options.public_url or destination.location).rstrip("/")
        return Result(
            hls_path=f"{base}/{MASTER}",
            poster=f"{base}/{POSTER}",
            duration=round(seconds, 3),
            renditions=tuple(_encoded(variant) for variant in variants),
            bytes=size,
            elapsed_seconds=round(self._progress.elapsed, 3),
        )


def _prepare(location: str) -> Destination:
    destination = Destination(location)
    destination.check()
    return destination


def _encoded(variant: Variant) -> EncodedRendition:
    rendition = variant.rendition
    return EncodedRendition(
        name=rendition.name, width=rendition.width, height=rendition.height, bandwidth=variant.media.bandwidth
    )
