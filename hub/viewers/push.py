"""Viewers that own their connection: the protocol of a socket that was handed over."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.replicas.reader import Resync
from statushub.hub.replicas.replica import Replica
from statushub.hub.viewers.viewer import CATCH_UP_BYTES, RETRY_MS, Host, State, Viewer
from statushub.hub.wire.format import WireFormat
from statushub.hub.wire.sse import CHUNKED_SSE

WRITE_BUFFER: Final = 16 * 1024
"""Bytes a transport may hold before its viewer is stalled; the kernel's buffer holds more than this anyway."""


FAREWELL_SECONDS: Final = 5.0
"""For a client to read the last frame of its stream: longer than a lost packet takes to be sent again."""


class PushViewer(Viewer, asyncio.Protocol):
    """Written to while it is live; otherwise it waits until it can catch up."""

    __slots__ = ("_connections", "_stalled_at", "_transport", "_waits")

    def __init__(
        self,
        host: Host,
        replicas: Sequence[Replica],
        since: Cursor | None,
        format: WireFormat = CHUNKED_SSE,
        *,
        connections: set[object],
        stalled: bool = False,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        """`connections` is the server's set, whose members it shuts down; `stalled` tells that the socket is full."""
        state = State.STALLED if stalled else State.BEHIND
        super().__init__(host, replicas, since, format, identity=identity, address=address, state=state)
        self._connections = connections
        self._stalled_at = time.monotonic()
        self._transport: asyncio.Transport | None = None
        # Whether the next step of its catch-up is scheduled.
        self._waits = False

    # What the hub calls

    def join(self) -> None:
        for replica in self.replicas:
            replica.subscribers.add(self)

    def leave(self) -> None:
        self.pause()
        super().leave()

    def pause(self) -> None:
        if self.state is State.LIVE:
            self.state = State.BEHIND
            self.offset = self.position
            for replica in self.replicas:
                replica.remove_writer(self.format, self)

    def catch_up(self) -> None:
        transport = self._transport
        if self.state is State.BEHIND and not self._waits and transport is not None and not transport.is_closing():
            self._advance(transport, [])

    def beat(self, heartbeat: bytes, stalled_before: float) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.state is not State.STALLED:
            transport.write(heartbeat)
        elif self._stalled_at < stalled_before:
            transport.abort()

    def close(self, retry_ms: tuple[int, int]) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.pause()
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
        self._advance(transport, [self.format.retry(random.randint(*RETRY_MS))])
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
        self.pause()
        self.state = State.STALLED
        self._stalled_at = time.monotonic()

    def resume_writing(self) -> None:
        if self.state is State.STALLED:
            self.state = State.BEHIND
            self.catch_up()

    def _advance(self, transport: asyncio.Transport, frames: list[bytes]) -> None:
        """Write `frames`, then what was missed: all of it, and be live, or a part, and go on in another step.

        In one write, since uvloop makes a system call of each immediately.
        """
        outcome, events = self.take(CATCH_UP_BYTES)
        if outcome is Resync.RESET:
            self.ready = False
            frames.append(self.format.reset())
        elif outcome is Resync.BEHIND:
            # A client that hears nothing would give the stream up.
            frames.append(self.format.heartbeat())
        if events:
            frames += self.host.encodings.encode(self.format, self.epoch or "", events)
        live = not outcome.waits and self.finished and self.host.live(self.replicas)
        if live and not self.ready:
            self.ready = True
            frames.append(self.format.ready(self.cursor, self.host.heartbeat_interval))
        if frames:
            transport.write(b"".join(frames))
        if self.state is not State.BEHIND:
            return
        if live:
            self.state = State.LIVE
            for replica in self.replicas:
                replica.add_writer(self.format, self, transport.write)
        elif not outcome.waits and not self.finished:
            self._waits = True
            self.host.scheduler.later(self._go_on)

    def _go_on(self) -> None:
        self._waits = False
        self.catch_up()
