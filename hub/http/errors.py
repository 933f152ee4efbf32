"""Errors as they are answered: their JSON, their headers, and the handlers that turn exceptions into them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from statushub.hub.http.response import json_response
from statushub.hub.http.state import hub_of
from statushub.hub.model.errors import (
    BadHandshake,
    BrokerUnavailable,
    Busy,
    DatabaseUnavailable,
    Forbidden,
    HubBehind,
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
    UpgradeRequired,
)

RETRY_AFTER_SECONDS: Final = 3
"""When to retry while the broker or the keys are away: long enough to let them start, too short to be seen as down."""

_VERSION: Final = {"Sec-WebSocket-Version": "13"}
"""The version of WebSocket that is spoken here (RFC 6455, section 4.4)."""

_CODES: Final[Mapping[int, str]] = {
    kind.status: kind.code
    for kind in (Forbidden, NotFound, MethodNotAllowed, UnsupportedMediaType, Malformed, TooLarge, Invalid)
}


class ErrorDetail(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is wrong."""

    code: Annotated[str, msgspec.Meta(description="Stable; for programs.", examples=["invalid"])]
    message: Annotated[str, msgspec.Meta(description="One sentence; for humans.")]
    field: (
        Annotated[
            str, msgspec.Meta(description="The part of the request that is wrong, such as `events[3].data.status`.")
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class Error(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of every answer of 400 and up."""

    error: ErrorDetail


def error_body(code: str, message: str, field: str | None = None) -> Error:
    """The body of an error; `field` is left out where it is None."""
    return Error(error=ErrorDetail(code=code, message=message, field=msgspec.UNSET if field is None else field))


def error_response(error: Exception) -> Response:
    """The answer to a request that failed with `error`. One that is not ours is `internal` and tells nothing more."""
    if isinstance(error, StatushubError) and error.status != 500:
        return _response(error.status, error_body(error.code, error.message, error.field), advice(error))
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "error")
        return _response(error.status_code, error_body(code, error.detail), error.headers)
    return _response(500, error_body("internal", "Something went wrong inside the hub; its log says what."), None)


def _response(status: int, body: Error, headers: Mapping[str, str] | None) -> Response:
    return json_response(body, status=status, headers=headers)


def advice(error: StatushubError) -> dict[str, str] | None:
    """The headers that tell a client what to do about it."""
    if isinstance(error, TooManyRequests | HubBehind | Busy):
        return {"Retry-After": str(math.ceil(error.retry_after) or 1)}
    if isinstance(error, BrokerUnavailable | KeysUnavailable | DatabaseUnavailable):
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if isinstance(error, UpgradeRequired):
        return {"Upgrade": "websocket", "Connection": "Upgrade", **_VERSION}
    if isinstance(error, BadHandshake):
        return _VERSION
    if isinstance(error, Unauthorized):
        # RFC 9110, section 11.6.1; for a page's fetch, browsers show no log-in window for this scheme.
        return {"WWW-Authenticate": 'Bearer realm="statushub"'}
    return None


async def refuse(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with its error; a WebSocket is not accepted, which is a 403 where the server cannot say more."""
    if scope["type"] == "http":
        await error_response(error)(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await WebSocket(scope, receive, send).send_denial_response(error_response(error))
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, StatushubError):
        if error.status == 500:
            # Not the request's fault: it ends as a crash, which is logged.
            raise error
        hub_of(request).counts.refuse(error)
    return error_response(error)


async def _crash(_request: Request, error: Exception) -> Response:
    return error_response(error)


exception_handlers: Final[Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    StatushubError: _refuse,
    HTTPException: _refuse,
    Exception: _crash,
}
"""For `Starlette(exception_handlers=…)`."""
