"""Sources in file systems of fsspec, copied to a scratch file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec.registry import known_implementations

from statushub.producers.encode.errors import SOURCE_ERRORS, SourceNotFound, SourceUnreadable
from statushub.producers.encode.progress import OnProgress
from statushub.producers.sources.errors import cause
from statushub.producers.sources.web import CHUNK_BYTES, SLOW_BYTES

OF_THIS_PROCESS: Final = "memory"
"""The file system whose files other processes do not see."""

NAMES_OTHERS: Final = "reference"
"""The file system whose files name other files, on any host: a source could read with it what it must not (SSRF)."""


def needs_this_process(source: str) -> bool:
    """Whether only this process can read the fsspec URL `source`: a program may register file systems of its own."""
    protocols = _protocols(source)
    return OF_THIS_PROCESS in protocols or not protocols <= known_implementations.keys()


def from_filesystem(
    source: str,
    name: str,
    target: Path,
    limit: int,
    on_progress: OnProgress,
    on_chunk: Callable[[], None] = lambda: None,
) -> None:
    """Copy an fsspec URL (s3://, memory://, sftp:// …) of at most `limit` bytes to `target`.

    `name` is how errors call it. `on_chunk` is called after each read and may raise to stop the copy, `on_progress`
    after each `SLOW_BYTES`.
    Raises `SourceNotFound`, `SourceUnreadable`, `SourceTooLarge`; errors of the file system pass through.
    """
    if NAMES_OTHERS in _protocols(source):
        raise SourceUnreadable(f"{name} cannot be read: {NAMES_OTHERS}:// may name files on any host.", field="source")
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
        size = filesystem.info(path).get("size")
        SOURCE_ERRORS.check_size(size or 0, limit)
        with filesystem.open(path, "rb") as stream, target.open("wb") as file:
            _copy(stream, file, size, limit, on_progress, on_chunk)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SourceNotFound(f"{name} does not exist.", field="source") from cause(error, source)


def _copy(
    stream: Any, file: Any, size: int | None, limit: int, on_progress: OnProgress, on_chunk: Callable[[], None]
) -> None:
    done, told = 0, 0
    while chunk := stream.read(CHUNK_BYTES):
        file.write(chunk)
        done += len(chunk)
        SOURCE_ERRORS.check_size(done, limit)
        on_chunk()
        if done - told >= SLOW_BYTES:
            told = done
            on_progress(done / size if size else 0.0)


def _protocols(source: str) -> set[str]:
    return {link.partition("://")[0] for link in source.split("::")}
