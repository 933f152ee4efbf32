"""A client for event streams over a plain socket: what is on the wire is what a test sees."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.support.publishing import Served

READ_SECONDS = 10.0


class Frame(msgspec.Struct, frozen=True):
    """One frame: the fields as they stand on the wire."""

    event: str | None = None
    id: str | None = None
    data: str = ""
    retry: int | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def offset(self) -> int:
        return int((self.id or "").rpartition("-")[2])


class StreamClient:
    """An open stream. Reads block for at most `READ_SECONDS`."""

    def __init__(self, connection: socket.socket, status: int, headers: dict[str, str], rest: bytes) -> None:
        self.socket = connection
        self.status = status
        self.headers = headers
        self.ended = False
        self._raw = rest
        self._text = b""

    def frame(self) -> Frame:
        """The next frame; raises `EOFError` at the end of the stream."""
        while b"\n\n" not in self._text:
            self._text += self._body()
        text, _, self._text = self._text.partition(b"\n\n")
        return _parse(text.decode(errors="replace"))

    def event(self, *types: str) -> Frame:
        """The next frame that is an event, of these types if any are given; heartbeats are passed over."""
        while True:
            frame = self.frame()
            if frame.event in types or (not types and frame.event not in (None, "heartbeat")):
                return frame

    def until(self, *types: str) -> list[Frame]:
        """The events up to and with the next of these types."""
        frames = [self.event()]
        while frames[-1].event not in types:
            frames.append(self.event())
        return frames

    def until_content(self, **expected: Any) -> list[Frame]:
        """The events up to and with the first whose data say all of `expected`."""
        frames: list[Frame] = []
        while not frames or expected.items() - frames[-1].json.items():
            frames.append(self.event())
        return frames

    def rest(self) -> list[Frame]:
        """Everything up to the end of the stream."""
        frames = []
        with contextlib.suppress(EOFError):
            while True:
                frames.append(self.frame())
        return frames

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            return self._chunk()
        if not self._raw:
            self._receive()
        body, self._raw = self._raw, b""
        return body

    def _chunk(self) -> bytes:
        while b"\r\n" not in self._raw:
            self._receive()
        size_line, _, rest = self._raw.partition(b"\r\n")
        size = int(size_line, 16)
        while len(self._raw) < len(size_line) + 2 + size + 2:
            self._receive()
        rest = self._raw[len(size_line) + 2 :]
        body, end, self._raw = rest[:size], rest[size : size + 2], rest[size + 2 :]
        if end != b"\r\n":
            raise ValueError(f"a chunk ends with {end!r}")
        if size == 0:
            self.ended = True
            raise EOFError("the body has ended")
        return body

    def _receive(self) -> None:
        data = self.socket.recv(256 * 1024)
        if not data:
            raise EOFError("the connection was closed")
        self._raw += data


def _parse(text: str) -> Frame:
    fields: dict[str, Any] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        fields[name] = value.removeprefix(" ")
    if "retry" in fields:
        fields["retry"] = int(fields["retry"])
    return Frame(**fields)


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


def said(frames: list[Frame]) -> list[tuple[str | None, str]]:
    """Type and content id of each frame."""
    return [(frame.event, frame.json.get("content_id", "")) for frame in frames]
