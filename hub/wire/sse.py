"""Server-Sent Events as the HTML standard defines them (section 9.2), named or not, plain and in HTTP/1.1 chunks.

No I/O. No part of an event breaks a line of its frame: straight publishers and former versions stored any bytes. The id
is the last line: some clients take it when they read it, and would otherwise resume after an event that was cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event, with_channel
from statushub.hub.model.line import one_line
from statushub.hub.model.timestamp import timestamp
from statushub.hub.wire.format import StreamFormat

TYPES_KEPT: Final = 256
"""Types whose checked text is kept: the hub's five, and those that a deployment's producers name."""

_FRAME: Final = b"event: %b\ndata: %b\nid: %b-%d\n\n"
_CHUNK: Final = b"%x\r\n%b\r\n"
_encode = msgspec.json.Encoder().encode


class Sse:
    """One frame a message, named by its type."""

    end: Final = b""

    def __init__(self, *, deltas: bool = False) -> None:
        """`deltas` tells that its viewers take deltas. Formats are compared by identity: those of either kind are
        written to apart."""
        self.deltas = deltas

    def event(self, epoch: str, event: Event) -> bytes:
        """The frame's id is the cursor to resume from."""
        return _FRAME % (_name(event.type), one_line(event.data), epoch.encode(), event.offset)

    def retry(self, milliseconds: int) -> bytes:
        """A line without a frame of its own, which some clients would take for an empty event: the next message is."""
        return b"retry: %d\n" % milliseconds

    def ready(self, about: Mapping[str, str], cursor: Cursor, heartbeat: float) -> bytes:
        return self._control("ready", {"cursor": str(cursor), "heartbeat_ms": round(heartbeat * 1000)})

    def reset(self, about: Mapping[str, str]) -> bytes:
        """The empty id clears the browser's `Last-Event-ID`."""
        return self._control("reset", {}, b"id:\n")

    def limit(self, match: str, most: int) -> bytes:
        return self._control("limit", {"match": match, "max": most})

    def heartbeat(self) -> bytes:
        """An event, because a comment never reaches the page."""
        return self._control("heartbeat", {"timestamp": timestamp()})

    def heartbeat_at(self, cursor: Cursor) -> bytes:
        return self._control("heartbeat", {"timestamp": timestamp()}, b"id: %b\n" % str(cursor).encode())

    def drain(self, retry_ms: int) -> bytes:
        return b"retry: %d\n" % retry_ms + self._control("drain", {"retry_ms": retry_ms})

    def _control(self, type: str, data: dict[str, Any], last: bytes = b"") -> bytes:
        return b"event: %b\ndata: %b\n%b\n" % (type.encode(), _encode(data), last)


class MessageSse(Sse):
    """One frame a message, without a name: `EventSource` passes it to `onmessage`. The data begin with the type."""

    def event(self, epoch: str, event: Event) -> bytes:
        return b"data: %b\nid: %b-%d\n\n" % (one_line(status.typed(event)), epoch.encode(), event.offset)

    def _control(self, type: str, data: dict[str, Any], last: bytes = b"") -> bytes:
        return b"data: %b\n%b\n" % (_encode({"type": type, **data}), last)


class ChannelsSse(Sse):
    """The same of several channels: each delta names its own, which the address of a stream of one channel does."""

    def event(self, epoch: str, event: Event) -> bytes:
        return super().event(epoch, with_channel(event))


class ChannelsMessageSse(MessageSse):
    """The same without names."""

    def event(self, epoch: str, event: Event) -> bytes:
        return super().event(epoch, with_channel(event))


