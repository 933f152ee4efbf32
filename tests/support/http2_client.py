"""A client for event streams over HTTP/2 without TLS, by prior knowledge: several on one connection.

httpx is none: it does not tell the server when one stream of a connection is closed.
"""

from __future__ import annotations

import collections
import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events

from tests.support.frames import Frame, Frames
from tests.support.sse_client import READ_SECONDS

WINDOW = 2**24
"""Bytes that the server may send without being told that they were read: more than any test has."""


class Http2Connection:
    """A connection. Its reads block for at most `READ_SECONDS`."""

    def __init__(self, connection: socket.socket, authority: str) -> None:
        self._socket = connection
        self._authority = authority
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW)
        self._frames: dict[int, Frames] = {}
        self._pending: dict[int, collections.deque[Frame]] = {}
        self.headers: dict[int, dict[str, str]] = {}
        self.ended: set[int] = set()

    def open(self, path: str) -> int:
        """Ask for a stream; returns its number."""
        number = self._h2.get_next_available_stream_id()
        names = {":method": "GET", ":path": path, ":scheme": "http", ":authority": self._authority}
        self._h2.send_headers(number, list(names.items()), end_stream=True)
        self._h2.increment_flow_control_window(WINDOW, number)
        self._frames[number], self._pending[number] = Frames(chunked=False), collections.deque()
        self._send()
        return number

    def close(self, number: int) -> None:
        """End one stream, as a page does that leaves."""
        self._h2.reset_stream(number, error_code=8)
        self._send()

    def until(self, number: int, event: str) -> Frame:
        """The stream's next frame of this type; raises `EOFError` where the stream ends before."""
        while True:
            while self._pending[number]:
                if (frame := self._pending[number].popleft()).event == event:
                    return frame
            if number in self.ended:
                raise EOFError(f"the stream ended before {event}")
            self._read()

    def _read(self) -> None:
        received = self._socket.recv(65_536)
        if not received:
            self.ended |= set(self._frames)
        for event in self._h2.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                self.headers[event.stream_id] = {
                    bytes(name).decode(): bytes(value).decode() for name, value in event.headers
                }
            elif isinstance(event, h2.events.DataReceived):
                self._pending[event.stream_id] += self._frames[event.stream_id].feed(event.data)
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                self.ended.add(event.stream_id)
        self._send()

    def _send(self) -> None:
        if data := self._h2.data_to_send():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._socket.sendall(data)


@contextlib.contextmanager
def http2_connection(base_url: str) -> Iterator[Http2Connection]:
    """A connection for the block."""
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname, address.port), timeout=READ_SECONDS) as connection:
        yield Http2Connection(connection, address.netloc)
