"""The results of works: the files in the folder of `--results-dir`, for those who may read their channel.

The folder holds `<tenant>/<channel>/<content id>/…` (`model.results`), so that the path of a file says who may read it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from statushub.hub.http.client import identify
from statushub.hub.http.route import Route
from statushub.hub.http.state import config_of
from statushub.hub.model.errors import ConfigError, Invalid, NotFound
from statushub.hub.model.results import name_of
from statushub.hub.settings import SETTINGS

PREFIX: Final = "results/"
"""The path of the results, relative to the hub's."""

TYPES: Final[Mapping[str, str]] = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".ts": "video/mp2t",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
    ".vtt": "text/vtt; charset=utf-8",
    ".srt": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
"""The types that a browser shows. Any other file is downloaded: HTML or SVG would run as a page of the hub."""

UNKNOWN_TYPE: Final = "application/octet-stream"

HEADERS: Final = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_STATIC: Final = StaticFiles()
"""Compares the tags of conditional requests."""


def prepare(folder: str) -> None:
    """Create the folder of results where it is missing. Raises `ConfigError` where it cannot be used."""
    try:
        Path(folder).mkdir(exist_ok=True)
        os.scandir(folder).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        label = SETTINGS["results_dir"].label
        raise ConfigError(f"{label}: {folder!r} cannot be used: {reason}", field="results_dir") from error


async def result(request: Request) -> Response:
    """A file of a content's results, whole or in ranges."""
    identity = await identify(request)
    settings, parameters = config_of(request), request.path_params
    if not settings.results_dir:
        raise NotFound("this hub serves no results: --results-dir is not set")
    folders = (parameters["channel_id"], parameters["content_id"])
    try:
        channel, _ = map(name_of, folders)
    except Invalid:
        raise _missing() from None
    identity.check_read(channel, "channel_id")
    parts = (identity.tenant, *folders, *parameters["path"].split("/"))
    found = await anyio.to_thread.run_sync(_find, settings.results_dir, parts)
    if found is None:
        raise _missing()
    path, facts = found
    return _answer(request, path, facts)


def _find(root: str, parts: tuple[str, ...]) -> tuple[Path, os.stat_result] | None:
    """The file and its facts; None where it is missing, hidden, or reached over a symbolic link."""
    if not all(part and not part.startswith(".") and "\\" not in part and "\0" not in part for part in parts):
        return None
    path = Path(root).resolve().joinpath(*parts)
    try:
        if path.resolve() != path:
            return None
        facts = path.stat()
    except (OSError, RuntimeError, ValueError):
        return None
    return (path, facts) if stat.S_ISREG(facts.st_mode) and os.access(path, os.R_OK) else None


def _answer(request: Request, path: Path, facts: os.stat_result) -> Response:
    media_type = TYPES.get(path.suffix.lower())
    response = FileResponse(
        path,
        headers=HEADERS,
        media_type=media_type or UNKNOWN_TYPE,
        filename=None if media_type else path.name,
        stat_result=facts,
    )
    if _STATIC.is_not_modified(response.headers, request.headers):
        return NotModifiedResponse(response.headers)
    return response


def _missing() -> NotFound:
    return NotFound("there is no such result, or it is not a file")


routes: Final = [Route("/results/{channel_id}/{content_id}/{path:path}", result)]
