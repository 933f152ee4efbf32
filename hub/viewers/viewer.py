"""One open stream: where it stands, and how it is written to.

No viewer has a queue. A viewer that is *live* gets each frame as it comes. One that cannot be written to,
because its socket is full or a replica of its is being repaired, is *behind*: it remembers how far it got,
gets nothing, and later catches up from the replicas' state, which skips what has been superseded meanwhile.
The ids that a viewer is sent always grow until a `reset`.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.replicas.replica import Entry, Replica, merged
from statushub.hub.wire import sse

if TYPE_CHECKING:
    from statushub.hub.hub import Hub

RETRY_MS: Final = (1_500, 4_000)
"""Least and most milliseconds a client is told to wait before it reconnects: a restart is no stampede."""

DRAIN_MS: Final = 500
"""Least milliseconds before a viewer of a hub that goes comes back; the most are the hub's grace, because all of
its viewers leave at once."""

WRITE_BUFFER: Final = 16 * 1024
"""Bytes a transport may hold before its viewer is behind; the kernel's buffer holds more than this anyway."""

CATCH_UP_BYTES: Final = 64 * 1024
"""Bytes written in one go while catching up, before looking whether the socket still takes them."""

VOID: Final = ""
"""The epoch of a cursor that no clock ever gave out: whoever holds it is reset."""


