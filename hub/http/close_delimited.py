"""Answers to clients that know no chunks: where a body's length is unknown, it ends with its connection.

That is HTTP/1.0, which many proxies still speak to the servers behind them; uvicorn would answer it in chunks.

Private parts of uvicorn used here (`compatibility` checks them):

- `RequestResponseCycle`: `send` frames a body in chunks where `chunked_encoding` is None when it writes the head and
  the head has no length; without chunks it writes the body as it is, of which it counts `expected_content_length`;
  `scope` has the request's method; `waiting_for_100_continue` tells that it would answer `Expect`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

from starlette.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

CHUNKED_SINCE: Final = "1.1"
"""The HTTP version that has chunked bodies."""

BODILESS: Final = (204, 304)
"""Statuses whose answers have no body, and so no framing."""


class CloseDelimited:
    """Wraps the application for one request of an earlier version (RFC 9112, section 6.3).

    uvicorn closes the connection after the answer to each of them.
    """

    __slots__ = ("_app", "_cycle", "_send", "_unbounded")

    def __init__(self, app: Any, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._unbounded = False
        # A server ignores the expectation (RFC 9110, section 10.1.1): the client knows no interim answer.
        cycle.waiting_for_100_continue = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[Any]:
        self._send = send
        result: Awaitable[Any] = self._app(scope, receive, self.send)
        return result

    async def send(self, message: Message) -> None:
        """As ASGI's `send`."""
        cycle = self._cycle
        if message["type"] == "http.response.start":
            self._unbounded = (
                cycle.scope["method"] != "HEAD"
                and message["status"] not in BODILESS
                and all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            )
            if self._unbounded:
                cycle.chunked_encoding = False
            await self._send(message)
            if self._unbounded:
                # As in an answer in chunks; False is for a known length.
                cycle.chunked_encoding = None
            return
        if self._unbounded:
            cycle.expected_content_length = len(message.get("body", b""))
        await self._send(message)
