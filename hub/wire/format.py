"""Wire formats: how events and control messages are encoded for one kind of connection. No I/O."""

from __future__ import annotations

from typing import Protocol

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event


class EventFormat(Protocol):
    """Encodes events. Each event is encoded once per format in use, however many connections it goes to."""

    def event(self, epoch: str, event: Event) -> bytes:
        """A content's state. Encoded events may be concatenated."""


class WireFormat(EventFormat, Protocol):
    """Encodes all that a stream says."""

    @property
    def end(self) -> bytes:
        """The bytes that follow the last message of a stream."""

    def retry(self, milliseconds: int) -> bytes:
        """How long the client waits before it reconnects."""

    def ready(self, cursor: Cursor, heartbeat: float) -> bytes:
        """The catch-up is over, and `cursor` stands for all that was sent; `heartbeat` is in seconds."""

    def reset(self) -> bytes:
        """The client's cursor is void, and with it everything the client shows."""

    def heartbeat(self) -> bytes:
        """A sign of life."""

    def drain(self, retry_ms: int) -> bytes:
        """The stream ends; the client reconnects, to any hub, after `retry_ms`."""
