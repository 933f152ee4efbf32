"""Viewers that are asked what they have, by a connection that stays with its server."""

from __future__ import annotations

from collections.abc import Iterator

from statushub.hub.viewers.viewer import Viewer


class PullingViewer(Viewer):
    """Never live: it is told of every event, and takes what it has not been given."""

    __slots__ = ()

    def join(self) -> None:
        self.scope.join(self, polls=True)

    def pause(self) -> None:
        """It takes when it can; there is nothing to stop."""
        self.end_hold()

    def told(self) -> Iterator[bytes]:
        """What came since the last call, with `reset` and `ready` where they belong.

        Of much, a part; then `catch_up` is called when the next part is due.
        """
        if self.is_held():
            return
        outcome, frames = self.news()
        yield from frames
        if outcome.waits:
            return
        if not self.finished:
            self.host.scheduler.later(self.catch_up)
        elif not self.ready and self.scope.live(self.host):
            self.ready = True
            yield self.format.ready(self.scope.about, self.cursor, self.heartbeat)

    def is_held(self) -> bool:
        """Whether it reads nothing now; then `catch_up` is called when it does."""
        if not self.held_until and (seconds := self.paces()):
            self.wait(seconds)
        return self.held_until > 0.0