class Viewer(ABC):
    """A place in the events of some channels of one tenant; `identity` looks, from `address`."""

    __slots__ = ("address", "epoch", "hub", "identity", "offset", "ready", "replicas")

    def __init__(
        self,
        hub: Hub,
        replicas: Sequence[Replica],
        since: Cursor | None,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        self.hub = hub
        self.identity = identity
        self.address = address
        self.replicas = replicas
        self.epoch = since.epoch if since else None
        self.offset = since.offset if since else 0
        self.ready = False

    @property
    def position(self) -> int:
        """How far the tenant's clock is known here, for this viewer's channels."""
        return max(replica.last for replica in self.replicas)

    @property
    def cursor(self) -> Cursor:
        """Where this viewer stands."""
        return Cursor(epoch=self.epoch or VOID, offset=self.offset)

    def orient(self) -> bool | None:
        """Bring the cursor into the replicas' epoch.

        Returns True where that made it void and the client must be told to reset, False where it holds,
        and None where neither can be said yet.
        """
        epoch = self.replicas[0].epoch
        if not self.hub.readable(self.replicas) or epoch is None:
            return None
        if self.epoch == epoch:
            if self.offset <= self.position:
                return False
            self.hub.recovery.verify(self.replicas[0])
            return None
        void = self.epoch is not None
        self.epoch, self.offset, self.ready = epoch, 0, False
        self.hub.counts.resets += void
        return void

    def backlog(self) -> list[Entry]:
        """What this viewer has not been sent, in offset order."""
        return merged(self.replicas, self.offset)

    @abstractmethod
    def hold(self) -> None:
        """A replica of this viewer's is no longer live: be behind."""

    @abstractmethod
    def catch_up(self) -> None:
        """There may be something to send, and it may be possible to send it."""

    def shutdown(self) -> None:
        """The hub is going: say so, and close. uvicorn calls this, too, for everything in its set of connections."""
        self.close(self.hub.drain_ms)

    def dismiss(self) -> None:
        """Whoever looks may not any longer: close. They come back soon, and are told why they may not."""
        self.hub.counts.dismissals += 1
        self.close(RETRY_MS)

    @abstractmethod
    def close(self, retry_ms: tuple[int, int]) -> None:
        """Say farewell, and that one may come back after something between these milliseconds."""


class PullViewer(Viewer):
    """A viewer that asks: the portable stream and the long poll. Always behind, and woken by every event."""

    __slots__ = ("closing", "retry_ms", "wake")

    def __init__(
        self,
        hub: Hub,
        replicas: Sequence[Replica],
        since: Cursor | None,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        super().__init__(hub, replicas, since, identity, address)
        self.wake = asyncio.Event()
        self.closing = False
        self.retry_ms = RETRY_MS

    def hold(self) -> None:
        pass

    def catch_up(self) -> None:
        self.wake.set()

    def close(self, retry_ms: tuple[int, int]) -> None:
        self.closing = True
        self.retry_ms = retry_ms
        self.wake.set()

    def farewell(self) -> bytes:
        """The last frame of a stream that is closed."""
        return sse.drain(random.randint(*self.retry_ms))

    def take(self, limit: float = math.inf) -> tuple[bool, list[Entry]] | None:
        """What came since the last call: whether to reset first, and the entries, in offset order.

        Stops after `limit` bytes of them; the rest comes with the next call, as far as it still holds then.
        None where nothing can be said yet; there will be a wake when it can.
        """
        self.wake.clear()
        void = self.orient()
        if void is None:
            return None
        backlog = self.backlog()
        sizes = itertools.accumulate(len(entry.chunk) for entry in backlog)
        entries = backlog[: 1 + sum(1 for _ in itertools.takewhile(limit.__gt__, sizes))]
        self.offset = max(self.offset, self.position) if len(entries) == len(backlog) else entries[-1].offset
        return void, entries

    def frames(self) -> Iterator[bytes]:
        """What came since the last call, as frames, with `reset` and `ready` where they belong."""
        while not self.closing and (taken := self.take(CATCH_UP_BYTES)) is not None:
            void, entries = taken
            if void:
                yield sse.reset()
            if entries:
                yield b"".join(sse.unchunk(entry.chunk) for entry in entries)
            elif self.ready or not self.hub.live(self.replicas):
                return
            else:
                self.ready = True
                yield sse.ready(self.cursor, self.hub.heartbeat.interval)


class PushViewer(Viewer, asyncio.Protocol):
    """A viewer that owns its connection: the protocol of a socket that was handed over."""

    __slots__ = ("connections", "paused", "stalled_at", "transport", "turn")

    def __init__(
        self,
        hub: Hub,
        replicas: Sequence[Replica],
        since: Cursor | None,
        connections: set[object],
        identity: Identity = ANONYMOUS,
        address: str = "",
        *,
        paused: bool,
    ) -> None:
        super().__init__(hub, replicas, since, identity, address)
        self.connections = connections
        self.paused = paused
        self.stalled_at = time.monotonic()
        self.turn = 0
        self.transport: asyncio.Transport | None = None

    # What the hub calls

    def hold(self) -> None:
        if self in self.replicas[0].writers:
            self.offset = self.position
            for replica in self.replicas:
                replica.writers.pop(self, None)

    def catch_up(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing() or self.paused or self in self.replicas[0].writers:
            return
        self._advance(transport, [])

    def beat(self, chunk: bytes, stalled_before: float) -> None:
        """Write the heartbeat; close a connection that has taken nothing since `stalled_before`."""
        if self.transport is None or self.transport.is_closing():
            return
        if not self.paused:
            self.transport.write(chunk)
        elif self.stalled_at < stalled_before:
            self.transport.abort()

    def close(self, retry_ms: tuple[int, int]) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        self.hold()
        if self.paused:
            # The farewell could not be read before what is already stuck in the socket.
            self.transport.abort()
            return
        self.transport.write(sse.chunk(sse.drain(random.randint(*retry_ms))) + sse.LAST_CHUNK)
        self.transport.close()

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.transport = transport
        self.connections.add(self)
        self.hub.attach(self)
        self._advance(transport, [sse.chunk(sse.retry(random.randint(*RETRY_MS)))])
        if self.hub.draining:
            # The farewells were said while the head was on its way.
            self.shutdown()

    def eof_received(self) -> None:
        """Whoever half-closes has left: a close that waits for its buffer would wait for ever."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.connections.discard(self)
        self.hub.detach(self)

    def data_received(self, data: bytes) -> None:
        """Whatever a client says after its request means nothing here."""

    def pause_writing(self) -> None:
        self.hold()
        self.paused = True
        self.stalled_at = time.monotonic()

    def resume_writing(self) -> None:
        self.paused = False
        self.catch_up()

    def _advance(self, transport: asyncio.Transport, chunks: list[bytes]) -> None:
        """Write `chunks`, then what was missed, and be live if that was all: in as few writes as may be.

        uvloop makes a system call of each write at once.
        """
        void = self.orient()
        if void:
            chunks.append(sse.chunk(sse.reset()))
        size = 0
        for entry in self.backlog() if void is not None else ():
            chunks.append(entry.chunk)
            size += len(entry.chunk)
            self.offset = entry.offset
            if size >= CATCH_UP_BYTES:
                transport.write(b"".join(chunks))
                chunks.clear()
                size = 0
                if self.paused:
                    return
        live = void is not None and self.hub.live(self.replicas)
        if live:
            self.offset = self.position
            if not self.ready:
                self.ready = True
                chunks.append(sse.chunk(sse.ready(self.cursor, self.hub.heartbeat.interval)))
        if chunks:
            transport.write(b"".join(chunks))
        if live and not self.paused:
            for replica in self.replicas:
                replica.writers[self] = transport.write
