"""Memory: refused, aborted and discarded requests leave nothing behind."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import msgspec
import pytest

from tests.hostile.publishes import CHUNKS, OFFER, chunked, post
from tests.support.hub_process import HubProcess, hub_process
from tests.support.publishing import publish_all
from tests.support.socket_client import UPGRADE, frame
from tests.support.waiting import eventually
from tests.support.wire import LAST, Wire, exchange, request, wire

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs smaps of Linux")

PADDING: Final = "X-Padding: " + "x" * 12_000
"""A header that makes a leaked request measurable, within the limit of a head."""

WARM: Final = 80
"""Requests of each kind before the first measurement: they fill caches and arenas."""

COUNT: Final = 500
"""Requests of each kind between the two measurements."""

GROWTH: Final = 3 * 1024 * 1024
"""Bytes by which the process may grow: half of what it would grow if it leaked each request of one kind. Python returns
little memory, so the process grows to its peak."""

STREAM = request("GET", "/api/contents/quiet/events", PADDING)
SOCKET = request("GET", "/api/contents/quiet/ws", PADDING, *UPGRADE)
SUBSCRIBE = b'{"type":"subscribe","channel_ids":["quiet-1","quiet-2"]}'
POLL = request("GET", "/api/contents/quiet/changes?wait=25", PADDING)


def broken_off(sent: bytes, how: Callable[[Wire], None], *, at: float) -> Callable[[str, int], None]:
    """A client that ends the connection after this part of a request."""

    def visit(base_url: str, number: int) -> None:
        with wire(base_url) as opened:
            opened.send(sent[: int(len(sent) * at)])
            how(opened)

    return visit


def answered(*parts: bytes) -> Callable[[str, int], None]:
    """A client that sends this and reads to the end of the connection."""

    def visit(base_url: str, number: int) -> None:
        exchange(base_url, *(part.replace(b"NUMBER", b"%d" % number) for part in parts), finish=True)

    return visit


def watched(sent: bytes, how: Callable[[Wire], None]) -> Callable[[str, int], None]:
    """A client that disconnects once the stream has begun."""

    def visit(base_url: str, number: int) -> None:
        with wire(base_url) as opened:
            opened.send(sent)
            opened.answer("HEAD")
            how(opened)

    return visit


def upgraded(sent: bytes, how: Callable[[Wire], None]) -> Callable[[str, int], None]:
    """A client that disconnects once the socket is open."""

    def visit(base_url: str, number: int) -> None:
        with wire(base_url) as opened:
            opened.send(sent)
            opened.until(b"\r\n\r\n")
            how(opened)

    return visit


VISITORS: Final = {
    "half a head": broken_off(POLL, Wire.finish, at=0.9),
    "half a head, reset": broken_off(POLL, Wire.reset, at=0.9),
    "a long poll, reset": broken_off(POLL, Wire.reset, at=1),
    "a poll behind a long poll, reset": broken_off(POLL + POLL, Wire.reset, at=1),
    "half a body": broken_off(request("POST", "/api/publish", PADDING, body=OFFER), Wire.finish, at=0.999),
    "half a chunk": broken_off(chunked(CHUNKS, PADDING), Wire.reset, at=0.999),
    "a stream": watched(STREAM, Wire.finish),
    "a stream, reset": watched(STREAM + LAST, Wire.reset),
    "a stream of HTTP/1.0": watched(STREAM.replace(b"HTTP/1.1", b"HTTP/1.0") + LAST, Wire.reset),
    "a socket": upgraded(SOCKET, Wire.finish),
    "a socket that says much, reset": upgraded(SOCKET + frame(SUBSCRIBE) + frame(b"x" * 4_000) * 9, Wire.reset),
    "a socket within a message, reset": upgraded(SOCKET + frame(b"x" * 4_000, final=False), Wire.reset),
    "a socket that breaks the protocol": upgraded(SOCKET + frame(b"x" * 4_000, mask=False), Wire.finish),
    "half an upgrade": broken_off(SOCKET, Wire.reset, at=0.999),
    "two lengths": answered(post("Content-Length: 2", "Content-Length: 3", PADDING, body=b"{}")),
    "a wrong size": answered(chunked(b"x\r\n", PADDING)),
    "another protocol": answered(b"\x16\x03\x01" + b"\0" * 12_000),
    "an upgrade": answered(
        post("Connection: Upgrade", "Upgrade: websocket", PADDING, f"Content-Length: {len(OFFER)}", body=OFFER + LAST)
    ),
    "another path each time": answered(request("GET", "/nope/NUMBER" + "x" * 12_000, "Connection: close")),
    "another query each time": answered(request("GET", "/healthz?NUMBER" + "x" * 12_000, "Connection: close")),
    "another token each time": answered(
        request("GET", "/api/contents/c", "Authorization: Bearer NUMBER." + "x" * 12_000, "Connection: close")
    ),
    "another cookie each time": answered(
        request("GET", "/api/contents/c", "Cookie: statushub_token=NUMBER." + "x" * 12_000, "Connection: close")
    ),
    "another origin each time": answered(
        request("GET", "/api/contents/c", "Origin: http://NUMBER" + "x" * 12_000, "Connection: close")
    ),
    "another address each time": answered(
        request("GET", "/api/contents/c", "X-Forwarded-For: NUMBER" + "x" * 12_000, "Connection: close")
    ),
    "another id each time": answered(
        request("POST", "/api/contents/status/batch", body=b'{"content_ids":["NUMBER%b"]}' % (b"x" * 100)) + LAST
    ),
    "a refused publish": answered(
        request("POST", "/api/publish", body=b'{"channel":"c","lese":"NUMBER","x":"%b"}' % (b"x" * 12_000)) + LAST
    ),
    "a deep publish": answered(request("POST", "/api/publish", body=b"[" * 12_000 + b"]" * 12_000) + LAST),
}


def visit(hub: HubProcess, count: int) -> None:
    """`count` visits of each kind."""
    for number in range(count):
        for visitor in VISITORS.values():
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                visitor(hub.base_url, number)


def settled(hub: HubProcess) -> bool:
    """Whether the hub counts no streams."""
    text = httpx.get(f"{hub.base_url}/metrics").text
    return re.search(r"^statushub_streams 0\.0$", text, re.MULTILINE) is not None


@pytest.mark.alone
def test_broken_requests_leak_no_memory(tmp_path: Path) -> None:
    """After thousands of broken requests of every kind the process is as large as after a few."""
    with hub_process(tmp_path, log_level="error") as hub:
        visit(hub, WARM)
        eventually(lambda: settled(hub))
        before = hub.memory
        visit(hub, COUNT)
        eventually(lambda: settled(hub))
        grown = hub.memory - before
        print(f"{COUNT * len(VISITORS)} requests, and {grown / 1024:.0f} KiB more")
        assert grown < GROWTH


MEGABYTES = 10 * 1024 * 1024

ENDLESS: Final = {
    "a target": b"GET /" + b"x" * MEGABYTES,
    "a field": b"GET / HTTP/1.1\r\nX: " + b"x" * MEGABYTES,
    "fields": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MEGABYTES // 6),
    "a method": b"G" * MEGABYTES,
    "empty lines": b"\r\n" * (MEGABYTES // 2),
    "a chunk's extension": chunked(b"2;" + b"x" * MEGABYTES),
    "a trailer": chunked(b"2\r\n{}\r\n0\r\nX: " + b"x" * MEGABYTES),
    "trailers": chunked(b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * (MEGABYTES // 6)),
    "noughts for a size": chunked(b"0" * MEGABYTES),
    "a body": post(f"Content-Length: {MEGABYTES}", body=b'"' + b"x" * MEGABYTES),
    "a body in chunks": chunked((b"%x\r\n%b\r\n" % (MEGABYTES // 10, b"x" * (MEGABYTES // 10))) * 10),
    "requests behind a long poll": request("GET", "/api/contents/quiet/changes?wait=2")
    + b"GET / HTTP/1.1\r\n\r\n" * (MEGABYTES // 18),
    "a request in a stream": STREAM + b"x" * MEGABYTES,
    "a handshake": b"\x16\x03\x01" * (MEGABYTES // 3),
    "messages on a socket": SOCKET + frame(b'{"type":"ping"}') * (MEGABYTES // 21),
    "a message on a socket": SOCKET + b"\x81\xff" + (2 * MEGABYTES).to_bytes(8) + b"x" * MEGABYTES,
    "parts of a message on a socket": SOCKET + frame(b"x", final=False) + frame(b"", 0, final=False) * (MEGABYTES // 6),
    "frames behind a refused upgrade": SOCKET.replace(b"websocket", b"h2c") + frame(b"{}") * (MEGABYTES // 8),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with hub_process(tmp_path_factory.mktemp("hub"), log_level="error") as hub:
        yield hub


@pytest.mark.parametrize("sent", ENDLESS.values(), ids=list(ENDLESS))
def test_ten_megabytes_are_not_buffered(hub: HubProcess, sent: bytes) -> None:
    """Five simultaneous clients that wait for an answer do not make the hub buffer their bodies."""
    with contextlib.ExitStack() as stack:
        exchange(hub.base_url, sent[:9_000], finish=True)
        before = hub.memory
        for _ in range(5):
            opened = stack.enter_context(wire(hub.base_url))
            # Backpressure is as good as a close.
            opened.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                opened.send(sent)
        with wire(hub.base_url) as another:
            another.send(LAST)
            assert [answer.status for answer in another.answers()] == [200]
        # What is refused is freed a moment later.
        eventually(lambda: hub.memory - before < 2 * MEGABYTES)


SOCKETS: Final = 30
ANSWER_BYTES: Final = 12_000_000


def content_ids(item: int) -> list[str]:
    """The ids of as many contents of `item` bytes as an answer of a batch or a channel of `ANSWER_BYTES` has."""
    return [f"big-{number}" for number in range(ANSWER_BYTES // item)]


UNREAD: Final = {
    "a channel of small contents": (900, request("GET", "/api/contents/big")),
    "a channel of large contents": (60_000, request("GET", "/api/contents/big")),
    "in HTTP/1.0": (60_000, request("GET", "/api/contents/big").replace(b"1.1", b"1.0", 1)),
    "changes": (60_000, request("GET", "/api/contents/big/changes")),
    "batches": (
        60_000,
        request(
            "POST", "/api/contents/status/batch", body=msgspec.json.encode({"content_ids": content_ids(60_000)[:100]})
        )
        * 5,
    ),
}


@pytest.mark.parametrize("name", UNREAD)
def test_unread_answers_are_not_buffered(tmp_path: Path, name: str) -> None:
    """Thirty clients ask for twelve megabytes and read nothing: the hub grows by a fraction, and drops all of them."""
    item, sent = UNREAD[name]
    with hub_process(tmp_path, log_level="error", stall_timeout=2) as hub, contextlib.ExitStack() as stack:
        events = [
            {"channel": "big", "content_id": content_id, "data": {"status": "complete", "result_url": "x" * item}}
            for content_id in content_ids(item)
        ]
        for start in range(0, len(events), 100):
            publish_all(hub, events[start : start + 100])
        exchange(hub.base_url, sent.replace(b"Host:", b"Connection: close\r\nHost:"))
        before = peak = hub.memory
        for _ in range(SOCKETS):
            stack.enter_context(wire(hub.base_url, receive_buffer=4096)).send(sent)

        def ended() -> bool:
            nonlocal peak
            peak = max(peak, hub.memory)
            text = httpx.get(f"{hub.base_url}/metrics", timeout=30).text
            return f'refusals_total{{limit="stall_timeout"}} {SOCKETS}.0' in text

        eventually(ended)
        print(f"{name}: {(peak - before) / 1e6:.0f} MB more")
        assert peak - before < SOCKETS * ANSWER_BYTES / 6
