"""Hand-over: a connection leaves uvicorn's HTTP protocol for one of our own, as a WebSocket upgrade does.

An idle viewer then costs a socket and a viewer: the request, its task, its parser and its scope are freed.
The head of a stream is sent in the ordinary way, so middleware has seen it, but is held until the new protocol writes
it with its first frames. That of an upgrade is made without uvicorn, which would add `transfer-encoding` to it.

Where the application has a short way to its streams, one is asked for before a task is begun.

Private parts of uvicorn used here (`compatibility` checks them):

- `HttpToolsProtocol`: `on_headers_complete` makes the request, `cycle`, in whose scope the extension is put;
  `_start_asgi_task`, which is extended, begins to answer it, in a later iteration of `loop`;
  `_unset_keepalive_if_required` stops the keep-alive timer; `parser` tells of an upgrade, and is dropped; `transport`
  goes to the new protocol; `connections` are the protocols that are told when the server stops; where there is an
  `access_log`, an answer that uvicorn does not write is logged with `access_logger`.
- `RequestResponseCycle`: `transport` is what it writes to, and `default_headers` are in each head; `scope`;
  `keep_alive` and `more_body` tell whether the short way may be taken; `chunked_encoding` and `disconnected` tell
  whether there is a stream to hand over; `response_started` and `response_complete` tell `run_asgi` that the response
  is not unfinished, and `message_event` wakes `receive`; `on_response` holds the protocol.
- `FlowControl`: `write_paused`, by way of the protocol's `flow`, is what the new protocol begins with.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from statushub.hub.http.close_delimited import CHUNKED_SINCE
from statushub.hub.http.connection import Connection
from statushub.hub.http.extension import EXTENSION, MakeProtocol
from statushub.hub.http.shortcut import Opening, shortcut_of

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


CHUNKED: Final = (b"transfer-encoding", b"chunked")


class Offer:
    """A `Take` and an `Upgrade`.

    Its references are weak: a request must be freed with its response, not by the garbage collector.
    """

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: HandoverProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = weakref.ref(protocol)
        self._cycle = weakref.ref(cycle)

    def hold_head(self) -> None:
        cycle = self._cycle()
        if cycle is not None:
            cycle.transport = Held(cycle.transport)

    def __call__(self, make: MakeProtocol, head: bytes = b"") -> None:
        protocol, cycle = self._protocol(), self._cycle()
        if protocol is not None and cycle is not None:
            protocol.hand_over(cycle, make, head)


class Held(asyncio.Transport):
    """Keeps what a request writes, and passes its close on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self.written = b""
        self.real = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.real.is_closing()

    def close(self) -> None:
        self.real.close()


class HandoverProtocol(Connection):
    """A connection that offers `EXTENSION` to each of its requests. For uvicorn's `http` setting."""

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        cycle = self.cycle
        if cycle is not before:
            # The application's task starts in a later iteration of the event loop. Earlier versions are served the
            # portable way.
            take = Offer(self, cycle) if cycle.scope["http_version"] == CHUNKED_SINCE else None
            upgrade = take if self.parser.should_upgrade() else None
            transport = partial(_transport_of, weakref.ref(self))
            cycle.scope["extensions"] = {EXTENSION: {"take": take, "upgrade": upgrade, "transport": transport}}

    def hand_over(
        self,
        cycle: RequestResponseCycle,
        make: MakeProtocol,
        head: bytes,
        status: HTTPStatus = HTTPStatus.SWITCHING_PROTOCOLS,
    ) -> None:
        """As `Take`, for the request of this cycle; where there is a `head`, which is logged, as `Upgrade`."""
        held = cycle.transport
        if not (cycle.chunked_encoding or (head and not cycle.response_started) or cycle.disconnected):
            raise RuntimeError("a connection is handed over after the head of a chunked response, or with a head")
        cycle.transport = self.transport
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.scope["extensions"] = {}
        if cycle.disconnected or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._have_head()
        self.stop_watching()
        # What follows an upgrade is in the new protocol; what follows the request of a stream is discarded.
        rest = bytes(self.unparsed) if head and status == HTTPStatus.SWITCHING_PROTOCOLS else b""
        self.discard_pipelined()
        self.connections.discard(self)
        # The parser holds its callbacks, and with them this protocol: a cycle that only the collector would free.
        self.parser = None  # type: ignore[assignment]
        transport = self.transport
        if head:
            self._log(cycle, status)
        elif isinstance(held, Held):
            head = held.written
        protocol = make(self.connections, self.flow.write_paused, head)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest:
            protocol.data_received(rest)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        shortcut = shortcut_of(app, cycle.scope)
        if shortcut is None or cycle.scope["http_version"] != CHUNKED_SINCE or self.parser.should_upgrade():
            super()._start_asgi_task(cycle, app)
        else:
            # Once this read is parsed, as a task begins then, too.
            self.loop.call_soon(self._open, cycle, app, shortcut)

    def _open(self, cycle: RequestResponseCycle, app: Any, shortcut: Callable[[Any], Opening | None]) -> None:
        """Open the stream that is asked for, or else let the application answer."""
        plain = cycle.keep_alive and not (cycle.more_body or cycle.disconnected)
        opening = shortcut(cycle.scope) if plain else None
        if opening is None:
            super()._start_asgi_task(cycle, app)
            return
        # As uvicorn does after a task: it holds this protocol, which only the garbage collector would free.
        cycle.on_response = None  # type: ignore[assignment]
        headers, make = opening
        lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers, CHUNKED)]
        self.hand_over(cycle, make, b"".join((STATUS_LINE[HTTPStatus.OK], *lines, b"\r\n")), HTTPStatus.OK)

    def _log(self, cycle: RequestResponseCycle, status: HTTPStatus) -> None:
        """As uvicorn logs the answers that it writes."""
        if self.access_log:
            self.access_logger.info(
                '%s - "%s %s HTTP/%s" %d',
                get_client_addr(cycle.scope),
                cycle.scope["method"],
                get_path_with_query_string(cycle.scope),
                cycle.scope["http_version"],
                status,
            )


def _transport_of(protocol: weakref.ref[HandoverProtocol]) -> asyncio.Transport | None:
    """The transport, which with TLS cannot be referenced weakly itself; None once the connection is gone."""
    there = protocol()
    return None if there is None else there.transport
