"""What comes in: bodies, queries and names, read within their limits."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request

from hub.errors import Invalid, Malformed, StatushubError, TooLarge, UnsupportedMediaType
from hub.hub import Hub
from hub.model import check_name

QUERY_BYTES: Final = 4096
"""Longest query string. The longest sensible one, 64 channel names of ordinary length, has about 2 KiB."""

POLL_BODY_BYTES: Final = 256 * 1024
"""Largest body of a batch poll. 100 ids of 128 characters, each escaped as a surrogate pair, have 151 KiB."""

PUBLISH_BODY_BYTES: Final = 8 * 1024 * 1024
"""Largest body of a publish. 1,000 events of a few hundred bytes have under 1 MiB; parsing 8 MiB holds the
event loop for a few tens of milliseconds, which the streams can bear."""

_CONTENT_TYPE = re.compile(r'application/json *(; *charset="?utf-?8"? *)?', re.IGNORECASE)
_AT = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)

_PLAIN = re.compile(r"[A-Za-z0-9_.:/-]{1,128}(?:\n[A-Za-z0-9_.:/-]{1,128})*+")
"""Names, a line each, that need no closer look: those of nearly everybody, checked ten times as fast."""

T = TypeVar("T")


def hub_of(request: Request) -> Hub:
    """The hub that answers this request."""
    hub: Hub = request.app.state.hub
    return hub


def channel_of(request: Request) -> str:
    """The channel in the request's path. Raises `Invalid` naming `channel_id`."""
    return check_name(request.path_params["channel_id"], "channel_id")


def check_names(names: list[str], field: str) -> None:
    """Raise `Invalid` naming the place, such as `content_ids[3]`, of the first name that is not legal."""
    lines = "\n".join(names)
    if lines.count("\n") == len(names) - 1 and _PLAIN.fullmatch(lines):
        return
    for place, name in enumerate(names):
        check_name(name, f"{field}[{place}]")


def query_value(request: Request, name: str) -> str | None:
    """The query parameter `name`, or None. Others are ignored; one given twice is `Invalid`."""
    length = len(request.scope["query_string"])
    if length > QUERY_BYTES:
        raise TooLarge(f"The query string has {length} bytes; at most {QUERY_BYTES} are allowed", field="query")
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise Invalid(f"{name} is given {len(values)} times", field=name)
    return values[0] if values else None


def placed(error: Invalid, field: str) -> Invalid:
    """The same error about the same thing, which is found at `field`, such as `events[3].data.status`."""
    return type(error)(error.message.replace(str(error.field), field, 1), field=field)


async def read_json(request: Request, decoder: msgspec.json.Decoder[T], *, limit: int) -> T:
    """The request's JSON body, as `decoder` types it; `limit` is its largest size in bytes.

    Raises `UnsupportedMediaType`, `TooLarge` before more than `limit` bytes are in memory, `Malformed`
    where the body is no JSON of the decoder's root type, and `Invalid` naming the field of a wrong type.
    """
    declared = request.headers.get("content-type", "")
    if not _CONTENT_TYPE.fullmatch(declared.strip()):
        raise UnsupportedMediaType(f"The body must be application/json in UTF-8, not {declared[:100]!r}")
    body = await _read(request, limit)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise Malformed("The body is nested too deeply") from error


async def while_connected(request: Request, answer: Coroutine[Any, Any, T]) -> T | None:
    """What `answer` gives, or None where the client goes before it does, which cancels it. Raises its errors."""
    found: T | None = None
    failure: StatushubError | None = None

    async def wait_for_the_end() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_the_end)
        try:
            found = await answer
        except StatushubError as error:
            # Raised out there, where the task group does not wrap it into an exception group.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return found


async def _read(request: Request, limit: int) -> bytes:
    if int(request.headers.get("content-length") or 0) > limit:
        raise _oversized(limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _oversized(limit)
    except ClientDisconnect as error:
        raise Malformed("The body ended early") from error
    return bytes(body)


def _oversized(limit: int) -> TooLarge:
    return TooLarge(f"The body may have at most {limit} bytes", field="body")


def _invalid(said: str) -> Invalid:
    """What msgspec said, with its path turned into ours: "… - at `$.events[3].data`"."""
    at = _AT.fullmatch(said)
    message, path = (at[1], at[2].removeprefix(".")) if at else (said, "")
    for pattern, verdict in ((_UNKNOWN, "is not a field of this request"), (_MISSING, "is missing")):
        if named := pattern.fullmatch(message):
            field = f"{path}.{named[1]}" if path else named[1]
            return Invalid(f"{field} {verdict}", field=field)
    if not path:
        return Malformed(f"The body is no JSON object: {message}")
    return Invalid(f"{path}: {message}", field=path)
