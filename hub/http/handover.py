"""Hand-over: a connection leaves uvicorn's HTTP protocol for one of our own, as a WebSocket upgrade does.

An idle viewer then costs a socket and a viewer: the request, its task, its parser and its scope are freed.
The head of a stream is sent in the ordinary way, so middleware has seen it, but is held until the new protocol writes
it with its first frames. That of an upgrade is made without uvicorn, which would add `transfer-encoding` to it.

Private parts of uvicorn used here (`compatibility` checks them):

- `HttpToolsProtocol`: `on_headers_complete` makes the request, `cycle`, in whose scope the extension is put;
  `_unset_keepalive_if_required` stops the keep-alive timer; `parser` tells of an upgrade, and is dropped; `transport`
  goes to the new protocol; `connections` are the protocols that are told when the server stops.
- `RequestResponseCycle`: `transport` is what it writes to; `scope`; `chunked_encoding` and `disconnected` tell whether
  there is a stream to hand over; `response_started` and `response_complete` tell `run_asgi` that the response is not
  unfinished, and `message_event` wakes `receive`.
- `FlowControl`: `write_paused`, by way of the protocol's `flow`, is what the new protocol begins with.
"""

from __future__ import annotations

import asyncio
import weakref
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from statushub.hub.http.access_log import log_answer
from statushub.hub.http.close_delimited import CHUNKED_SINCE
from statushub.hub.http.connection import Connection
from statushub.hub.http.extension import EXTENSION, MakeProtocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Offer:
    """A `Take` and an `Upgrade`.

    Its references are weak: a request must be freed with its response, not by the garbage collector.
    """

    __slots__ = ("_cycle", "_protocol")

    chunked: Final = True

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

    def hand_over(self, cycle: RequestResponseCycle, make: MakeProtocol, head: bytes) -> None:
        """As `Take`, for the request of this cycle; where there is a `head`, as `Upgrade`."""
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
        rest = bytes(self.unparsed) if head else b""
        self.discard_pipelined()
        self.connections.discard(self)
        # The parser holds its callbacks, and with them this protocol: a cycle that only the collector would free.
        self.parser = None  # type: ignore[assignment]
        transport = self.transport
        if head:
            log_answer(cycle.scope, HTTPStatus.SWITCHING_PROTOCOLS)
        elif isinstance(held, Held):
            head = held.written
        protocol = make(self.connections, self.flow.write_paused, head)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest:
            protocol.data_received(rest)


def _transport_of(protocol: weakref.ref[HandoverProtocol]) -> asyncio.Transport | None:
    """The transport, which with TLS cannot be referenced weakly itself; None once the connection is gone."""
    there = protocol()
    return None if there is None else there.transport
