"""Streams on servers without the hand-over: the same viewers, which write to ASGI's `send`.

A stream leaves the application's layers once they have sent its head. From then on it costs one pair of coroutines,
and each message one call of the server's own `send`, whatever the layers add to a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from statushub.hub.http.extension import MakeProtocol, abort, taker

LEFT: Final = "statushub.left"
"""In the scope of a request whose stream leaves the layers: what makes its protocol."""

BUFFERED: Final = 16 * 1024
"""Bytes that wait for `send` before the protocol is paused, unless it sets another limit."""


class PortableTake:
    """A `Take` that any server has: the stream begins where `Portable` is, around the layers."""

    chunked: Final = False

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def hold_head(self) -> None:
        """The head is the server's."""

    def __call__(self, make: MakeProtocol) -> None:
        self._scope[LEFT] = make


class Portable:
    """The application, with the streams that leave its layers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or taker(scope) is not None:
            # Without a coroutine of its own: there are thousands of polls a second.
            return self._app(scope, receive, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        make = scope.pop(LEFT, None)
        if make is not None and not await Body(send).serve(make, receive):
            await abort(scope)


class Body(asyncio.Transport):
    """A transport that writes to the body of a response.

    What is written while the server is busy is sent in one message. A client that is gone, and an abort, end `serve`,
    which runs in the task of the request.
    """

    __slots__ = (
        "_closing",
        "_lost",
        "_most",
        "_paused",
        "_protocol",
        "_send",
        "_sending",
        "_task",
        "_unsent",
        "_waiter",
    )

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send
        self._most = BUFFERED
        self._unsent = b""
        self._closing = False
        self._lost = False
        self._paused = False
        self._sending = False
        self._protocol: Any = None
        self._task: asyncio.Task[Any] | None = None
        # While there is nothing to send.
        self._waiter: asyncio.Future[None] | None = None

    async def serve(self, make: MakeProtocol, receive: Receive) -> bool:
        """Serve the protocol that `make` makes, until either side ends; returns whether the body is complete."""
        self._task = asyncio.current_task()
        protocol = self._protocol = make(set(), False, b"")
        protocol.connection_made(self)
        # Ended by this function, whose caller has no task group: one for each of thousands of streams.
        watch = asyncio.get_running_loop().create_task(self._watch(receive))
        try:
            return await self._drain()
        except asyncio.CancelledError:
            if self._lost and self._task is not None and not self._task.uncancel():
                return False
            raise
        finally:
            self._lost = self._closing = True
            self._task = self._protocol = None
            watch.cancel()
            protocol.connection_lost(None)

    async def _drain(self) -> bool:
        """Send what is written; returns True once the last of it is sent, False where the client is gone."""
        loop = asyncio.get_running_loop()
        while not self._lost:
            data, last = self._unsent, self._closing
            if not (data or last):
                self._waiter = loop.create_future()
                await self._waiter
                continue
            self._unsent, self._sending = b"", True
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
            self._sending = False
            if last:
                return True
            if self._paused and not self._unsent:
                self._paused = False
                self._protocol.resume_writing()
        return False

    async def _watch(self, receive: Receive) -> None:
        """Wait until the client is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self.abort()

    # What the protocol calls

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._most = BUFFERED if high is None else high

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        # Usually the very bytes that all viewers share.
        self._unsent = self._unsent + data if self._unsent else bytes(data)
        self._wake()
        # What waits only for its turn is no sign of a slow client.
        if self._sending and len(self._unsent) > self._most and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """End the body once all is sent."""
        self._closing = True
        self._wake()

    def abort(self) -> None:
        """End without sending what is left, even where the server waits for the client."""
        if not self._lost:
            self._lost = self._closing = True
            self._unsent = b""
            if self._sending and self._task is not None:
                self._task.cancel()
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        # The task of the request may have been cancelled, and not have run since.
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
