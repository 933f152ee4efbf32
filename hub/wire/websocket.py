"""WebSocket messages: JSON objects with a `type`, as they are and as frames (RFC 6455, section 5.2). No I/O.

Messages are never compressed, so that the viewers of an event share its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event, with_channel
from statushub.hub.model.timestamp import timestamp
from statushub.hub.wire.format import MessageFormat

_TEXT: Final = 0x81
"""The first byte of a frame that is a whole text message."""

_SHORT: Final = 125
"""Longest payload whose length is in the second byte; that of a longer one is in the next two, or eight, bytes."""

_MEDIUM: Final = 0xFFFF

MATCHES_KEPT: Final = 1_024
"""Patterns whose formats are kept, so that the viewers of one pattern share its encoded events."""

_encode = msgspec.json.Encoder().encode


class Messages:
    """One JSON object a message."""

    def __init__(self, *, deltas: bool = False) -> None:
        """`deltas` tells that its viewers take deltas."""
        self.deltas = deltas

    def event(self, epoch: str, event: Event) -> bytes:
        """`id` is the cursor from which the channel resumes."""
        return b'{"type":%b,"id":"%b-%d","data":%b}' % (
            _encode(event.type),
            epoch.encode(),
            event.offset,
            status.sound(with_channel(event)),
        )

    def ready(self, about: Mapping[str, str], cursor: Cursor, heartbeat: float) -> bytes:
        return self.control("ready", **about, cursor=str(cursor), heartbeat_ms=round(heartbeat * 1000))

    def reset(self, about: Mapping[str, str]) -> bytes:
        return self.control("reset", **about)

    def limit(self, match: str, most: int) -> bytes:
        return self.control("limit", match=match, max=most)

    def heartbeat(self) -> bytes:
        """A message, because pages do not see pings."""
        return self.control("heartbeat", timestamp=timestamp())

    def drain(self, retry_ms: int) -> bytes:
        return self.control("drain", retry_ms=retry_ms)

    def control(self, type: str, **fields: Any) -> bytes:
        """A message of the connection's own."""
        return _encode({"type": type, **fields})

    def viewing(self, match: str | None, *, deltas: bool) -> MessageFormat:
        """The format for the viewers of channels, or of a pattern."""
        return _messages(match, deltas)


class MatchingMessages(Messages):
    """The messages of a pattern: an event names it, since its `id` is the cursor of the pattern."""

    def __init__(self, match: str, *, deltas: bool = False) -> None:
        super().__init__(deltas=deltas)
        self._match = _encode(match)

    def event(self, epoch: str, event: Event) -> bytes:
        return b'{"type":%b,"id":"%b-%d","match":%b,"data":%b}' % (
            _encode(event.type),
            epoch.encode(),
            event.offset,
            self._match,
            status.sound(with_channel(event)),
        )


class Frames:
    """The messages of another format, each as one unmasked frame."""

    def __init__(self, messages: Messages) -> None:
        self.deltas = messages.deltas
        self._messages = messages

    def event(self, epoch: str, event: Event) -> bytes:
        return frame(self._messages.event(epoch, event))

    def ready(self, about: Mapping[str, str], cursor: Cursor, heartbeat: float) -> bytes:
        return frame(MESSAGES.ready(about, cursor, heartbeat))

    def reset(self, about: Mapping[str, str]) -> bytes:
        return frame(MESSAGES.reset(about))

    def limit(self, match: str, most: int) -> bytes:
        return frame(MESSAGES.limit(match, most))

    def heartbeat(self) -> bytes:
        return frame(MESSAGES.heartbeat())

    def drain(self, retry_ms: int) -> bytes:
        return frame(MESSAGES.drain(retry_ms))

    def control(self, type: str, **fields: Any) -> bytes:
        """As `Messages.control`."""
        return frame(_encode({"type": type, **fields}))

    def viewing(self, match: str | None, *, deltas: bool) -> MessageFormat:
        """As `Messages.viewing`."""
        return _frames(match, deltas)


def frame(message: bytes) -> bytes:
    """A text message as one frame of a server."""
    size = len(message)
    if size <= _SHORT:
        return b"%c%c%b" % (_TEXT, size, message)
    if size <= _MEDIUM:
        return b"%c%c%b%b" % (_TEXT, 126, size.to_bytes(2), message)
    return b"%c%c%b%b" % (_TEXT, 127, size.to_bytes(8), message)


MESSAGES: Final = Messages()
FRAMES: Final = Frames(MESSAGES)
DELTA_MESSAGES: Final = Messages(deltas=True)
DELTA_FRAMES: Final = Frames(DELTA_MESSAGES)


def _messages(match: str | None, deltas: bool) -> Messages:
    if match is not None:
        return _matching_messages(match, deltas)
    return DELTA_MESSAGES if deltas else MESSAGES


def _frames(match: str | None, deltas: bool) -> Frames:
    if match is not None:
        return _matching_frames(match, deltas)
    return DELTA_FRAMES if deltas else FRAMES


@lru_cache(maxsize=MATCHES_KEPT)
def _matching_messages(match: str, deltas: bool) -> MatchingMessages:
    return MatchingMessages(match, deltas=deltas)


@lru_cache(maxsize=MATCHES_KEPT)
def _matching_frames(match: str, deltas: bool) -> Frames:
    return Frames(_matching_messages(match, deltas))


_fit: tuple[MessageFormat, MessageFormat] = (MESSAGES, FRAMES)
