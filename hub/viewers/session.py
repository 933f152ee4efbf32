"""Sessions: open streams, sockets and long polls, as the hub counts them, keeps them alive, and ends them."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from statushub.hub.auth.identity import Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.model.errors import StatushubError
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.reader import ReaderHost
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.replicas.scope import Channels, Scope
from statushub.hub.replicas.selection import Selection
from statushub.hub.wire.format import WireFormat

RETRY_MS: Final = (1_500, 4_000)
"""Least and most milliseconds a client is told to wait before it reconnects: no thundering herd after a restart."""


def retry_ms() -> int:
    """A number of them. Each viewer that comes is told one: `randint` costs five times as much."""
    least, most = RETRY_MS
    return least + int((most - least + 1) * random.random())


Then = Callable[[Selection | None, StatushubError | None], None]
"""Takes a selection, or the error for which there is none."""


class Host(ReaderHost, Protocol):
    """What a session needs of the hub that serves it."""

    scheduler: Scheduler
    encodings: Encodings
    draining: bool
    drain_ms: tuple[int, int]
    """Least and most milliseconds after which the clients of a hub that stops reconnect."""

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between the heartbeats of a session that asks for no others."""

    def attach(self, session: Session, *, lasting: bool = True) -> None:
        """Count the session and its channels in, and tell it what happens, until it is detached. It is `lasting` where
        its client wants to be live, and does not only wait for the next event."""

    def detach(self, session: Session) -> None:
        """Undo `attach`."""

    def follow(self, session: Session, channel: str) -> Replica:
        """The replica of a further channel of an attached session.

        Raises `TooManyRequests` where its identity or its tenant follows too many channels.
        """

    def unfollow(self, session: Session, channel: str) -> None:
        """Undo `follow`."""

    def match(self, session: Session, patterns: Patterns, then: Then, *, resumes: bool, stats: bool) -> None:
        """Find the selection of these patterns for the session, and tell it, later, `then`; `resumes` tells that the
        client has a cursor, `stats` that the counters of all videos may be selected."""

    def filtered(self, scope: Channels | Selection, content_ids: frozenset[str] | None) -> Scope:
        """The contents with these ids of a scope; with None all of it."""

    def check_filter(self, channel: str, content_ids: frozenset[str] | None) -> None:
        """Raise `Invalid` where the channel is followed with a filter only, and there is none."""

    def select(self, session: Session, selection: Selection) -> Selection:
        """Count a selection of an attached session in; returns the one to follow. Raises as `follow` does."""

    def deselect(self, session: Session, selection: Selection) -> None:
        """Undo `select`."""


class Session(ABC):
    """A client's connection: `identity` is told of `channels`, from `address`, in `format`.

    It has a heartbeat each `heartbeat` seconds.
    """

    __slots__ = ()

    host: Host
    identity: Identity
    address: str
    format: WireFormat
    heartbeat: float
    heartbeat_slot: int

    @property
    @abstractmethod
    def channels(self) -> list[str]:
        """The channels that it follows."""

    @property
    def selections(self) -> Sequence[Selection]:
        """The selections that it follows."""
        return ()

    @abstractmethod
    def join(self) -> None:
        """Subscribe to the replicas of its channels."""

    @abstractmethod
    def leave(self) -> None:
        """Undo `join`."""

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
        """End the session; the client reconnects after a random time between these milliseconds."""
