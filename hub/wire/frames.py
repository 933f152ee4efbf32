"""WebSocket frames that a client sends (RFC 6455), read by the parser of `websockets`. No I/O."""

from __future__ import annotations

import logging
from typing import Final

from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

MESSAGE_BYTES: Final = 8192
"""Largest message of a client, however it is fragmented: 64 channels with names of ordinary length have 2 KiB."""

_MASKED_HEADER: Final = 6
"""Bytes of a masked frame before its payload, where that is short; more for a longer one."""

_SHORT: Final = 125

# The parser logs each frame at the level of debugging, and that a connection has closed: neither is news here.
_silent: Final = logging.Logger("websockets", logging.CRITICAL + 1)


class FrameReader:
    """Reads what a client sends on one socket, and answers what the protocol itself answers: pings, faults, closes."""

    __slots__ = ("_parts", "_protocol", "_text", "_unread")

    def __init__(self) -> None:
        self._protocol = Protocol(Side.SERVER, max_size=MESSAGE_BYTES, logger=_silent)
        self._parts: list[bytes] = []
        self._text = False
        self._unread = 0

    def receive(self, data: bytes) -> list[bytes | None]:
        """An item for each frame in `data`: the message that it completes, or None."""
        protocol = self._protocol
        protocol.receive_data(data)
        self._unread += len(data)
        return [self._message(frame) for frame in protocol.events_received() if isinstance(frame, Frame)]

    @property
    def ended(self) -> bool:
        """Whether the socket ends: the client closes it, or has broken the protocol."""
        return self._protocol.state is not State.OPEN

    @property
    def left(self) -> bool:
        """Whether the client has sent a close frame, after which it sends nothing."""
        return self._protocol.close_rcvd is not None

    @property
    def idle(self) -> bool:
        """Whether nothing is kept of a frame or a message: a new reader would read on as well."""
        return not (self._unread or self._parts or self.ended)

    def output(self) -> bytes:
        """What is to be sent now, in answer to what was received."""
        return b"".join(self._protocol.data_to_send())

    def _message(self, frame: Frame) -> bytes | None:
        size = len(frame.data)
        self._unread -= _MASKED_HEADER + size + (2 if size > _SHORT else 0)
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return None
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        message = b"".join(self._parts)
        self._parts.clear()
        if self._text and not _is_utf8(message):
            self._protocol.fail(CloseCode.INVALID_DATA, "a text message must be UTF-8")
            return None
        return message


def closing(code: int, reason: str) -> bytes:
    """The frame by which a server closes a socket; `reason` has at most 123 bytes."""
    return Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
