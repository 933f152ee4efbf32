"""`python -m tests.bench.misbehaviour ACT PORT`: one tenant's clients that take all they can from a hub, until the
process is ended. They run at the lowest priority, as clients on another machine would not slow the hub's."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from tests.support.tokens import bearer

READERS: Final = 10
"""Clients that read the big channel simultaneously, each again and again."""

DEAF: Final = 30
"""Clients that ask for a large answer and read nothing."""

DEAF_BUFFER: Final = 4096
"""Their receive buffer: the kernel takes next to nothing for them."""

STREAMS: Final = 600
STREAM_CHANNELS: Final = 64
FAT_BYTES: Final = 50_000
FILL_BYTES: Final = 5_000
CHUNK: Final = 1 << 20
TAIL: Final = 256
"""Of what was read before, as many bytes are kept as a mark may have."""

READY: Final = b"event: ready"

HEADERS: Final = bearer(tenant="neighbour", sub="taker", jti="one")
BIG: Final = "/api/contents/big"


class Client:
    """One keep-alive connection, over a plain socket that reads a megabyte at a time."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))

    def ask(self, path: str, *, version: str = "1.1", body: bytes = b"") -> None:
        """Send a request, and wait for nothing."""
        lines = [
            f"{'POST' if body else 'GET'} {path} HTTP/{version}",
            "Host: localhost",
            *(f"{name}: {value}" for name, value in HEADERS.items()),
            *([f"Content-Length: {len(body)}", "Content-Type: application/json"] if body else []),
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def until(self, mark: bytes) -> bytes:
        """Read until the mark; returns the last bytes. Raises `ConnectionError` at the end of the connection."""
        tail = b""
        while mark not in tail:
            data = self.socket.recv(CHUNK)
            if not data:
                raise ConnectionError("the hub closed the connection")
            tail = tail[-TAIL:] + data
        return tail

    def answer(self) -> bytes:
        """Read one whole answer; returns its head, its first bytes and its last."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(CHUNK)
            if not more:
                raise ConnectionError("the hub closed the connection")
            data += more
        more = data
        first = tail = data
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if length:
            left = int(length[1]) - len(body)
            while left > 0:
                more = self.socket.recv(CHUNK)
                left -= len(more) or left
                tail = tail[-TAIL:] + more
        else:
            while more and not tail.endswith(b"\r\n0\r\n\r\n"):
                more = self.socket.recv(CHUNK)
                tail = tail[-TAIL:] + more
        return first + tail[-TAIL:]

    def close(self) -> None:
        self.socket.close()


Turn = Callable[[int], None]
"""One act against the hub at a port; it is repeated, and may raise `OSError`."""


def _reads(path: str) -> Turn:
    def turn(port: int) -> None:
        client = Client(port)
        with contextlib.closing(client):
            while True:
                client.ask(path)
                client.answer()

    return turn


def _walks(port: int) -> None:
    """Page after page of the summary, and from the beginning again."""
    client = Client(port)
    with contextlib.closing(client):
        after = ""
        while True:
            client.ask(f"{BIG}/status?limit=1000{after}")
            found = re.search(rb'"next":\s*"([^"]+)"', client.answer())
            after = f"&after={found[1].decode()}" if found else ""


def _streams(version: str) -> Turn:
    def turn(port: int) -> None:
        client = Client(port)
        with contextlib.closing(client):
            client.ask(f"{BIG}/events", version=version)
            client.until(READY)

    return turn


def _unread(path: str, body: bytes = b"") -> Turn:
    def turn(port: int) -> None:
        client = Client(port, receive_buffer=DEAF_BUFFER)
        with contextlib.closing(client):
            client.ask(path, body=body)
            # It reads nothing, until the hub has closed the connection.
            while not _closed(client.socket):
                PAUSE.wait(0.5)

    return turn


def _closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        # With a full buffer only an error tells that the peer is gone.
        connection.send(b"\n")
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def _ghosts(port: int) -> None:
    """Streams of channels that do not exist, held for ever."""
    held: list[Client] = []
    for _ in range(STREAMS // READERS):
        client = Client(port)
        held.append(client)
        names = [f"channel=ghost-{next(NUMBERS)}" for _ in range(STREAM_CHANNELS)]
        client.ask("/api/events?" + "&".join(names))
        with contextlib.suppress(ConnectionError):
            client.until(b"\r\n\r\n")
    PAUSE.wait()


def _fills(port: int) -> None:
    """Publishes contents, each a new one."""
    client = Client(port)
    with contextlib.closing(client):
        while True:
            events = [
                {
                    "channel": "full",
                    "content_id": f"content-{next(NUMBERS)}",
                    "data": {"status": "idle", "x": "y" * FILL_BYTES},
                }
                for _ in range(10)
            ]
            client.ask("/api/publish", body=msgspec.json.encode({"events": events}))
            client.answer()


NUMBERS: Final = itertools.count()
"""For names that are used once."""

PAUSE: Final = threading.Event()
"""Never set."""

IDS: Final = msgspec.json.encode({"content_ids": [f"fat-{n}" for n in range(100)]})

ACTS: Final[dict[str, tuple[int, Turn]]] = {
    "unread changes": (DEAF, _unread("/api/contents/wide/changes")),
    "unread batches": (DEAF, _unread("/api/contents/status/batch", IDS)),
    "status": (READERS, _reads(f"{BIG}/status")),
    "contents": (READERS, _reads(BIG)),
    "pages": (READERS, _walks),
    "changes": (READERS, _reads(f"{BIG}/changes")),
    "streams": (READERS, _streams("1.1")),
    "streams 1.0": (READERS, _streams("1.0")),
    "channels": (READERS, _ghosts),
    "fills": (4, _fills),
}
"""By name: how many clients do it simultaneously, and what."""


def fillings(act: str) -> Iterator[list[dict[str, object]]]:
    """Batches of events that the neighbour publishes before this act."""
    if act in ("status", "contents", "pages", "changes", "streams", "streams 1.0"):
        yield from _contents("big", "content", 100_000, "x" * 250)
    elif act == "unread changes":
        yield from _contents("wide", "content", 12_000, "x" * 1_000)
    elif act == "unread batches":
        yield from _contents("fat", "fat", 100, "x" * FAT_BYTES, batch=10)


def _contents(channel: str, name: str, count: int, text: str, *, batch: int = 500) -> Iterator[list[dict[str, object]]]:
    for start in range(0, count, batch):
        yield [
            {
                "channel": channel,
                "content_id": f"{name}-{n}",
                "data": {"status": "idle", "progress": n % 100, "note": text},
            }
            for n in range(start, min(start + batch, count))
        ]


def _again(turn: Turn, port: int) -> None:
    while True:
        try:
            turn(port)
        except OSError:
            # A refusal or a connection that the hub closed: it comes again at once, as a bad client does.
            PAUSE.wait(0.05)


def main(arguments: Sequence[str]) -> None:
    """Do it until the process is ended."""
    act, port = arguments
    os.nice(19)
    clients, turn = ACTS[act]
    threads = [threading.Thread(target=_again, args=(turn, int(port)), daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    threads[0].join()


if __name__ == "__main__":
    main(sys.argv[1:])
