"""Streams that own their connection: the protocol of a socket that was handed over."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.replicas.filtered import Filtered
from statushub.hub.replicas.reader import VOID
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import Scope
from statushub.hub.viewers.pushing import PushingViewer
from statushub.hub.viewers.session import Host, Session, retry_ms
from statushub.hub.viewers.viewer import State
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import CHUNKED_SSE

WRITE_BUFFER: Final = 16 * 1024
"""Bytes a transport may hold before its viewer is stalled; the kernel's buffer holds more than this anyway."""


FAREWELL_SECONDS: Final = 5.0
"""For a client to read the last frame of its stream: longer than a lost packet takes to be sent again."""


class PushViewer(PushingViewer, Session, asyncio.Protocol):
    """A stream: one viewer that owns its connection."""

    __slots__ = ("_connections", "_head", "_stalled_at", "address", "heartbeat_slot", "identity")

    format: StreamFormat

    def __init__(
        self,
        host: Host,
        scope: Scope | Sequence[Replica],
        since: Cursor | None,
        format: StreamFormat = CHUNKED_SSE,
        *,
        connections: set[object],
        stalled: bool = False,
        head: bytes = b"",
        heartbeat: float | None = None,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        """`connections` is the server's set, whose members it shuts down; `stalled` tells that the socket is full.
        `head` is written before the first frame, and with it."""
        super().__init__(host, scope, since, format, stalled=stalled, heartbeat=heartbeat)
        self.identity = identity
        self.address = address
        self.heartbeat_slot = 0
        self._connections = connections
        self._head = head
        # A number of its own only while it is stalled: there are many viewers.
        self._stalled_at = time.monotonic() if stalled else 0.0

    # What the hub calls

    def beat(self, heartbeat: bytes, stalled_before: float) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.state is State.LIVE and isinstance(self.scope, Filtered):
            # It may not be told of anything for long; a cursor that stands still could fall below the floor.
            transport.write(self.format.heartbeat_at(Cursor(epoch=self.epoch or VOID, offset=self.position)))
        elif self.state is not State.STALLED:
            transport.write(heartbeat)
        elif self._stalled_at < stalled_before:
            self.host.counts.stall_timeouts += 1
            transport.abort()

    def close(self, retry_ms: tuple[int, int]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._withdraw()
        if self.state is State.STALLED:
            # The farewell could not be read before what is already stuck in the socket.
            transport.abort()
        else:
            transport.write(self.format.drain(random.randint(*retry_ms)) + self.format.end)
            transport.close()
            # It would wait for a client that reads nothing.
            asyncio.get_running_loop().call_later(FAREWELL_SECONDS, transport.abort)
        self.state = State.CLOSED

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._transport = transport
        self._connections.add(self)
        self.host.attach(self)
        self.opened()
        head, self._head = self._head, b""
        self.advance(transport, [head, self.format.retry(retry_ms())])
        if self.host.draining:
            # The hub began to stop while the head was on its way.
            self.shutdown()

    def eof_received(self) -> None:
        """A half-closed connection has no reader: a close that waits for its buffer would wait for ever."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.discard(self)
        self.host.detach(self)
        self.state = State.CLOSED

    def data_received(self, data: bytes) -> None:
        """What a client sends after its request has no meaning here."""

    def pause_writing(self) -> None:
        self.host.counts.stalls += 1
        self.stall()
        self._stalled_at = time.monotonic()

    def resume_writing(self) -> None:
        self.resume()
