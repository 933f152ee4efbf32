"""Make the source a local file: a local source stays where it is, any other is streamed to a scratch file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import anyio
import fsspec
import httpx

from statushub.producers.encode.errors import SourceNotFound, SourceTooLarge, SourceUnreadable, printable, reason
from statushub.producers.encode.progress import OnProgress

CHUNK_BYTES: Final = 1024 * 1024
"""Read at a time: large enough for throughput, small enough that a cancelled download ends within a moment."""

HTTP_TIMEOUT: Final = 30.0
"""Seconds a server may send nothing before the source counts as unreadable."""


def local_path(source: str) -> Path | None:
    """The local path that `source` names; None where it is a URL of another kind than file://."""
    if source.startswith("file://"):
        return Path(unquote(urlsplit(source).path))
    return None if "://" in source else Path(source)


def title(source: str) -> str:
    """The source's file name, without its folder and query."""
    path = local_path(source)
    name = path.name if path else unquote(urlsplit(source).path).rstrip("/").rpartition("/")[2]
    return printable(name) or printable(source)


def check_local(path: Path, limit: int) -> Path:
    """Return `path` if it is a readable file of at most `limit` bytes.

    Raises `SourceNotFound`, `SourceUnreadable`, `SourceTooLarge`.
    """
    name = printable(str(path))
    try:
        if not path.exists():
            raise SourceNotFound(f"{name} does not exist.", field="source")
        if not path.is_file():
            raise SourceUnreadable(f"{name} is not a file.", field="source")
        with path.open("rb") as file:
            file.read(1)
        _check_size(path.stat().st_size, limit)
    except OSError as error:
        raise SourceUnreadable(f"{name} cannot be read: {reason(error)}.", field="source") from error
    return path


async def from_http(source: str, target: Path, limit: int, on_progress: OnProgress) -> Path:
    """Stream an http(s) URL of at most `limit` bytes to `target`.

    Raises `SourceNotFound` on 404 and 410, `SourceTooLarge`, and `SourceUnreadable` on any other failure.
    """
    try:
        async with (
            httpx.AsyncClient(timeout=HTTP_TIMEOUT, follow_redirects=True) as client,
            client.stream("GET", source) as response,
        ):
            _check_status(response.status_code, source)
            await _store(response, target, limit, on_progress)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceUnreadable(f"{printable(source)} cannot be read: {reason(error)}.", field="source") from error
    return target


def from_filesystem(source: str, target: Path, limit: int, on_progress: OnProgress) -> Path:
    """Stream an fsspec URL (s3://, memory://, sftp:// …) of at most `limit` bytes to `target`.

    Raises `SourceNotFound`, `SourceTooLarge`; errors of the file system pass through.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
        size = filesystem.info(path).get("size")
        _check_size(size or 0, limit)
        with filesystem.open(path, "rb") as stream, target.open("wb") as file:
            _copy(stream, file, size, limit, on_progress)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SourceNotFound(f"{printable(source)} does not exist.", field="source") from error
    return target


def _copy(stream: Any, file: Any, size: int | None, limit: int, on_progress: OnProgress) -> None:
    done = 0
    while chunk := stream.read(CHUNK_BYTES):
        file.write(chunk)
        done += len(chunk)
        _check_size(done, limit)
        on_progress(done / size if size else 0.0)


async def _store(response: httpx.Response, target: Path, limit: int, on_progress: OnProgress) -> None:
    size, done = int(response.headers.get("content-length", 0)), 0
    _check_size(size, limit)
    async with await anyio.open_file(target, "wb") as file:
        async for chunk in response.aiter_bytes(CHUNK_BYTES):
            await file.write(chunk)
            done += len(chunk)
            _check_size(done, limit)
            # `done` counts decompressed bytes, content-length those on the wire.
            on_progress(response.num_bytes_downloaded / size if size else 0.0)


def _check_status(status: int, source: str) -> None:
    if status in (404, 410):
        raise SourceNotFound(f"{printable(source)} does not exist: its server answered {status}.", field="source")
    if status != 200:
        raise SourceUnreadable(f"{printable(source)} cannot be read: its server answered {status}.", field="source")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise SourceTooLarge(f"The source has more than {limit} bytes, which is the limit.", field="source")
