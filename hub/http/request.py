"""What comes in: bodies, queries and names, read within their limits."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.tokens import Authenticator
from statushub.hub.config import Config
from statushub.hub.hub import Hub
from statushub.hub.model.errors import (
    Forbidden,
    Invalid,
    Malformed,
    RequestTimeout,
    StatushubError,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from statushub.hub.model.names import check_name

QUERY_BYTES: Final = 4096
"""Longest query string. The longest sensible one, 64 channel names of ordinary length, has about 2 KiB."""

POLL_BODY_BYTES: Final = 256 * 1024
"""Largest body of a batch poll. 100 ids of 128 characters, each escaped as a surrogate pair, have 151 KiB."""

_CONTENT_TYPE = re.compile(r'application/json *(; *charset="?utf-?8"? *)?', re.IGNORECASE)
_AT = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)

_PLAIN = re.compile(r"(?!/)[A-Za-z0-9_.:/-]{1,128}+(?<!/)(?:\n(?!/)[A-Za-z0-9_.:/-]{1,128}+(?<!/))*+")
"""Names, a line each, that need no closer look: those of nearly everybody, checked ten times as fast."""

T = TypeVar("T")


async def identify(request: Request) -> Identity:
    """Who sent the request. Raises `Unauthorized`, `Forbidden` and `KeysUnavailable` as `Authenticator.identify`."""
    auth: Authenticator = request.app.state.auth
    identity = await auth.identify(request)
    if not hub_of(request).doorkeeper.trusts(identity):
        raise Unauthorized("the token has been revoked, or has expired")
    return identity


def address_of(request: Request) -> str:
    """Where the request comes from, as far as proxies that are believed tell; empty where nobody knows."""
    # The same addresses come again and again, and each viewer keeps one.
    return sys.intern(request.client.host) if request.client else ""


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


def placed(error: Forbidden | Invalid, field: str) -> Forbidden | Invalid:
    """The same error about the same thing, which is found at `field`, such as `events[3].data.status`."""
    return type(error)(error.message.replace(str(error.field), field, 1), field=field, limit=error.limit)


async def read_json(request: Request, decoder: msgspec.json.Decoder[T], *, limit: int | None = None) -> T:
    """The request's JSON body, as `decoder` types it; `limit` is its largest size in bytes, by default `max_body`.

    Raises `UnsupportedMediaType`, `TooLarge` before more than `limit` bytes are in memory, `RequestTimeout`,
    `Malformed` where the body is no JSON of the decoder's root type, and `Invalid` naming the field of a wrong
    type.
    """
    declared = request.headers.get("content-type", "")
    if not _CONTENT_TYPE.fullmatch(declared.strip()):
        raise UnsupportedMediaType(f"The body must be application/json in UTF-8, not {declared[:100]!r}")
    settings: Config = request.app.state.config
    body = await _read(request, min(limit or settings.max_body, settings.max_body), settings.request_timeout)
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


async def _read(request: Request, limit: int, seconds: float) -> bytes:
    # By its digits first: HTTP allows any number of noughts, and Python reads no number of more than 4,300 digits.
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
