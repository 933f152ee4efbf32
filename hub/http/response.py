"""What goes out: JSON, conditional answers to polls, and errors."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import (
    BrokerUnavailable,
    Forbidden,
    Invalid,
    KeysUnavailable,
    Malformed,
    MethodNotAllowed,
    NotFound,
    StatushubError,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
)

RETRY_AFTER_SECONDS: Final = 3
"""When to ask again where the broker is away: long enough to let it start, too short to be seen as down."""

_ENTITY_TAG = re.compile(r'"([^"]*)"|(\*)')
"""A tag in a list of them, whether weak (`W/` before it) or not."""

_CODES: Final[Mapping[int, str]] = {
    kind.status: kind.code
    for kind in (Forbidden, NotFound, MethodNotAllowed, UnsupportedMediaType, Malformed, TooLarge, Invalid)
}

_encoder = msgspec.json.Encoder()


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON; whatever msgspec can write, `msgspec.Raw` included."""
    return Response(_encoder.encode(value), status, headers, "application/json")


def poll_response(request: Request, cursor: Cursor, age: float, answer: Callable[[], object]) -> Response:
    """The answer to a poll, tagged with the cursor of what was read; 304 where the client holds it.

    `age` is in seconds; `answer` makes the body and is not called for a 304. If-None-Match compares weakly
    (RFC 9110, section 13.1.2), since proxies that compress weaken tags.
    """
    headers = {"ETag": f'"{cursor}"', "Cache-Control": "no-cache", "Vary": "Authorization"}
    if age > 0:
        # Rounded up: what is stale must not claim to be fresh.
        headers["Age"] = str(math.ceil(age))
    if str(cursor) in (held := _held(request)) or "*" in held:
        return Response(None, 304, headers)
    return json_response(answer(), headers=headers)


def error_response(error: Exception) -> Response:
    """`{"error":{"code","message","field"?}}`. What is no error of ours is `internal` and says nothing more."""
    if isinstance(error, StatushubError) and error.status != 500:
        return _error(error.status, error.code, error.message, error.field, _advice(error))
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "error")
        return _error(error.status_code, code, error.detail, None, error.headers)
    return _error(500, "internal", "Something went wrong inside the hub; its log says what.", None, None)


def _advice(error: StatushubError) -> dict[str, str] | None:
    """The headers that tell a client what to do about it."""
    if isinstance(error, BrokerUnavailable | KeysUnavailable):
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(math.ceil(error.retry_after) or 1)}
    if isinstance(error, Unauthorized):
        # RFC 9110, section 11.6.1; a page's own fetch shows no log-in window for this scheme.
        return {"WWW-Authenticate": 'Bearer realm="statushub"'}
    return None


def _error(status: int, code: str, message: str, field: str | None, headers: Mapping[str, str] | None) -> Response:
    said = {"code": code, "message": message}
    if field is not None:
        said["field"] = field
    return json_response({"error": said}, status=status, headers=headers)


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, StatushubError):
        if error.status == 500:
            # No fault of the request: let it end as a crash, which is logged.
            raise error
        hub: Hub = request.app.state.hub
        hub.counts.refuse(error)
    return error_response(error)


async def _crash(_request: Request, error: Exception) -> Response:
    return error_response(error)


exception_handlers: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    StatushubError: _refuse,
    HTTPException: _refuse,
    Exception: _crash,
}
"""For `Starlette(exception_handlers=…)`."""


def _held(request: Request) -> set[str]:
    """The entity tags in If-None-Match; `*` for any."""
    lines = request.headers.getlist("if-none-match")
    return {tag or star for line in lines for tag, star in _ENTITY_TAG.findall(line)}
