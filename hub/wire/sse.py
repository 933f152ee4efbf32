"""Server-Sent Events, encoded: frames as the HTML standard defines them (section 9.2), and HTTP/1.1 chunks.

No I/O here. A frame never holds a line break of its data's: JSON has them between tokens alone, where a
space means the same.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.timestamp import timestamp

LAST_CHUNK: Final = b"0\r\n\r\n"
"""What ends a chunked body (RFC 9112, section 7.1)."""

_LINE_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")
_encode = msgspec.json.Encoder().encode


def event(epoch: str, event: Event) -> bytes:
    """The frame of a content's state; its id is the cursor to resume from."""
    data = event.data
    if b"\n" in data or b"\r" in data:
        data = data.translate(_LINE_BREAKS)
    return b"id: %b-%d\nevent: %b\ndata: %b\n\n" % (epoch.encode(), event.offset, event.type.encode(), data)


def retry(milliseconds: int) -> bytes:
    """How long the client waits before it reconnects."""
    return b"retry: %d\n\n" % milliseconds


def ready(cursor: Cursor, heartbeat: float) -> bytes:
    """The catch-up is over; `cursor` stands for all that was sent. A heartbeat comes every so many seconds."""
    return _control("ready", {"cursor": str(cursor), "heartbeat_ms": round(heartbeat * 1000)})


def reset() -> bytes:
    """The client's cursor is void and everything it shows may be. The empty id clears `Last-Event-ID`."""
    return b"id:\n" + _control("reset", {})


def heartbeat() -> bytes:
    """A sign of life that a page can see; comments never reach it."""
    return _control("heartbeat", {"timestamp": timestamp()})


def drain(retry_ms: int) -> bytes:
    """The hub is going; come back, to any hub, after `retry_ms`."""
    return b"retry: %d\n" % retry_ms + _control("drain", {"retry_ms": retry_ms})


def chunk(frame: bytes) -> bytes:
    """`frame` as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def unchunk(chunk: bytes) -> bytes:
    """The frame in a chunk that `chunk` made."""
    return chunk[chunk.index(b"\n") + 1 : -2]


def _control(type: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (type.encode(), _encode(data))
