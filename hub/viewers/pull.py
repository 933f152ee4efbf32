"""Sessions that are asked: portable streams and long polls."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Sequence

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.filtered import Filtered
from statushub.hub.replicas.reader import Resync
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import Scope
from statushub.hub.viewers.pulling import PullingViewer
from statushub.hub.viewers.session import RETRY_MS, Host, Session
from statushub.hub.viewers.viewer import State
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import SSE


class PullViewer(PullingViewer, Session):
    """A stream or a long poll: one viewer, woken by every event."""

    __slots__ = ("_heartbeat", "_retry_ms", "address", "heartbeat_slot", "identity", "wake")

    format: StreamFormat

    def __init__(
        self,
        host: Host,
        scope: Scope | Sequence[Replica],
        since: Cursor | None,
        format: StreamFormat = SSE,
        *,
        heartbeat: float | None = None,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        super().__init__(host, scope, since, format, heartbeat=heartbeat)
        self.identity = identity
        self.address = address
        self.heartbeat_slot = 0
        self.wake = asyncio.Event()
        self._heartbeat = b""
        self._retry_ms = RETRY_MS

    @property
    def closed(self) -> bool:
        """Whether its stream ends."""
        return self.state is State.CLOSED

    def catch_up(self) -> None:
        self.wake.set()

    def beat(self, heartbeat: bytes, stalled_before: float) -> None:
        """The connection's own time limit ends one that takes nothing."""
        self._heartbeat = heartbeat
        self.wake.set()

    def close(self, retry_ms: tuple[int, int]) -> None:
        self.state = State.CLOSED
        self._retry_ms = retry_ms
        self.wake.set()

    def farewell(self) -> bytes:
        """The last frame of a stream that is closed."""
        return self.format.drain(random.randint(*self._retry_ms))

    def take(self, limit: float = math.inf) -> tuple[Resync, list[Event]]:
        self.wake.clear()
        return super().take(limit)

    def frames(self) -> Iterator[bytes]:
        """As `told`, with heartbeats."""
        self.wake.clear()
        if not self.closed:
            yield from self._merged()
        if self._heartbeat:
            # After `told`, which clears `wake`: one that comes from now on wakes again.
            heartbeat, self._heartbeat = self._heartbeat, b""
            moves = self.ready and self.epoch and isinstance(self.scope, Filtered)
            yield self.format.heartbeat_at(self.cursor) if moves else heartbeat

    def _merged(self) -> Iterator[bytes]:
        """The news in one piece: each is sent by itself."""
        if news := b"".join(self.told()):
            yield news
