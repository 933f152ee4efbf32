"""A connection of the web server, within its limits.

uvicorn's httptools protocol reads and keeps what a client sends without limit; this one ends what has none. `outlet`
does the same for what a client does not read.

Private parts of uvicorn used here (`compatibility` checks them):

- `HttpToolsProtocol`: extended are `shutdown`, the parser's callbacks `on_message_begin`, `on_url`, `on_header`,
  `on_headers_complete`, `on_body` and `on_message_complete`, and, since answers go out in order, `_start_asgi_task`
  and `on_response_complete`; replaced are `send_400_response` and `_unsupported_upgrade_warning`. Read are
  `transport`, `flow`, `loop`, `parser`, `scheme`, `cycle` (the request that was parsed last) and `pipeline` (the
  requests that wait for the answer before theirs).
- `RequestResponseCycle`: `response_started`, `response_complete` and `more_body` tell how far a request is;
  `chunked_encoding` is False for an answer of a known length; `keep_alive` is cleared to close after its answer;
  `disconnected` and `message_event` tell it that its client is gone; `scope` has the request's version.
- `FlowControl`: `resume_reading` is overridden; `pause_reading`, `read_paused` and `write_paused` are used.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from httptools import HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl

from statushub.hub.config import HEAD_BYTES, REQUEST_SECONDS
from statushub.hub.http.close_delimited import CHUNKED_SINCE, CloseDelimited
from statushub.hub.http.errors import error_body
from statushub.hub.http.outlet import LINGER_SECONDS, Outlet
from statushub.hub.http.pace import Pace
from statushub.hub.model.errors import HeadTooLarge, Malformed, RequestTimeout, StatushubError

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

PIECE_BYTES: Final = 4096
"""Bytes parsed in one go. A pipelined request costs two hundred times its size once it is parsed, and one read may
bring 14,000 of the shortest; this many bytes hold 227, which cost a megabyte. The rest waits unparsed."""

UNPARSED_BYTES: Final = 64 * 1024
"""Maximum bytes buffered for pipelined requests, plus one read. Beyond it reading pauses until earlier requests are
answered, and until then a disconnect goes unnoticed."""


class _Flow(FlowControl):
    """uvicorn's flow control, which would resume reading after every answer, even while the buffer is full."""

    def __init__(self, transport: asyncio.Transport, unparsed: bytearray) -> None:
        super().__init__(transport)
        self._unparsed = unparsed

    def resume_reading(self) -> None:
        if len(self._unparsed) < UNPARSED_BYTES:
            super().resume_reading()


