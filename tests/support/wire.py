"""HTTP/1.1 over a plain socket: tests choose each byte that is sent, and see each one that is received."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

READ_SECONDS: Final = 20.0
"""The time limit for the next bytes. A hub that closes or answers does so immediately."""

BODILESS: Final = (204, 304)


class Answer(msgspec.Struct, frozen=True):
    """One response: the head without its status line, and the body without its framing."""

    status: int
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """All bytes of the head and the body."""
        return self.head + b"\r\n\r\n" + self.body

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def header(self, name: str) -> str | None:
        """The value of the first field of this name."""
        for line in self.head.decode("latin-1").split("\r\n"):
            field, _, value = line.partition(":")
            if field.lower() == name:
                return value.strip()
        return None


class Wire:
    """A connection to a hub; `receive_buffer` is the most bytes that the kernel takes while nothing is read."""

    def __init__(self, base_url: str, receive_buffer: int = 0) -> None:
        address = urlsplit(base_url)
        self.socket = socket.socket()
        self.socket.settimeout(READ_SECONDS)
        if receive_buffer:
            # Before the connection is made, which settles the window.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((address.hostname, address.port))
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send the data, or as much of it as the hub reads before it closes."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, to a request of this method. Raises `EOFError` where the connection ends before it."""
        while True:
            while b"\r\n\r\n" not in self._rest:
                self._receive()
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            status_line, _, fields = head.partition(b"\r\n")
            version, status, *_ = status_line.split(b" ")
            if version != b"HTTP/1.1":
                raise ValueError(f"not a status line: {status_line[:200]!r}")
            if int(status) >= 200:
                break
        answer = Answer(int(status), fields, b"")
        if method == "HEAD" or answer.status in BODILESS:
            return answer
        if answer.header("transfer-encoding") == "chunked":
            return msgspec.structs.replace(answer, body=b"".join(self._chunks()))
        return msgspec.structs.replace(answer, body=self._bytes(int(answer.header("content-length") or 0)))

    def answers(self, methods: Sequence[str] = ()) -> list[Answer]:
        """All answers until the end of the connection, which must not be within an answer."""
        answers: list[Answer] = []
        while True:
            try:
                answers.append(self.answer(methods[len(answers)] if len(answers) < len(methods) else "GET"))
            except (EOFError, ConnectionResetError):
                if self._rest:
                    raise ValueError(f"the connection ended within an answer: {self._rest[:200]!r}") from None
                return answers

    def until(self, mark: bytes) -> bytes:
        """The received bytes that are in no answer yet, once they contain `mark`."""
        while mark not in self._rest:
            self._receive()
        return self._rest

    def finish(self) -> None:
        """Close the sending direction (FIN)."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the connection, as by a machine that has lost it (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _chunks(self) -> Iterator[bytes]:
        while True:
            while b"\r\n" not in self._rest:
                self._receive()
            size, _, self._rest = self._rest.partition(b"\r\n")
            chunk = self._bytes(int(size, 16) + 2)
            if chunk == b"\r\n":
                return
            yield chunk[:-2]

    def _bytes(self, count: int) -> bytes:
        while len(self._rest) < count:
            self._receive()
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def _receive(self) -> None:
        data = self.socket.recv(256 * 1024)
        if not data:
            raise EOFError("the connection was closed")
        self._rest += data


@contextlib.contextmanager
def wire(base_url: str, receive_buffer: int = 0) -> Iterator[Wire]:
    """A connection for the block, as `Wire`."""
    opened = Wire(base_url, receive_buffer)
    try:
        yield opened
    finally:
        opened.socket.close()


def exchange(base_url: str, *parts: bytes, methods: Sequence[str] = (), finish: bool = False) -> list[Answer]:
    """Send these parts on a new connection, and read the answers until the hub closes it."""
    with wire(base_url) as opened:
        for part in parts:
            opened.send(part)
        if finish:
            opened.finish()
        return opened.answers(methods)


def request(method: str, target: str, *headers: str, body: bytes = b"", host: str = "localhost") -> bytes:
    """A valid request; a body is JSON with its length declared."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


LAST: Final = request("GET", "/healthz", "Connection: close")
"""The last request of a connection: its answer shows that the hub found the end of the previous request."""
