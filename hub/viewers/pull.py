"""Sessions that are asked: long polls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.reader import Resync
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import Scope
from statushub.hub.viewers.pulling import PullingViewer
from statushub.hub.viewers.session import Host, Session
from statushub.hub.viewers.viewer import State
from statushub.hub.wire.sse import SSE


class PullViewer(PullingViewer, Session):
    """A long poll: one viewer, woken by every event."""

    __slots__ = ("address", "heartbeat_slot", "identity", "wake")

    def __init__(
        self,
        host: Host,
        scope: Scope | Sequence[Replica],
        since: Cursor | None,
        *,
        identity: Identity = ANONYMOUS,
        address: str = "",
    ) -> None:
        super().__init__(host, scope, since, SSE)
        self.identity = identity
        self.address = address
        self.heartbeat_slot = 0
        self.wake = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether it is to be answered now."""
        return self.state is State.CLOSED

    def catch_up(self) -> None:
        self.wake.set()

    def beat(self, heartbeat: bytes, stalled_before: float) -> None:
        """An answer has none."""

    def close(self, retry_ms: tuple[int, int]) -> None:
        self.state = State.CLOSED
        self.wake.set()

    def take(self, limit: float = math.inf) -> tuple[Resync, list[Event]]:
        self.wake.clear()
        return super().take(limit)
