"""Viewers that ask: portable streams and long polls."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Sequence

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.reader import Resync
from statushub.hub.replicas.replica import Replica
from statushub.hub.viewers.viewer import CATCH_UP_BYTES, RETRY_MS, Host, State, Viewer
from statushub.hub.wire.format import WireFormat
from statushub.hub.wire.sse import SSE


class PullViewer(Viewer):
    """Never live: it is woken by every event, and takes what it has not been given."""

    __slots__ = ("_heartbeat", "_retry_ms", "wake")

    def __init__(
        self,
        host: Host,
        replicas: Sequence[Replica],
        since: Cursor | None,
        format: WireFormat = SSE,
        *,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        super().__init__(host, replicas, since, format, identity=identity, address=address)
        self.wake = asyncio.Event()
        self._heartbeat = b""
        self._retry_ms = RETRY_MS

    @property
    def closed(self) -> bool:
        """Whether its stream ends."""
        return self.state is State.CLOSED

    def join(self) -> None:
        for replica in self.replicas:
            replica.subscribers.add(self)
            replica.pollers.add(self)

    def pause(self) -> None:
        """It takes when it can; there is nothing to stop."""

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
        """What came since the last call, with `reset`, `ready` and heartbeats where they belong.

        Of much, a part; then `wake` is set when the next part is due.
        """
        if not self.closed:
            yield from self._news()
        if self._heartbeat:
            # After `_news`, which clears `wake`: one that comes from now on wakes again.
            heartbeat, self._heartbeat = self._heartbeat, b""
            yield heartbeat

    def _news(self) -> Iterator[bytes]:
        outcome, events = self.take(CATCH_UP_BYTES)
        if outcome is Resync.RESET:
            self.ready = False
            yield self.format.reset()
        elif outcome is Resync.BEHIND:
            # A client that hears nothing would give the stream up.
            yield self.format.heartbeat()
        if events:
            yield b"".join(self.host.encodings.encode(self.format, self.epoch or "", events))
        if outcome.waits or self.closed:
            return
        if not self.finished:
            self.host.scheduler.later(self.catch_up)
        elif not self.ready and self.host.live(self.replicas):
            self.ready = True
            yield self.format.ready(self.cursor, self.host.heartbeat_interval)
