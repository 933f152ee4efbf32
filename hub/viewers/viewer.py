"""Viewers: open streams and long polls, and where each stands.

No viewer has a queue. A viewer that is *live* gets each event as it comes. One that cannot be written to, because
its socket is full or a replica of its is not live, is *behind*: it remembers how far it got, gets nothing, and later
catches up from the replicas' state, which skips what has been superseded meanwhile. The ids that a viewer is sent
grow until a `reset`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, Protocol

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.reader import Reader, ReaderHost
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.wire.format import WireFormat

RETRY_MS: Final = (1_500, 4_000)
"""Least and most milliseconds a client is told to wait before it reconnects: no thundering herd after a restart."""

CATCH_UP_BYTES: Final = 64 * 1024
"""Bytes written in one step while catching up; then it is checked whether the socket still takes them."""


class State(Enum):
    """What a viewer can be given."""

    BEHIND = auto()
    """Nothing until it catches up; its socket has room."""
    STALLED = auto()
    """Nothing: its socket is full."""
    LIVE = auto()
    """Each event as it is applied."""
    CLOSED = auto()
    """Nothing more: its end was said."""


class Host(ReaderHost, Protocol):
    """What a viewer needs of the hub that serves it."""

    scheduler: Scheduler
    encodings: Encodings
    draining: bool
    drain_ms: tuple[int, int]
    """Least and most milliseconds after which the viewers of a hub that stops reconnect."""

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between heartbeats."""

    def attach(self, viewer: Viewer) -> None:
        """Tell the viewer what happens to its replicas, until it is detached."""

    def detach(self, viewer: Viewer) -> None:
        """Undo `attach`."""


class Viewer(Reader):
    """A reader at the other end of a connection: `identity` reads, from `address`, in `format`."""

    __slots__ = ("address", "format", "heartbeat_slot", "identity", "ready", "state")

    host: Host

    def __init__(
        self,
        host: Host,
        replicas: Sequence[Replica],
        since: Cursor | None,
        format: WireFormat,
        *,
        identity: Identity = ANONYMOUS,
        address: str = "",
        state: State = State.BEHIND,
    ) -> None:
        super().__init__(host, replicas, since)
        self.format = format
        self.identity = identity
        self.address = address
        self.state = state
        self.ready = False
        self.heartbeat_slot = 0

    @property
    def channels(self) -> list[str]:
        """The channels that it follows."""
        return [replica.channel for replica in self.replicas]

    @abstractmethod
    def join(self) -> None:
        """Subscribe to its replicas."""

    def leave(self) -> None:
        """Undo `join`."""
        for replica in self.replicas:
            replica.remove(self)

    @abstractmethod
    def beat(self, heartbeat: bytes, stalled_before: float) -> None:
        """Send the heartbeat, or close a connection that has taken nothing since `stalled_before` (monotonic)."""

    def shutdown(self) -> None:
        """Close, because the hub stops. uvicorn, too, calls this for each of its connections."""
        self.close(self.host.drain_ms)

    def expire(self) -> None:
        """Close, because the token expired or was revoked. The client reconnects soon, and is told why."""
        self.host.counts.dismissals += 1
        self.close(RETRY_MS)

    @abstractmethod
    def close(self, retry_ms: tuple[int, int]) -> None:
        """End the stream; the client reconnects after a random time between these milliseconds."""