class Connection(Outlet):
    """uvicorn's httptools protocol with limits on everything that a client may send.

    A head that is not complete after `head_bytes` or `head_seconds` is refused, and so are more than `head_bytes` of
    chunk extensions and trailers in a row. Bytes that are not clearly a request end the connection. A client that
    pipelines requests faster than they are answered, or than it reads the answers, meets backpressure: reading pauses.
    A body that is still arriving `head_seconds` after the answer ends the connection.
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
        self._current: RequestResponseCycle | None = None
        self._discarding = False
        self._body_open = False
        self._body_due: asyncio.TimerHandle | None = None
        self._answer_unread = False
        self._upgrade_end: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.unparsed)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        self._have_body()
        if self._current is not None and not self._current.response_complete:
            # uvicorn tells only the request that was parsed last, which may be one that waits behind this one.
            self._current.disconnected = True
            self._current.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if self._discarding:
                return
            if self.unparsed or self.pipeline or self._answer_unread or self._unanswered():
                self.unparsed += data[start:]
                if len(self.unparsed) >= UNPARSED_BYTES:
                    self.flow.pause_reading()
                return
            piece = data[start : start + PIECE_BYTES]
            self._framing_received += len(piece)
            super().data_received(piece)
            if self._upgrade_end is not None:
                # In another protocol, or discarded where that is refused.
                self.unparsed += data[start + self._upgrade_end :]
                self._upgrade_end = None
                return
            if self._head_due is None and self._idle():
                # Empty lines before a request begin none, and stop the timer of an idle connection.
                self._expect_head()
            if self._framing_received > self.head_bytes:
                self._refuse(HeadTooLarge(f"The request's head may have at most {self.head_bytes} bytes", limit="head"))

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """A client that has stopped sending gets the rest of an answer that has begun, but for one without an end."""
        cycle = self._current
        if cycle is None or cycle.response_complete or cycle.chunked_encoding is not False or self.scheme != "http":
            return super().eof_received()
        cycle.keep_alive = False
        return True

    def on_response_complete(self) -> None:
        if self.flow.write_paused and not self.transport.is_closing():
            # No further request is read before this answer is.
            self._answer_unread = True
            self.flow.pause_reading()
            return
        super().on_response_complete()
        if self._body_open and self.cycle.response_complete:
            self._body_due = self.loop.call_later(self.head_seconds, self._body_is_late)
        if self.unparsed and not self.pipeline and not self.transport.is_closing():
            data = bytes(self.unparsed)
            self.unparsed.clear()
            self.flow.resume_reading()
            self.data_received(data)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer_unread:
            self._answer_unread = False
            self.on_response_complete()

    def _unanswered(self) -> bool:
        """Whether the request that was parsed last is complete and waits for its answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _idle(self) -> bool:
        """Whether every request has arrived and was answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_complete and not self._body_open

    def discard_pipelined(self) -> None:
        """Discard what was sent after the current request, and resume reading for the next protocol."""
        self.pipeline.clear()
        self.unparsed.clear()
        self.flow.resume_reading()

    def on_url(self, url: bytes) -> None:
        if b"#" in url:
            # Not allowed (RFC 9112, section 3.2); uvicorn would cut it off with what follows. The parser reports it.
            raise ValueError("a request's target has no fragment")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are dropped: they come after everything that a header decides, and a proxy may have checked only
        # headers (RFC 9110, section 6.5.1).
        if self._head_due is not None:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._framing_received = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing_received = 0
        self._have_body()
        super().on_message_complete()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_due is None:
            self._expect_head()
        self._head_begun = True

    def send_400_response(self, msg: str) -> None:
        self._refuse(Malformed("Not a valid HTTP request"))

    def on_headers_complete(self) -> None:
        self._have_head()
        self._body_open = True
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self.parser.should_upgrade():
            # What follows is in the protocol that is asked for, whether or not it is spoken here.
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._current = cycle
        paced: Any = Pace(app, cycle, self)
        framed: Any = paced if cycle.scope["http_version"] >= CHUNKED_SINCE else CloseDelimited(paced, cycle)
        super()._start_asgi_task(cycle, framed)

    def _unsupported_upgrade_warning(self) -> None:
        """No warning: a server may ignore an upgrade and answer in HTTP/1.1 (RFC 9110, section 7.8).

        uvicorn calls this while it handles the parser's exception, whose argument is where the request ends.
        """
        error = sys.exception()
        if isinstance(error, HttpParserUpgrade):
            self._upgrade_end = error.args[0]

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
            # The rest may have arrived, and waits unparsed behind earlier requests.
            self._head_due = self.loop.call_later(self.head_seconds, self._head_is_late)
        elif self._head_begun:
            message = f"The request's head did not arrive within {self.head_seconds:g} s"
            self._refuse(RequestTimeout(message, limit="request_timeout"))
        else:
            # Browsers open connections in advance; there is no request that could be answered.
            self.transport.close()

    def _have_body(self) -> None:
        self._body_open = False
        if self._body_due is not None:
            self._body_due.cancel()
            self._body_due = None

    def _body_is_late(self) -> None:
        if (hub := self.hosting) is not None:
            hub.counts.refusals["request_timeout"] += 1
        self.transport.close()

    def _refuse(self, error: StatushubError) -> None:
        """Answer what never became a request, and close. There are no CORS headers: the origin is not known yet."""
        self._have_head()
        if self.transport.is_closing():
            return
        if (hub := self.hosting) is not None:
            hub.counts.refuse(error)
        cycle: RequestResponseCycle | None = self.cycle
        if self._unanswered():
            # Complete requests are answered. What followed them is not: its answer could be taken for one of theirs.
            self.cycle.keep_alive = False
            self._discarding = True
            return
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            # Within a response, an answer would be taken for a part of it.
            self.transport.write(_refusal(error))
        if cycle is not None:
            # The request's own body is at fault: the application must not wait for it.
            cycle.disconnected = True
            cycle.message_event.set()
        # Closing with unread bytes sends a reset, which can overtake the answer: they are read and discarded.
        self._discarding = True
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """As uvicorn's; also sends the hub's viewers a farewell."""
        if (hub := self.hosting) is not None:
            hub.drain()
        super().shutdown()
        self.hurry()


def _refusal(error: StatushubError) -> bytes:
    body = msgspec.json.encode(error_body(error.code, error.message))
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
