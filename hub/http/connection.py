"""A connection of the web server, within its limits.

Rests on uvicorn 0.54's httptools protocol, which reads whatever comes, and keeps it, without limit.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from statushub.hub.config import HEAD_BYTES, REQUEST_SECONDS
from statushub.hub.metrics import Counts
from statushub.hub.model.errors import HeadTooLarge, Malformed, RequestTimeout, StatushubError

LINGER_SECONDS: Final = 1.0
"""How long a connection is still read after it was refused, so that its client sees why."""

PIECE_BYTES: Final = 4096
"""Parsed in one go. A request that waits for the answer before its own costs two hundred times its size, and one read
may bring 14,000 of the shortest: these many bytes hold 227, a megabyte. The rest stays what it is until its turn."""

UNPARSED_BYTES: Final = 64 * 1024
"""Kept of what waits for its turn, and a read more. Beyond it a client is read no further until it has its answers,
and until then nobody notices that it goes."""


class Hosting(Protocol):
    """What the server's state may hold as `hub`: told what happens to connections that it does not see."""

    counts: Counts

    def drain(self) -> None:
        """Bid every viewer farewell. Called as often as there are connections when the server stops."""


class _Flow(FlowControl):
    """uvicorn's, which reads on with every answer, whether or not there is room for more requests."""

    def __init__(self, transport: asyncio.Transport, unparsed: bytearray) -> None:
        super().__init__(transport)
        self._unparsed = unparsed

    def resume_reading(self) -> None:
        if len(self._unparsed) < UNPARSED_BYTES:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """uvicorn's httptools protocol, with an end to everything that a client may leave without one.

    A head that is not whole after `head_bytes` or `head_seconds` is refused, and so are more than `head_bytes` of
    chunk extensions and trailers in a row. What cannot be told to be a request ends the connection. Whoever sends
    requests faster than they are answered is read no further until they are.
    """

    def __init__(
        self, *args: Any, head_bytes: int = HEAD_BYTES, head_seconds: float = REQUEST_SECONDS, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.head_bytes = head_bytes
        self.head_seconds = head_seconds
        self.unparsed = bytearray()
        self._framing_received = 0
        self._head_due: asyncio.TimerHandle | None = None
        self._head_begun = False
        self._answered: RequestResponseCycle | None = None
        self._deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.unparsed)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        if self._answered is not None and not self._answered.response_complete:
            # uvicorn tells the request that came last alone, which may be another that waits behind this one.
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if self._deaf:
                return
            if self.unparsed or self.pipeline or self._unanswered():
                self.unparsed += data[start:]
                if len(self.unparsed) >= UNPARSED_BYTES:
                    self.flow.pause_reading()
                return
            piece = data[start : start + PIECE_BYTES]
            self._framing_received += len(piece)
            super().data_received(piece)
            if self._framing_received > self.head_bytes:
                self._refuse(HeadTooLarge(f"The request's head may have at most {self.head_bytes} bytes", limit="head"))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.unparsed and not self.pipeline and not self.transport.is_closing():
            data = bytes(self.unparsed)
            self.unparsed.clear()
            self.flow.resume_reading()
            self.data_received(data)

    def _unanswered(self) -> bool:
        """Whether the last request that was parsed came whole, and waits for its answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def forget_what_follows(self) -> None:
        """Forget what was sent after the request under way, and read on: it is somebody else who reads it."""
        self.pipeline.clear()
        self.unparsed.clear()
        self.flow.resume_reading()

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
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self.parser.should_upgrade():
            # To something that nobody here speaks, and what follows may be in it: nothing does.
            self.cycle.keep_alive = False

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
        if self.unparsed or self.flow.read_paused:
            # The rest of it may be there, and waits for the answers before its own.
            self._head_due = self.loop.call_later(self.head_seconds, self._head_is_late)
        elif self._head_begun:
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
        if self._unanswered():
            # Those that came whole are answered; what followed them is not, and nobody could tell whose answer it was.
            self.cycle.keep_alive = False
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


def _refusal(error: StatushubError) -> bytes:
    body = msgspec.json.encode({"error": {"code": error.code, "message": error.message}})
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
