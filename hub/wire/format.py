"""Wire formats: how events and control messages are encoded for one kind of connection. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event


class EventFormat(Protocol):
    """Encodes events. Each event is encoded once per format in use, however many connections it goes to."""

    def event(self, epoch: str, event: Event) -> bytes:
        """A content's state. Encoded events may be concatenated."""


class WireFormat(EventFormat, Protocol):
    """Encodes all that the viewer of some channels is told."""

    @property
    def deltas(self) -> bool:
        """Whether its viewers take deltas; otherwise they are sent whole states only."""

    def ready(self, about: Mapping[str, str], cursor: Cursor, heartbeat: float) -> bytes:
        """The catch-up is over, and `cursor` stands for all that was sent; `heartbeat` is in seconds. `about` are the
        fields that say of what, where a connection has several cursors."""

    def reset(self, about: Mapping[str, str]) -> bytes:
        """The client's cursor is void, and with it everything the client shows of `about`."""

    def limit(self, match: str, most: int) -> bytes:
        """The pattern names more channels than so many, which are followed."""

    def heartbeat(self) -> bytes:
        """A sign of life."""

    def drain(self, retry_ms: int) -> bytes:
        """The connection ends; the client reconnects, to any hub, after `retry_ms`."""


class StreamFormat(WireFormat, Protocol):
    """Encodes a stream, which has one cursor for all of its channels."""

    @property
    def end(self) -> bytes:
        """The bytes that follow the last message of a stream."""

    def heartbeat_at(self, cursor: Cursor) -> bytes:
        """A sign of life whose id is the cursor: everything up to it was sent that the viewer reads."""

    def retry(self, milliseconds: int) -> bytes:
        """How long the client waits before it reconnects: the beginning of a stream's first message."""


class MessageFormat(WireFormat, Protocol):
    """Encodes a socket, on which each channel and each pattern has a cursor of its own, and either side may speak."""

    def control(self, type: str, **fields: Any) -> bytes:
        """A message of the socket's own."""

    def viewing(self, match: str | None, *, deltas: bool) -> MessageFormat:
        """The format for the viewers of channels, or of a pattern, in which each event names it."""
