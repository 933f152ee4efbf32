"""Reads a source: downloads it where it is a URL, and lets a process of its own find the text."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from subprocess import DEVNULL
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from statushub.producers.generate.document import Document
from statushub.producers.generate.errors import (
    SOURCE_ERRORS,
    GenerateError,
    NoText,
    ResourcesExhausted,
    SourceTooLarge,
    SourceUnreadable,
)
from statushub.producers.generate.extraction import Failed, Found, Job
from statushub.producers.generate.options import Options
from statushub.producers.sources.local import check_local
from statushub.producers.sources.location import local_path, printable, title, web_part
from statushub.producers.sources.process_limits import ProcessLimits
from statushub.producers.sources.web import OnProgress, from_web

MODULE: Final = "statushub.producers.generate.extraction"

FILE_BYTES: Final = 1024**2
"""Largest file that the process writes; it writes none."""

_CLASSES: Final = {each.code: each for each in (NoText, SourceTooLarge, ResourcesExhausted)}

_decode = msgspec.json.Decoder(Found | Failed).decode


async def read(source: str, options: Options, on_progress: OnProgress) -> Document:
    """The text of `source`, a path or an http(s) URL. Raises `GenerateError`."""
    path = local_path(source)
    if path is not None:
        there = await anyio.to_thread.run_sync(check_local, path, options.source_bytes, source, SOURCE_ERRORS)
        return await _document(there, source, options)
    match web_part(source):
        case ("", _):
            with tempfile.TemporaryDirectory(prefix="statushub-", dir=options.scratch) as folder:
                target = Path(folder, "source")
                await from_web(source, target, options, on_progress, SOURCE_ERRORS)
                return await _document(target, source, options)
    raise SourceUnreadable(f"{printable(source)} is neither a file nor an http(s) URL.", field="source")


async def _document(path: Path, source: str, options: Options) -> Document:
    found = await _extract(path, printable(source), options)
    if isinstance(found, Failed):
        raise _CLASSES.get(found.code, GenerateError)(found.message, field="source")
    return Document(text=found.text, title=found.title or title(source), pages=found.pages)


async def _extract(path: Path, name: str, options: Options) -> Found | Failed:
    limits = ProcessLimits(
        memory_bytes=options.memory_bytes,
        cpu_seconds=max(1, round(options.read_seconds)),
        file_bytes=FILE_BYTES,
        total_seconds=options.read_seconds,
        stall_seconds=options.read_seconds,
    )
    job = Job(path=os.fsdecode(path), name=name, pages=options.pages, characters=options.text_characters, limits=limits)
    # -P: the working folder is not searched for modules. The path is that of this process.
    command = [sys.executable, "-P", "-m", MODULE, msgspec.json.encode(job).decode()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(each or os.curdir) for each in sys.path)}
    with anyio.move_on_after(options.read_seconds):
        done = await anyio.run_process(command, check=False, stderr=DEVNULL, env=environment)
        try:
            return _decode(done.stdout)
        except msgspec.DecodeError:
            raise ResourcesExhausted(
                f"The process that reads {name} ended without an answer.", field="source"
            ) from None
    message = f"{name} takes longer than {options.read_seconds:g} s to read, which is the limit."
    raise ResourcesExhausted(message, field="source")
