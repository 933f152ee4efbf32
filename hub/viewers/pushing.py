"""Viewers that write to a transport of their own or of their socket, as long as it takes what they write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from statushub.hub.model.cursor import Cursor
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scope import Scope
from statushub.hub.viewers.session import Host
from statushub.hub.viewers.viewer import State, Viewer
from statushub.hub.wire.format import WireFormat


class PushingViewer(Viewer):
    """Written to while it is live; otherwise it waits until it can catch up."""

    __slots__ = ("_transport", "_waits")

    def __init__(
        self,
        host: Host,
        scope: Scope | Sequence[Replica],
        since: Cursor | None,
        format: WireFormat,
        *,
        stalled: bool,
        heartbeat: float | None,
        transport: asyncio.Transport | None = None,
    ) -> None:
        """`stalled` tells that the socket is full."""
        state = State.STALLED if stalled else State.BEHIND
        super().__init__(host, scope, since, format, heartbeat=heartbeat, state=state)
        self._transport = transport
        # Whether the next step of its catch-up is scheduled.
        self._waits = False

    @property
    def transport(self) -> asyncio.Transport | None:
        """Its connection, while it is open. The server aborts it at the end of the grace period."""
        return self._transport

    def join(self) -> None:
        self.scope.join(self, polls=False)

    def leave(self) -> None:
        self._withdraw()
        super().leave()

    def pause(self) -> None:
        if self.state is State.LIVE:
            self.host.counts.catch_ups["interrupted"] += 1
        self._withdraw()

    def catch_up(self) -> None:
        transport = self._transport
        waits = self._waits or self.held_until
        if self.state is State.BEHIND and not waits and transport is not None and not transport.is_closing():
            self.advance(transport, [])

    def hold(self, offset: int, seconds: float) -> None:
        self._pause_at(offset)
        self.wait(seconds)

    def stall(self) -> None:
        """The socket is full: nothing is written until `resume`."""
        self._withdraw()
        self.state = State.STALLED

    def resume(self) -> None:
        """The socket has room again."""
        if self.state is State.STALLED:
            self.host.counts.catch_ups["stalled"] += 1
            self.state = State.BEHIND
            self.catch_up()

    def advance(self, transport: asyncio.Transport, frames: list[bytes]) -> None:
        """Write `frames`, then what was missed: all of it, and be live, or a part, and go on in another step.

        In one write, since uvloop makes a system call of each immediately.
        """
        if seconds := self.paces():
            if frames:
                transport.write(b"".join(frames))
            if self.state is State.BEHIND:
                self.wait(seconds)
            return
        outcome, news = self.news()
        frames += news
        live = not outcome.waits and self.finished and self.scope.live(self.host)
        if live and not self.ready:
            self.ready = True
            frames.append(self.format.ready(self.scope.about, self.cursor, self.heartbeat))
        if frames:
            transport.write(b"".join(frames))
        if self.state is not State.BEHIND:
            return
        if live:
            self.state = State.LIVE
            self.scope.add_writer(self.format, self, transport.write)
        elif not outcome.waits and not self.finished:
            self._waits = True
            self.host.scheduler.later(self._go_on)

    def _withdraw(self) -> None:
        """Be live no longer, nor held."""
        self.end_hold()
        self._pause_at(self.position)

    def _pause_at(self, offset: int) -> None:
        """Be behind, where it was live and was written everything up to `offset`."""
        if self.state is State.LIVE:
            self.state = State.BEHIND
            self.offset = self.complete = offset
            self.scope.remove_writer(self.format, self)

    def _go_on(self) -> None:
        self._waits = False
        self.catch_up()