class Chunked:
    """The frames of another format, each as one chunk of an HTTP/1.1 body (RFC 9112, section 7.1)."""

    end: Final = b"0\r\n\r\n"

    def __init__(self, frames: StreamFormat) -> None:
        self.deltas = frames.deltas
        self._frames = frames

    def event(self, epoch: str, event: Event) -> bytes:
        return _chunk(self._frames.event(epoch, event))

    def retry(self, milliseconds: int) -> bytes:
        return _chunk(self._frames.retry(milliseconds))

    def ready(self, about: Mapping[str, str], cursor: Cursor, heartbeat: float) -> bytes:
        return _chunk(self._frames.ready(about, cursor, heartbeat))

    def reset(self, about: Mapping[str, str]) -> bytes:
        return _chunk(self._frames.reset(about))

    def limit(self, match: str, most: int) -> bytes:
        return _chunk(self._frames.limit(match, most))

    def heartbeat(self) -> bytes:
        return _chunk(self._frames.heartbeat())

    def heartbeat_at(self, cursor: Cursor) -> bytes:
        return _chunk(self._frames.heartbeat_at(cursor))

    def drain(self, retry_ms: int) -> bytes:
        return _chunk(self._frames.drain(retry_ms))


class ChunkedSse(Chunked):
    """The chunks of `Sse`."""

    def event(self, epoch: str, event: Event) -> bytes:
        # The hot path of all streams: `_chunk(SSE.event(…))` without its two calls.
        frame = _FRAME % (_name(event.type), one_line(event.data), epoch.encode(), event.offset)
        return _CHUNK % (len(frame), frame)


class Formats(msgspec.Struct, frozen=True, kw_only=True):
    """The formats of a stream: of one that stays with the web server, and of one that is handed over."""

    plain: StreamFormat
    chunked: StreamFormat


SSE: Final[StreamFormat] = Sse()
CHUNKED_SSE: Final[StreamFormat] = ChunkedSse(SSE)
MESSAGE_SSE: Final[StreamFormat] = MessageSse()
CHUNKED_MESSAGE_SSE: Final[StreamFormat] = Chunked(MESSAGE_SSE)
DELTA_SSE: Final[StreamFormat] = Sse(deltas=True)
CHUNKED_DELTA_SSE: Final[StreamFormat] = ChunkedSse(DELTA_SSE)
DELTA_MESSAGE_SSE: Final[StreamFormat] = MessageSse(deltas=True)
CHUNKED_DELTA_MESSAGE_SSE: Final[StreamFormat] = Chunked(DELTA_MESSAGE_SSE)
CHANNELS_DELTA_SSE: Final[StreamFormat] = ChannelsSse(deltas=True)
CHUNKED_CHANNELS_DELTA_SSE: Final[StreamFormat] = Chunked(CHANNELS_DELTA_SSE)
CHANNELS_DELTA_MESSAGE_SSE: Final[StreamFormat] = ChannelsMessageSse(deltas=True)
CHUNKED_CHANNELS_DELTA_MESSAGE_SSE: Final[StreamFormat] = Chunked(CHANNELS_DELTA_MESSAGE_SSE)

FORMATS: Final[Mapping[str, Formats]] = {
    "named": Formats(plain=SSE, chunked=CHUNKED_SSE),
    "message": Formats(plain=MESSAGE_SSE, chunked=CHUNKED_MESSAGE_SSE),
}
"""By what `?events=` and the setting `events` say."""

DELTA_FORMATS: Final[Mapping[str, Formats]] = {
    "named": Formats(plain=DELTA_SSE, chunked=CHUNKED_DELTA_SSE),
    "message": Formats(plain=DELTA_MESSAGE_SSE, chunked=CHUNKED_DELTA_MESSAGE_SSE),
}
"""The same, of streams of one channel that take deltas."""

CHANNELS_DELTA_FORMATS: Final[Mapping[str, Formats]] = {
    "named": Formats(plain=CHANNELS_DELTA_SSE, chunked=CHUNKED_CHANNELS_DELTA_SSE),
    "message": Formats(plain=CHANNELS_DELTA_MESSAGE_SSE, chunked=CHUNKED_CHANNELS_DELTA_MESSAGE_SSE),
}
"""The same, of streams of several channels."""


@lru_cache(maxsize=TYPES_KEPT)
def _name(type: str) -> bytes:
    """The type, in which a straight publisher may have put what breaks lines."""
    if not type.isprintable():
        type = "".join(character if character.isprintable() else "\ufffd" for character in type)
    return type.encode()


def _chunk(frame: bytes) -> bytes:
    return _CHUNK % (len(frame), frame)
