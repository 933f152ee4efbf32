"""Sockets that are asked: those that stay with a web server that speaks WebSocket itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.model.cursor import Cursor
from statushub.hub.replicas.scope import Scope
from statushub.hub.viewers.pulling import PullingViewer
from statushub.hub.viewers.session import RETRY_MS, Host
from statushub.hub.viewers.socket import BIG, FLOODED, TOO_BIG, TOO_MANY, Socket
from statushub.hub.viewers.viewer import State
from statushub.hub.wire.format import MessageFormat
from statushub.hub.wire.frames import MESSAGE_BYTES
from statushub.hub.wire.websocket import MESSAGES

Ending = tuple[tuple[int, int] | None, int, str]
"""After how many milliseconds the client reconnects, at least and at most, or None for a socket that ends by its own
fault; the close code and its reason."""


class WakingViewer(PullingViewer):
    """Wakes its socket."""

    __slots__ = ("_wake",)

    def __init__(
        self,
        host: Host,
        scope: Scope,
        since: Cursor | None,
        format: MessageFormat,
        *,
        heartbeat: float,
        wake: asyncio.Event,
    ) -> None:
        super().__init__(host, scope, since, format, heartbeat=heartbeat)
        self._wake = wake

    def catch_up(self) -> None:
        self._wake.set()


class PullSocket(Socket[WakingViewer]):
    """Woken by every event of its channels."""

    __slots__ = ("_answers", "_heartbeat", "ending", "wake")

    def __init__(
        self, host: Host, *, heartbeat: float | None = None, identity: Identity = ANONYMOUS, address: str = ""
    ) -> None:
        super().__init__(host, MESSAGES, heartbeat=heartbeat, identity=identity, address=address)
        self.wake = asyncio.Event()
        self.ending: Ending | None = None
        self._heartbeat = b""
        # What was not answered immediately.
        self._answers: list[bytes] = []

    def view(self, scope: Scope, format: MessageFormat, since: Cursor | None) -> WakingViewer:
        self.wake.set()
        return WakingViewer(self.host, scope, since, format, heartbeat=self.heartbeat, wake=self.wake)

    def say(self, answers: list[bytes], made: list[WakingViewer]) -> None:
        self._answers += answers
        self.wake.set()

    def beat(self, heartbeat: bytes, stalled_before: float) -> None:
        """The time limit of each message ends a connection that takes nothing."""
        self._heartbeat = heartbeat
        self.wake.set()

    def end(self, retry_ms: tuple[int, int], code: int, reason: str) -> None:
        self._end((retry_ms, code, reason))

    def said(self, message: bytes) -> list[bytes]:
        """The answers to a message, as long as the socket goes on."""
        if self.ending is not None:
            return []
        if len(message) > MESSAGE_BYTES:
            self._end((None, TOO_BIG, BIG))
            return []
        if not self.admit():
            self.end(RETRY_MS, TOO_MANY, FLOODED)
            return []
        return self.hear(message)[0]

    def messages(self) -> Iterator[bytes]:
        """What came since the last call, with heartbeats. `wake` is set when there is more."""
        self.wake.clear()
        answers, self._answers = self._answers, []
        yield from answers
        for viewer in tuple(self.viewers):
            if viewer.state is not State.CLOSED:
                yield from viewer.told()
        if self._heartbeat:
            heartbeat, self._heartbeat = self._heartbeat, b""
            yield heartbeat

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
            self.wake.set()
