"""Sockets that own their connection: the protocol of a WebSocket that was handed over."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.replicas.scope import Scope
from statushub.hub.viewers.push import FAREWELL_SECONDS, WRITE_BUFFER
from statushub.hub.viewers.pushing import PushingViewer
from statushub.hub.viewers.session import RETRY_MS, Host
from statushub.hub.viewers.socket import FLOODED, TOO_MANY, Opening, Socket
from statushub.hub.wire.format import MessageFormat
from statushub.hub.wire.frames import FrameReader, closing
from statushub.hub.wire.websocket import FRAMES

PIECE_BYTES: Final = 4096
"""Bytes parsed in one go: a frame that is parsed costs fifty times the six bytes of the shortest, and a read may bring
40,000 of those."""

LINGER_SECONDS: Final = 1.0
"""For a client of TLS, where no half can be closed, to read the last frame and stop sending: longer than a round trip
around the world."""


class PushSocket(Socket[PushingViewer], asyncio.Protocol):
    """A connection over which viewers write. It parses what its client sends, and keeps no parser between messages."""

    __slots__ = ("_connections", "_first", "_head", "_reader", "_stalled", "_stalled_at", "_transport", "_unread")

    def __init__(
        self,
        host: Host,
        first: tuple[Scope, Opening] | None,
        *,
        connections: set[object],
        stalled: bool = False,
        head: bytes = b"",
        heartbeat: float | None = None,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        """`first` is the channel that it follows unasked, and how. `connections` is the server's set, whose
        members it shuts down; `stalled` tells that the socket is full. `head` is written before anything else."""
        super().__init__(host, FRAMES, heartbeat=heartbeat, identity=identity, address=address)
        self._connections = connections
        self._first = first
        self._head = head
        self._stalled = stalled
        self._stalled_at = time.monotonic() if stalled else 0.0
        self._transport: asyncio.Transport | None = None
        self._reader: FrameReader | None = None
        self._unread = b""

    @property
    def transport(self) -> asyncio.Transport | None:
        """Its connection, while it is open."""
        return self._transport

    # What the hub calls

    def view(self, scope: Scope, format: MessageFormat, since: Cursor | None) -> PushingViewer:
        return PushingViewer(
            self.host,
            scope,
            since,
            format,
            stalled=self._stalled,
            heartbeat=self.heartbeat,
            transport=self._transport,
        )

    def say(self, answers: list[bytes], made: list[PushingViewer]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._say(self._transport, answers, made)

    def beat(self, heartbeat: bytes, stalled_before: float) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not self._stalled:
            transport.write(heartbeat)
        elif self._stalled_at < stalled_before:
            self.host.counts.stall_timeouts += 1
            transport.abort()

    def end(self, retry_ms: tuple[int, int], code: int, reason: str) -> None:
        self._close(self.format.drain(random.randint(*retry_ms)) + closing(code, reason))

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._transport = transport
        self._connections.add(self)
        head, self._head = self._head, b""
        if self._first is None:
            self.host.attach(self)
            transport.write(head)
        else:
            first, self._first = self._first, None
            answers, made = self.begin(*first)
            self.host.attach(self)
            self._say(transport, [head, *answers], made)
        if self.host.draining:
            # The hub began to stop while the upgrade was on its way.
            self.shutdown()

    def eof_received(self) -> None:
        """A client that sends nothing more cannot close the socket properly, and need not be waited for."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            transport = self._transport
            if transport is None or transport.is_closing():
                return
            if self._stalled:
                # The answers would pile up.
                transport.pause_reading()
                self._unread += data[start:]
                return
            self._receive(transport, data[start : start + PIECE_BYTES])

    def pause_writing(self) -> None:
        self.host.counts.stalls += 1
        self._stalled = True
        self._stalled_at = time.monotonic()
        for viewer in self.viewers:
            viewer.stall()

    def resume_writing(self) -> None:
        self._stalled = False
        for viewer in tuple(self.viewers):
            if not self._stalled:
                viewer.resume()
        if self._transport is not None and self._unread and not self._stalled:
            unread, self._unread = self._unread, b""
            self._transport.resume_reading()
            self.data_received(unread)

    def _receive(self, transport: asyncio.Transport, data: bytes) -> None:
        reader = self._reader or FrameReader()
        messages, output = reader.receive(data), reader.output()
        if output and not reader.ended:
            transport.write(output)
        for message in messages:
            if not self.admit():
                self.end(RETRY_MS, TOO_MANY, FLOODED)
                return
            if message is not None:
                self._say(transport, *self.hear(message))
        if reader.ended:
            self._close(output, linger=not reader.left)
            return
        self._reader = None if reader.idle else reader

    def _say(self, transport: asyncio.Transport, answers: list[bytes], made: list[PushingViewer]) -> None:
        """Write the answers, and let the viewers that were made catch up: one immediately, many one after another."""
        if len(made) == 1 and not self._stalled:
            made[0].advance(transport, answers)
            return
        transport.write(b"".join(answers))
        for viewer in made:
            self.host.scheduler.later(viewer.catch_up)

    def _close(self, last: bytes, *, linger: bool = True) -> None:
        """Leave the hub. The client has some time to read `last` and to close the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._leave()
        if self._stalled:
            # It could not be read before what is already stuck in the socket.
            transport.abort()
            return
        farewell = Farewell(self._connections, last, linger=linger)
        transport.set_protocol(farewell)
        farewell.connection_made(transport)

    def _leave(self) -> None:
        if self._transport is not None:
            self._transport = None
            self._connections.discard(self)
            self.host.detach(self)


class Farewell(asyncio.Protocol):
    """The end of a connection: `last` is sent, and what its client sends is discarded until it closes, or
    `FAREWELL_SECONDS` are over.

    A connection that is closed while the client sends is reset, which can overtake the last frame.
    """

    __slots__ = ("_connections", "_last", "_linger", "transport")

    def __init__(self, connections: set[object], last: bytes, *, linger: bool = True) -> None:
        """`connections` is the server's set; `linger` tells that the client may still send."""
        self._connections = connections
        self._last = last
        self._linger = linger
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._connections.add(self)
        loop = asyncio.get_running_loop()
        transport.write(self._last)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            loop.call_later(LINGER_SECONDS if self._linger else 0.0, transport.close)
        loop.call_later(FAREWELL_SECONDS, transport.abort)

    def shutdown(self) -> None:
        """The server stops; it has said its last."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._connections.discard(self)
