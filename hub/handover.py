"""Hand-over: a connection leaves uvicorn's HTTP protocol for one of our own, as a WebSocket upgrade does.

An idle viewer then costs a socket and a viewer: the request, its task, its parser and its scope are freed.
The response head has gone out through the ordinary `send` by then, so middleware had its say.

Rests on uvicorn 0.54's httptools protocol: `RequestResponseCycle.response_complete` tells `run_asgi` that
there is nothing left to complain of, and `ServerState.connections` is whom a shutdown is announced to.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hub.config import HEAD_BYTES, REQUEST_SECONDS
from hub.errors import HeadTooLarge, Malformed, RequestTimeout, StatushubError
from hub.metrics import Counts

EXTENSION: Final = "statushub.handover"
"""The ASGI extension, in `scope["extensions"]`: `"take"` is a `Take` or None, `"transport"` a weak reference."""

CHUNKED_SINCE: Final = "1.1"
"""The HTTP version that has chunked bodies; earlier ones go the portable way."""

LINGER_SECONDS: Final = 1.0
"""How long a connection is still read after it was refused, so that its client sees why."""

PIPELINED_REQUESTS: Final = 64
"""Most requests of one connection that wait for the answer before theirs. Browsers send none; and what one read brings
would be 14,000 of them, each of which costs two hundred times its size."""

MakeProtocol = Callable[[set[Any], bool], asyncio.Protocol]
"""Given the server's set of connections and whether writing is paused, makes the connection's new protocol."""


class Take(Protocol):
    """What `EXTENSION` offers."""

    def __call__(self, make: MakeProtocol) -> None:
        """Hand the connection over, after the head of a chunked response was sent and before any body.

        The protocol that `make` returns has its `connection_made` called here, and `shutdown()` called when
        the server stops. Does nothing where the client is gone already. The caller sends no more.
        """


def taker(scope: MutableMapping[str, Any]) -> Take | None:
    """The hand-over that this request's server offers, or None."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    return extension["take"] if extension else None


class Hosting(Protocol):
    """What the server's state may hold as `hub`: told what happens to connections that it does not see."""

    counts: Counts

    def drain(self) -> None:
        """Bid every viewer farewell. Called as often as there are connections when the server stops."""


class Offer:
    """A `Take`. Holds nobody: a request must be freed with its response, not with the next collection."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: HandoverProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = weakref.ref(protocol)
        self._cycle = weakref.ref(cycle)

    def __call__(self, make: MakeProtocol) -> None:
        protocol, cycle = self._protocol(), self._cycle()
        if protocol is not None and cycle is not None:
            protocol.hand_over(cycle, make)


async def abort(scope: MutableMapping[str, Any]) -> None:
    """Cut the request's connection, where the server lets us: a close would wait for what is stuck in it."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension and (transport := extension["transport"]()):
        transport.abort()
        # The connection's end is told in the loop's next turn.
        await asyncio.sleep(0)


class HandoverProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol, which offers `EXTENSION` to each request. For uvicorn's `http` setting.

    A head that is not whole after `head_bytes` or `head_seconds` is refused, and so are more than `head_bytes` of
    chunk extensions and trailers in a row. uvicorn would wait for all of it, and keep what it has, without limit.
    """

    def __init__(
        self, *args: Any, head_bytes: int = HEAD_BYTES, head_seconds: float = REQUEST_SECONDS, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.head_bytes = head_bytes
        self.head_seconds = head_seconds
        self._framing_received = 0
        self._head_due: asyncio.TimerHandle | None = None
        self._head_begun = False
        self._answered: RequestResponseCycle | None = None
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        if self._answered is not None and not self._answered.response_complete:
            # uvicorn tells the request that came last alone, which may be another that waits behind this one.
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._framing_received += len(data)
        super().data_received(data)
        if self._framing_received > self.head_bytes:
            self._refuse(HeadTooLarge(f"The request's head may have at most {self.head_bytes} bytes", limit="head"))

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer comes after all that a header decides, and a proxy may have looked at headers alone
        # (RFC 9110, section 6.5.1).
        if self._head_due is not None:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._framing_received = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing_received = 0
        super().on_message_complete()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_due is None:
            self._expect_head()
        self._head_begun = True

    def send_400_response(self, msg: str) -> None:
        self._refuse(Malformed("This is no HTTP request"))

    def on_headers_complete(self) -> None:
        self._have_head()
        if len(self.pipeline) >= PIPELINED_REQUESTS:
            raise Malformed(f"More than {PIPELINED_REQUESTS} requests were sent before the answer to the first")
        before = self.cycle
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not before:
            if self.parser.should_upgrade():
                # To something that nobody here speaks, and what follows may be in it: nothing does.
                cycle.keep_alive = False
            # The task that runs the application starts in a later turn of the loop.
            take = Offer(self, cycle) if cycle.scope["http_version"] == CHUNKED_SINCE else None
            cycle.scope["extensions"] = {EXTENSION: {"take": take, "transport": weakref.ref(self.transport)}}

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: whoever asks for another protocol is answered in this one (RFC 9110, section 7.8)."""

    def _expect_head(self) -> None:
        self._framing_received = 0
        self._head_due = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _have_head(self) -> None:
        self._framing_received = 0
        self._head_begun = False
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _head_is_late(self) -> None:
        if self._head_begun:
            message = f"The request's head did not arrive within {self.head_seconds:g} s"
            self._refuse(RequestTimeout(message, limit="request_timeout"))
        else:
            # A browser opens connections in advance; it has asked for nothing that could be answered.
            self.transport.close()

    def _refuse(self, error: StatushubError) -> None:
        """Answer what never became a request, and close. Nobody knows yet which page asks, if any."""
        self._have_head()
        if self.transport.is_closing():
            return
        hub: Hosting | None = self.app_state.get("hub")
        if hub is not None:
            hub.counts.refuse(error)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            # Those that came whole are answered; what followed them is not, and nobody could tell whose answer it was.
            cycle.keep_alive = False
            self._deaf = True
            return
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            # In the midst of a response an answer would be taken for a part of it.
            self.transport.write(_refusal(error))
        if cycle is not None:
            # Its body went wrong: it has been answered here, or is not.
            cycle.disconnected = True
            cycle.message_event.set()
        # A close with bytes unread is a reset, which can overtake the answer: they are read, and thrown away.
        self._deaf = True
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """As uvicorn's, but the hub's viewers are bid farewell, and nobody waits for a client that takes nothing."""
        hub: Hosting | None = self.app_state.get("hub")
        if hub is not None:
            hub.drain()
        super().shutdown()
        if self.flow.write_paused:
            self.transport.abort()

    def hand_over(self, cycle: RequestResponseCycle, make: MakeProtocol) -> None:
        """As `Take`, for the request of this cycle."""
        if not cycle.chunked_encoding and not cycle.disconnected:
            raise RuntimeError("a connection is handed over after the head of a chunked response")
        cycle.response_complete = True
        cycle.message_event.set()
        cycle.scope["extensions"] = {}
        if cycle.disconnected or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._have_head()
        self.flow.resume_reading()
        self.connections.discard(self)
        self.pipeline.clear()
        # The parser calls back, and would keep this protocol until a collection.
        self.parser = None  # type: ignore[assignment]
        protocol = make(self.connections, self.flow.write_paused)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)


def _refusal(error: StatushubError) -> bytes:
    body = msgspec.json.encode({"error": {"code": error.code, "message": error.message}})
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
