"""Sources that are files: a local one stays where it is, that of any other file system is copied to a scratch file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec.registry import known_implementations

from statushub.producers.encode.errors import SourceNotFound, SourceTooLarge, SourceUnreadable, cause, reason
from statushub.producers.encode.location import printable
from statushub.producers.encode.progress import OnProgress

CHUNK_BYTES: Final = 1024 * 1024
"""Read at a time: large enough for throughput, small enough that a cancelled download ends within a moment."""

SLOW_BYTES: Final = 256 * 1024
"""Bytes that must arrive to count as progress. A source that sends a byte a second makes none."""

OF_THIS_PROCESS: Final = "memory"
"""The file system whose files other processes do not see."""

NAMES_OTHERS: Final = "reference"
"""The file system whose files name other files, on any host: a source could read with it what it must not (SSRF)."""


def check_local(path: Path, limit: int, source: str) -> Path:
    """Return `path`, which `source` names, if it is a readable file of at most `limit` bytes.

    Raises `SourceNotFound`, `SourceUnreadable`, `SourceTooLarge`.
    """
    name = printable(source)
    try:
        if not path.exists():
            raise SourceNotFound(f"{name} does not exist.", field="source")
        if not path.is_file():
            raise SourceUnreadable(f"{name} is not a file.", field="source")
        with path.open("rb") as file:
            file.read(1)
        check_size(path.stat().st_size, limit)
    except OSError as error:
        raise SourceUnreadable(f"{name} cannot be read: {reason(error)}.", field="source") from error
    return path


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
        check_size(size or 0, limit)
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
        check_size(done, limit)
        on_chunk()
        if done - told >= SLOW_BYTES:
            told = done
            on_progress(done / size if size else 0.0)


def _protocols(source: str) -> set[str]:
    return {link.partition("://")[0] for link in source.split("::")}


def check_size(size: int, limit: int) -> None:
    """Raise `SourceTooLarge` where `size` exceeds `limit`."""
    if size > limit:
        raise SourceTooLarge(f"The source has more than {limit} bytes, which is the limit.", field="source")
