"""The pace of an answer: a large body is sent in pieces, each once the connection has drained.

Private parts of uvicorn used here (`compatibility` checks them):

- `RequestResponseCycle`: `send` waits, before it writes, until the connection has drained; `scope` has the request's
  method; `disconnected` tells that the client is gone.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

PIECE_BYTES: Final = 64 * 1024
"""Bytes of a body that are passed to the transport in one go: what a fast link takes in a millisecond or two, and all
that the transport holds for a client that reads nothing."""


class Sender(Protocol):
    """The connection that a body is sent on."""

    def hold_back(self, size: int) -> None:
        """Count `size` bytes beside those that were passed to the transport."""


class Pace:
    """Wraps the application for one request. What is not larger than a piece is passed on as it is."""

    __slots__ = ("_app", "_cycle", "_send", "_sender")

    def __init__(self, app: Any, cycle: RequestResponseCycle, sender: Sender) -> None:
        self._app = app
        self._cycle = cycle
        self._sender = sender

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[Any]:
        self._send = send
        result: Awaitable[Any] = self._app(scope, receive, self.send)
        return result

    def send(self, message: Message) -> Awaitable[None]:
        """As ASGI's `send`; returns uvicorn's own awaitable where the message is small."""
        if len(message.get("body", b"")) > PIECE_BYTES and self._cycle.scope["method"] != "HEAD":
            return self._pieces(message)
        return self._send(message)

    async def _pieces(self, message: Message) -> None:
        body, more = memoryview(message["body"]), message.get("more_body", False)
        for start in range(0, len(body), PIECE_BYTES):
            if self._cycle.disconnected:
                break
            left = len(body) - start
            self._sender.hold_back(left)
            piece = body[start : start + PIECE_BYTES]
            await self._send({**message, "body": piece, "more_body": more or left > PIECE_BYTES})
        self._sender.hold_back(0)
