"""A WebSocket over a plain connection: tests choose each frame that is sent, and see each one that is received."""

from __future__ import annotations

import contextlib
import os
import struct
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha1
from typing import Any, Final

import msgspec

from tests.support.wire import Wire, request, wire

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE: Final = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)


class Closed(Exception):
    """The server's close frame."""

    def __init__(self, payload: bytes) -> None:
        self.code = int.from_bytes(payload[:2]) if payload else None
        self.reason = payload[2:].decode()
        super().__init__(self.code, self.reason)


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, mask: bool = True, flags: int = 0) -> bytes:
    """A client's frame."""
    first = (0x80 if final else 0) | flags | opcode
    size = len(payload)
    if size < 126:
        head = bytes([first, (0x80 if mask else 0) | size])
    else:
        head = bytes([first, (0x80 if mask else 0) | 126]) + struct.pack("!H", size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


class SocketClient:
    """An open WebSocket."""

    def __init__(self, connection: Wire, head: bytes, rest: bytes) -> None:
        self.wire = connection
        self.head = head
        self._rest = rest

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.wire.send(frame(msgspec.json.encode(message)))

    def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; raises `EOFError` at the end of the connection."""
        first, second = self._take(2)
        if second & 0x80:
            raise ValueError("a server's frame is not masked")
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8))
        if first & 0xF0 != 0x80:
            raise ValueError(f"not a whole frame without extensions: {first:#x}")
        return first & 0x0F, self._take(size)

    def message(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types, or of any but heartbeats; raises `Closed` at the server's close."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                raise Closed(payload)
            if opcode != TEXT:
                continue
            message: dict[str, Any] = msgspec.json.decode(payload)
            if message["type"] in types or (not types and message["type"] != "heartbeat"):
                return message

    def until(self, *types: str) -> list[dict[str, Any]]:
        """The messages up to and including the next of these types."""
        messages = [self.message()]
        while messages[-1]["type"] not in types:
            messages.append(self.message())
        return messages

    def closed(self) -> Closed:
        """The server's close; messages before it are skipped, and nothing but the end of the connection follows."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                self.wire.send(frame(payload, CLOSE))
                with contextlib.suppress(EOFError, ConnectionResetError):
                    raise ValueError(f"a frame after the close: {self.frame()}")
                return Closed(payload)

    def _take(self, count: int) -> bytes:
        while len(self._rest) < count:
            data = self.wire.socket.recv(65536)
            if not data:
                raise EOFError("the connection was closed")
            self._rest += data
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken


@contextlib.contextmanager
def open_socket(
    base_url: str, path: str = "/api/contents/c/ws", *headers: str, first: bytes = b"", receive_buffer: int = 0
) -> Iterator[SocketClient]:
    """A WebSocket for the block; `first` is sent with the request."""
    with wire(base_url, receive_buffer) as connection:
        connection.send(request("GET", path, *UPGRADE, *headers) + first)
        head, _, rest = connection.until(b"\r\n\r\n").partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ValueError(head.decode())
        accepted = b64encode(sha1(KEY.encode() + GUID, usedforsecurity=False).digest())
        if b"Sec-WebSocket-Accept: " + accepted not in head:
            raise ValueError("the key was not accepted")
        yield SocketClient(connection, head, rest)
