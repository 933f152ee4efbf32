"""A server that answers what a test says, byte by byte: slowly, endlessly, wrongly."""

from __future__ import annotations

import contextlib
import itertools
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Final

DRIP_SECONDS: Final = 0.05
"""The pause between two bytes of a dripping answer."""

END_OF_HEAD: Final = b"\r\n\r\n"


class Connection:
    """One connection to the server."""

    def __init__(self, handler: socketserver.StreamRequestHandler, stopping: threading.Event) -> None:
        self._handler = handler
        self._stopping = stopping

    def send(self, data: bytes) -> None:
        """Send `data` immediately."""
        self._handler.wfile.write(data)

    def head(self, status: str, **headers: str) -> None:
        """Send the head of an HTTP answer."""
        lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.send("\r\n".join([*lines, "Connection: close", "", ""]).encode())

    def drip(self, data: bytes) -> None:
        """Send `data` a byte at a time, again and again, until the client leaves or the server stops."""
        for byte in itertools.cycle(data):
            if self._stopping.wait(DRIP_SECONDS):
                return
            self.send(bytes([byte]))

    def pour(self, data: bytes) -> None:
        """Send `data` again and again, as fast as it is taken, until the client leaves or the server stops."""
        while not self._stopping.is_set():
            self.send(data)

    def line(self) -> bytes:
        """The next line that the client sends."""
        return self._handler.rfile.readline()


Answer = Callable[[Connection], None]


class RogueServer:
    """The server's port, and the heads of the requests that it got."""

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def rogue_server(*answers: Answer, greets: bool = False) -> Iterator[RogueServer]:
    """Run a server on a free port, of which the n-th connection gets the n-th answer, and further ones the last.

    It reads the head of an HTTP request first, unless it `greets`.
    """
    server, stopping = RogueServer(), threading.Event()
    following = iter(itertools.chain(answers, itertools.repeat(answers[-1])))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            answer = next(following)
            if not greets:
                server.heads.append(b"".join(iter(self.rfile.readline, b"\r\n")))
            with contextlib.suppress(OSError):
                answer(Connection(self, stopping))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            listener.shutdown()
            thread.join()
