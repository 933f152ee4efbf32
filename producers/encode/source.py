"""The source of an encode as a local file: where it is one it stays, from anywhere else it is downloaded."""

from __future__ import annotations

import os
from pathlib import Path
from types import NoneType

import anyio
import anyio.from_thread
import anyio.to_thread

from statushub.producers.encode.download import from_filesystem, needs_this_process
from statushub.producers.encode.errors import SOURCE_ERRORS, SourceUnreadable
from statushub.producers.encode.messages import Fetch
from statushub.producers.encode.options import Options
from statushub.producers.encode.process import Process
from statushub.producers.encode.progress import OnProgress
from statushub.producers.sources.local import check_local
from statushub.producers.sources.location import local_path, printable, web_part
from statushub.producers.sources.process_limits import ProcessLimits
from statushub.producers.sources.web import CHUNK_BYTES, from_web


async def local_file(source: str, scratch: Path, options: Options, on_progress: OnProgress) -> Path:
    """The path of a file with the content of `source`, in the folder `scratch` unless it is local already.

    http(s) is read here, and nothing else that is not local, except for file systems that only this process knows: a
    process of its own does the rest, so that a file system can be stopped at any time, and an archive can be hostile.
    Raises `EncodeError`; other errors pass through.
    """
    path = local_path(source)
    if path is not None:
        return await anyio.to_thread.run_sync(check_local, path, options.source_bytes, source, SOURCE_ERRORS)
    target, url = scratch / "source", source
    match web_part(source):
        case ("", _):
            await from_web(source, target, options, on_progress, SOURCE_ERRORS)
            return target
        case (links, archive):
            # By our rules of redirects and speed, instead of those of fsspec's HTTP client.
            await from_web(archive, scratch / "archive", options, on_progress, SOURCE_ERRORS)
            url = f"{links}::file://{scratch / 'archive'}"
    copy = _in_thread if needs_this_process(url) else _in_process
    await copy(url, printable(source), target, options, on_progress)
    return target


async def _in_process(url: str, name: str, target: Path, options: Options, on_progress: OnProgress) -> None:
    limits = ProcessLimits(
        memory_bytes=options.memory_bytes,
        cpu_seconds=options.cpu_seconds,
        # More than the limit that has an error of its own.
        file_bytes=options.source_bytes + 2 * CHUNK_BYTES,
        total_seconds=options.download_seconds,
        stall_seconds=options.stall_seconds,
    )
    job = Fetch(source=url, name=name, target=os.fsencode(target), limit=options.source_bytes)
    async with Process(limits) as process:
        await process.call(job, NoneType, on_progress)


async def _in_thread(url: str, name: str, target: Path, options: Options, on_progress: OnProgress) -> None:
    """A thread cannot be stopped while it reads: where it makes no progress, it is left behind."""
    end = anyio.current_time() + options.download_seconds
    scope = anyio.CancelScope()

    def extend(fraction: float) -> None:
        scope.deadline = min(end, anyio.current_time() + options.stall_seconds)
        on_progress(fraction)

    with scope:
        extend(0.0)
        await anyio.to_thread.run_sync(
            from_filesystem,
            url,
            name,
            target,
            options.source_bytes,
            lambda fraction: anyio.from_thread.run_sync(extend, fraction),
            anyio.from_thread.check_cancelled,
            abandon_on_cancel=True,
        )
    if scope.cancelled_caught:
        raise SourceUnreadable(f"{name} cannot be read: it arrives too slowly.", field="source")
