"""A client for event streams over a plain socket, which shows tests exactly what is sent."""

from __future__ import annotations

import collections
import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.support.frames import Frame, Frames
from tests.support.publishing import Served

READ_SECONDS = 30.0


class StreamClient:
    """An open stream. Reads block for at most `READ_SECONDS`."""

    def __init__(self, connection: socket.socket, status: int, headers: dict[str, str], rest: bytes) -> None:
        self.socket = connection
        self.status = status
        self.headers = headers
        self._frames = Frames(chunked=headers.get("transfer-encoding") == "chunked")
        self._pending = collections.deque(self._frames.feed(rest))

    @property
    def ended(self) -> bool:
        """Whether the body is complete."""
        return self._frames.ended

    def frame(self) -> Frame:
        """The next frame; raises `EOFError` at the end of the stream."""
        while not self._pending:
            if self.ended:
                raise EOFError("the body has ended")
            data = self.socket.recv(256 * 1024)
            if not data:
                raise EOFError("the connection was closed")
            self._pending.extend(self._frames.feed(data))
        return self._pending.popleft()

    def event(self, *types: str) -> Frame:
        """The next frame that is an event, of one of these types if any are given; heartbeats are skipped."""
        while True:
            frame = self.frame()
            if frame.event in types or (not types and frame.event not in (None, "heartbeat")):
                return frame

    def until(self, *types: str) -> list[Frame]:
        """The events up to and including the next of these types."""
        frames = [self.event()]
        while frames[-1].event not in types:
            frames.append(self.event())
        return frames

    def until_content(self, **expected: Any) -> list[Frame]:
        """The events up to and including the first whose data equal `expected` in its fields."""
        frames: list[Frame] = []
        while not frames or expected.items() - frames[-1].json.items():
            frames.append(self.event())
        return frames

    def rest(self) -> list[Frame]:
        """All frames until the end of the stream."""
        frames = []
        with contextlib.suppress(EOFError):
            while True:
                frames.append(self.frame())
        return frames


@contextlib.contextmanager
def open_stream(
    base_url: str,
    path: str,
    headers: dict[str, str] | None = None,
    *,
    method: str = "GET",
    version: str = "1.1",
    receive_buffer: int | None = None,
) -> Iterator[StreamClient]:
    """Request `path` and read the head of the answer."""
    address = urlsplit(base_url)
    with socket.socket() as connection:
        connection.settimeout(READ_SECONDS)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect((address.hostname, address.port))
        lines = [f"{method} {path} HTTP/{version}", f"Host: {address.netloc}", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while b"\r\n\r\n" not in received:
            data = connection.recv(65536)
            if not data:
                raise EOFError("the connection was closed before the head of an answer")
            received += data
        head, _, rest = received.partition(b"\r\n\r\n")
        status_line, *fields = head.decode().split("\r\n")
        pairs = (field.partition(":") for field in fields)
        yield StreamClient(
            connection, int(status_line.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, rest
        )


@contextlib.contextmanager
def stream(hub: Served, *, channel: str = "c", cursor: str | None = None, **options: Any) -> Iterator[StreamClient]:
    """The stream of one channel, resumed from `cursor` where one is given."""
    headers = {"Last-Event-ID": cursor} if cursor else {}
    with open_stream(hub.base_url, f"/api/contents/{channel}/events", headers, **options) as client:
        assert client.status == 200
        yield client


def outline(frames: list[Frame]) -> list[tuple[str | None, str]]:
    """Type and content id of each frame."""
    return [(frame.event, frame.json.get("content_id", "")) for frame in frames]
