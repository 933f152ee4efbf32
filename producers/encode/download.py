"""Bring the source onto this machine: local files stay where they are, others are streamed to a scratch file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import anyio
import fsspec
import httpx

from statushub.producers.encode.errors import SourceNotFound, SourceTooLarge, SourceUnreadable, reason, shown
from statushub.producers.encode.progress import Tick

CHUNK_BYTES: Final = 1024 * 1024
"""Read at a time: large enough to be quick, small enough that a cancelled download ends at once."""

HTTP_TIMEOUT: Final = 30.0
"""Seconds a server may stay silent before the source counts as unreadable."""


def local_path(source: str) -> Path | None:
    """The path that `source` names on this machine; None where it is the URL of something else."""
    if source.startswith("file://"):
        return Path(unquote(urlsplit(source).path))
    return None if "://" in source else Path(source)


def title(source: str) -> str:
    """The source's name, as a person would call it: the file name without its folder and query."""
    path = local_path(source)
    name = path.name if path else unquote(urlsplit(source).path).rstrip("/").rpartition("/")[2]
    return shown(name) or shown(source)


def check_local(path: Path, limit: int) -> Path:
    """Return `path` if it is a readable file of at most `limit` bytes.

    Raises `SourceNotFound`, `SourceUnreadable`, `SourceTooLarge`.
    """
    try:
        if not path.is_file():
            kind = "is not a file" if path.exists() else "does not exist"
            raise (SourceUnreadable if path.exists() else SourceNotFound)(f"{shown(str(path))} {kind}.", field="source")
        with path.open("rb") as file:
            file.read(1)
        _check_size(path.stat().st_size, limit)
    except OSError as error:
        raise SourceUnreadable(f"{shown(str(path))} cannot be read: {reason(error)}.", field="source") from error
    return path


async def from_http(source: str, target: Path, limit: int, tick: Tick) -> Path:
    """Stream an http(s) URL to `target`.

    Raises `SourceNotFound` on 404 and 410, `SourceTooLarge`, and `SourceUnreadable` on all else.
    """
    try:
        async with (
            httpx.AsyncClient(timeout=HTTP_TIMEOUT, follow_redirects=True) as client,
            client.stream("GET", source) as response,
        ):
            _check_answer(response.status_code, source)
            await _store(response, target, limit, tick)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceUnreadable(f"{shown(source)} cannot be read: {reason(error)}.", field="source") from error
    return target


def from_filesystem(source: str, target: Path, limit: int, tick: Tick) -> Path:
    """Stream what any fsspec URL names (s3://, memory://, sftp:// …) to `target`.

    Raises `SourceNotFound`, `SourceTooLarge`, `SourceUnreadable`.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
        size = filesystem.info(path).get("size")
        _check_size(size or 0, limit)
        with filesystem.open(path, "rb") as stream, target.open("wb") as file:
            _copy(stream, file, size, limit, tick)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SourceNotFound(f"{shown(source)} does not exist.", field="source") from error
    return target


def _copy(stream: Any, file: Any, size: int | None, limit: int, tick: Tick) -> None:
    done = 0
    while chunk := stream.read(CHUNK_BYTES):
        file.write(chunk)
        done += len(chunk)
        _check_size(done, limit)
        tick(done / size if size else 0.0)


async def _store(response: httpx.Response, target: Path, limit: int, tick: Tick) -> None:
    size, done = int(response.headers.get("content-length", 0)), 0
    _check_size(size, limit)
    async with await anyio.open_file(target, "wb") as file:
        async for chunk in response.aiter_bytes(CHUNK_BYTES):
            await file.write(chunk)
            done += len(chunk)
            _check_size(done, limit)
            # What is counted was decompressed; httpx itself counts what came over the wire.
            tick(response.num_bytes_downloaded / size if size else 0.0)


def _check_answer(status: int, source: str) -> None:
    if status in (404, 410):
        raise SourceNotFound(f"{shown(source)} does not exist: its server answered {status}.", field="source")
    if status != 200:
        raise SourceUnreadable(f"{shown(source)} cannot be read: its server answered {status}.", field="source")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise SourceTooLarge(f"The source has over {limit} bytes, which is the limit.", field="source")
