"""One encode from end to end: `convert` runs the steps and reports their progress."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Final, ParamSpec, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from msgspec.structs import asdict, replace

from statushub.producers.encode import probe
from statushub.producers.encode.errors import (
    DestinationUnwritable,
    EncodeError,
    NotAVideo,
    SourceUnreadable,
    TranscodeFailed,
    ValidationFailed,
)
from statushub.producers.encode.messages import Facts, Poster, Probe, Transcode, Validate
from statushub.producers.encode.options import Options
from statushub.producers.encode.playlist import MASTER
from statushub.producers.encode.poster import POSTER
from statushub.producers.encode.process import Process
from statushub.producers.encode.progress import Progress, Step
from statushub.producers.encode.reporter import Report, Reporter
from statushub.producers.encode.result import EncodedRendition, Result
from statushub.producers.encode.scratch import is_full, scratch_folder, scratch_unwritable
from statushub.producers.encode.source import local_file
from statushub.producers.encode.upload import Destination
from statushub.producers.sources.errors import cause, reason
from statushub.producers.sources.location import shown, title
from statushub.producers.sources.process_limits import ProcessLimits

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

_OF_THE_DESTINATION: Final = frozenset({Step.PREPARING, Step.UPLOADING})
"""The steps that write to the destination instead of the scratch folder."""

FILE_BYTES: Final = 4 * 1024**3
"""Largest file that an encode writes, which is one segment: half a minute at 1 Gbit/s."""

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

    The source is read by a process of its own, which a cancellation ends immediately. Temporary files are removed in
    any case; a failure leaves at most a folder without a master playlist at the destination. Raises `EncodeError`.
    """
    options, progress = options or Options(), progress or Progress()
    reporter = Reporter(progress, report, options.report_seconds)
    outcome: Result | EncodeError | None = None
    with scratch_folder(options.scratch) as scratch:
        conversion = _Conversion(str(source), str(destination), scratch, options, progress, reporter)

        async def run() -> None:
            nonlocal outcome
            try:
                outcome = await conversion.run()
            except EncodeError as error:
                # Raised outside of the task group, which would wrap it into an exception group.
                outcome = error
            group.cancel_scope.cancel()

        # Threads notice the cancellation of a scope, but not that of a task, which is how asyncio cancels. The
        # task group turns the latter into the former.
        async with anyio.create_task_group() as group:
            group.start_soon(reporter.watch)
            group.start_soon(run)
    if isinstance(outcome, Result):
        return outcome
    raise outcome or TranscodeFailed("The encode ended without a result.")


class _Conversion:
    """The steps of one encode."""

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
        self._progress.learn(title=title(self._source))
        path = await self._step(
            Step.DOWNLOADING, local_file, self._source, self._scratch, self._options, self._progress.advance
        )
        async with Process(_limits(self._options)) as process:
            return await self._make(path, process)

    async def _make(self, path: Path, process: Process) -> Result:
        folder, options, advance = self._scratch / "result", self._options, self._progress.advance
        source = Probe(path=os.fsencode(path), seconds=options.source_seconds, pixels=probe.PIXELS_MAX)
        self._progress.learn(**asdict(await self._step(Step.PROBING, process.call, source, Facts, advance)))
        destination = await self._step(Step.PREPARING, self._thread, _prepare, self._destination)
        work = Transcode(folder=os.fsencode(folder), options=replace(options, scratch=None, public_url=None))
        seconds = await self._step(Step.TRANSCODING, process.call, work, float, advance)
        self._progress.learn(duration=round(seconds, 3))
        renditions = await self._step(Step.VALIDATING, process.call, Validate(), tuple[EncodedRendition, ...], advance)
        await self._step(Step.THUMBNAIL, process.call, Poster(), NoneType, advance)
        size = await self._step(Step.UPLOADING, self._thread, destination.upload, folder, self._advance)
        return self._result(destination, seconds, renditions, size)

    async def _step(self, step: Step, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        self._progress.begin(step)
        await self._reporter.now()
        try:
            return await work(*args, **kwargs)
        except EncodeError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again, as an error of the encode
            if is_full(error) and step not in _OF_THE_DESTINATION:
                raise scratch_unwritable(error) from cause(error, self._source)
            why = reason(error, self._source, self._destination)
            text = f"The step {step.value} failed: {why}."
            raise _ERRORS[step](text) from cause(error, self._source, self._destination)

    async def _thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(partial(work, *args, **kwargs))

    def _advance(self, fraction: float) -> None:
        """Called in the worker thread: raises there when the encode is cancelled."""
        anyio.from_thread.check_cancelled()
        self._progress.advance(fraction)

    def _result(
        self, destination: Destination, seconds: float, renditions: tuple[EncodedRendition, ...], size: int
    ) -> Result:
        base = (self._options.public_url or shown(destination.location)).rstrip("/")
        return Result(
            hls_path=f"{base}/{MASTER}",
            poster=f"{base}/{POSTER}",
            duration=round(seconds, 3),
            renditions=renditions,
            bytes=size,
            elapsed_seconds=round(self._progress.elapsed, 3),
        )


def _prepare(location: str) -> Destination:
    destination = Destination(location)
    destination.check()
    return destination


def _limits(options: Options) -> ProcessLimits:
    return ProcessLimits(
        memory_bytes=options.memory_bytes,
        cpu_seconds=options.cpu_seconds,
        file_bytes=FILE_BYTES,
        total_seconds=options.encode_seconds,
        stall_seconds=options.stall_seconds,
    )
