"""Server-Sent Events as the HTML standard defines them (section 9.2), plain and in HTTP/1.1 chunks. No I/O.

A frame holds no line break of its data: JSON has them only between tokens, where a space means the same.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.timestamp import timestamp
from statushub.hub.wire.format import WireFormat

_FRAME: Final = b"id: %b-%d\nevent: %b\ndata: %b\n\n"
_CHUNK: Final = b"%x\r\n%b\r\n"
_LINE_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")
_encode = msgspec.json.Encoder().encode


class Sse:
    """One frame a message."""

    end: Final = b""

    def event(self, epoch: str, event: Event) -> bytes:
        """The frame's id is the cursor to resume from."""
        data = event.data
        if b"\n" in data or b"\r" in data:
            data = data.translate(_LINE_BREAKS)
        return _FRAME % (epoch.encode(), event.offset, event.type.encode(), data)

    def retry(self, milliseconds: int) -> bytes:
        return b"retry: %d\n\n" % milliseconds

    def ready(self, cursor: Cursor, heartbeat: float) -> bytes:
        return _control("ready", {"cursor": str(cursor), "heartbeat_ms": round(heartbeat * 1000)})

    def reset(self) -> bytes:
        """The empty id clears the browser's `Last-Event-ID`."""
        return b"id:\n" + _control("reset", {})

    def heartbeat(self) -> bytes:
        """An event, because a comment never reaches the page."""
        return _control("heartbeat", {"timestamp": timestamp()})

    def drain(self, retry_ms: int) -> bytes:
        return b"retry: %d\n" % retry_ms + _control("drain", {"retry_ms": retry_ms})


class ChunkedSse:
    """One frame a message, and one chunk of an HTTP/1.1 body a frame (RFC 9112, section 7.1)."""

    end: Final = b"0\r\n\r\n"

    def event(self, epoch: str, event: Event) -> bytes:
        # The hot path of all streams: `_chunk(SSE.event(…))` without its two calls.
        data = event.data
        if b"\n" in data or b"\r" in data:
            data = data.translate(_LINE_BREAKS)
        frame = _FRAME % (epoch.encode(), event.offset, event.type.encode(), data)
        return _CHUNK % (len(frame), frame)

    def retry(self, milliseconds: int) -> bytes:
        return _chunk(SSE.retry(milliseconds))

    def ready(self, cursor: Cursor, heartbeat: float) -> bytes:
        return _chunk(SSE.ready(cursor, heartbeat))

    def reset(self) -> bytes:
        return _chunk(SSE.reset())

    def heartbeat(self) -> bytes:
        return _chunk(SSE.heartbeat())

    def drain(self, retry_ms: int) -> bytes:
        return _chunk(SSE.drain(retry_ms))


SSE: Final[WireFormat] = Sse()
CHUNKED_SSE: Final[WireFormat] = ChunkedSse()


def _chunk(frame: bytes) -> bytes:
    return _CHUNK % (len(frame), frame)


def _control(type: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (type.encode(), _encode(data))
