"""JSON bodies, read within their limits."""

from __future__ import annotations

import asyncio
import re
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from statushub.hub.http.state import config_of
from statushub.hub.model.errors import Invalid, Malformed, RequestTimeout, TooLarge, UnsupportedMediaType

POLL_BODY_BYTES: Final = 256 * 1024
"""Largest body of a batch poll. 100 ids of 128 characters, each escaped as a surrogate pair, have 151 KiB."""

_PLAIN = re.compile(r'(text/plain *(; *charset="?utf-?8"? *)?)?', re.IGNORECASE)
_CONTENT_TYPE = re.compile(r'application/json *(; *charset="?utf-?8"? *)?', re.IGNORECASE)

# How msgspec says what is wrong.
_AT = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)

T = TypeVar("T")


async def read_json(request: Request, decoder: msgspec.json.Decoder[T], *, limit: int | None = None) -> T:
    """The request's JSON body, as `decoder` types it; `limit` is its largest size in bytes, by default `max_body`.

    Raises `UnsupportedMediaType`, `TooLarge` before more than `limit` bytes are in memory, `RequestTimeout`,
    `Malformed` where the body is not JSON of the decoder's root type, and `Invalid` naming the field of a wrong
    type.
    """
    body = await _json(request, limit)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise Malformed("The body is nested too deeply") from error


async def _json(request: Request, limit: int | None) -> bytes:
    declared = request.headers.get("content-type", "")
    if not _CONTENT_TYPE.fullmatch(declared.strip()):
        raise UnsupportedMediaType(f"The body must be application/json in UTF-8, not {declared[:100]!r}")
    settings = config_of(request)
    return await _read(request, min(limit or settings.max_body, settings.max_body), settings.request_timeout)


async def read_plain(request: Request, limit: int) -> bytes:
    """The request's body, as JSON in UTF-8 or as what pages send that name no type of it: as `text/plain`.

    Raises as `read_json`. Since browsers send such a body for any page without asking the hub first, its caller has to
    check the origin of `is_plain` ones.
    """
    if is_plain(request):
        settings = config_of(request)
        return await _read(request, min(limit, settings.max_body), settings.request_timeout)
    return await _json(request, limit)


def is_plain(request: Request) -> bool:
    """Whether the body has a type that browsers send for any page."""
    return _PLAIN.fullmatch(request.headers.get("content-type", "").strip()) is not None


async def _read(request: Request, limit: int, seconds: float) -> bytes:
    # Compared by its digits first: HTTP allows any number of leading zeros, and Python refuses to parse a number of
    # more than 4,300 digits.
    declared = request.headers.get("content-length", "").lstrip("0")
    if len(declared) > len(str(limit)) or int(declared or 0) > limit:
        raise _oversized(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _oversized(limit)
    except ClientDisconnect as error:
        raise Malformed("The body ended early") from error
    except TimeoutError as error:
        raise RequestTimeout(
            f"The body did not arrive within {seconds:g} s", field="body", limit="request_timeout"
        ) from error
    return bytes(body)


def _oversized(limit: int) -> TooLarge:
    return TooLarge(f"The body may have at most {limit} bytes", field="body", limit="body")


def _invalid(message: str) -> Invalid:
    """The error for msgspec's message, with its path, "… - at `$.events[3].data`", as our field."""
    at = _AT.fullmatch(message)
    problem, path = (at[1], at[2].removeprefix(".")) if at else (message, "")
    for pattern, verdict in ((_UNKNOWN, "is not a field of this request"), (_MISSING, "is missing")):
        if named := pattern.fullmatch(problem):
            field = f"{path}.{named[1]}" if path else named[1]
            return Invalid(f"{field} {verdict}", field=field)
    if not path:
        return Malformed(f"The body is not a JSON object: {problem}")
    return Invalid(f"{path}: {problem}", field=path)
