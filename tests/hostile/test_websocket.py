"""WebSocket against hostile clients: handshakes, frames, floods and half-open connections."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from statushub.hub.viewers.push_socket import PushSocket
from statushub.hub.viewers.socket import BURST
from statushub.hub.wire.frames import MESSAGE_BYTES
from tests.hostile.seed import SEED
from tests.hostile.witness import check_settled, unharmed
from tests.support.effort import part
from tests.support.live import LiveHub
from tests.support.publishing import publish
from tests.support.socket_client import BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, UPGRADE, frame, open_socket
from tests.support.waiting import eventually
from tests.support.wire import LAST, Wire, exchange, request, wire

WEBSOCKET = UPGRADE[:3]
PING_MESSAGE = b'{"type":"ping"}'
LONG = b"x" * MESSAGE_BYTES

HANDSHAKE = request("GET", "/api/contents/c/ws", *UPGRADE)

HANDSHAKES: dict[str, tuple[tuple[str, ...], int]] = {
    "no upgrade": ((), 426),
    "no Connection": (UPGRADE[1:], 426),
    "to TLS": (("Connection: Upgrade", "Upgrade: TLS/1.2"), 426),
    "to nothing": (("Connection: Upgrade", "Upgrade:"), 426),
    "no key": (WEBSOCKET, 400),
    "a short key": ((*WEBSOCKET, "Sec-WebSocket-Key: x"), 400),
    "a long key": ((*WEBSOCKET, f"Sec-WebSocket-Key: {KEY}{KEY}"), 400),
    "a key that is no base64": ((*WEBSOCKET, "Sec-WebSocket-Key: \xff\xfe"), 400),
    "two keys": ((*UPGRADE, f"Sec-WebSocket-Key: {KEY}"), 400),
    "no version": ((*WEBSOCKET[:2], UPGRADE[3]), 400),
    "another version": ((*WEBSOCKET[:2], "Sec-WebSocket-Version: 8", UPGRADE[3]), 400),
    "a body": ((*UPGRADE, "Content-Length: 5"), 400),
    "chunks": ((*UPGRADE, "Transfer-Encoding: chunked"), 400),
    "other subprotocols": ((*UPGRADE, "Sec-WebSocket-Protocol: graphql-ws"), 400),
    "a foreign page": ((*UPGRADE, "Origin: https://elsewhere.example"), 403),
    "a page without an origin": ((*UPGRADE, "Origin: null"), 403),
    "another host": ((*UPGRADE, "Host: elsewhere.example"), 403),
}


@pytest.fixture(scope="module")
def portable() -> Iterator[LiveHub]:
    """A hub whose sockets stay with the web server."""
    with unharmed(http="h11") as hub:
        yield hub


@pytest.mark.parametrize(("fields", "status"), HANDSHAKES.values(), ids=list(HANDSHAKES))
def test_a_wrong_handshake_is_answered_in_http(hub: LiveHub, fields: tuple[str, ...], status: int) -> None:
    """Once, with what would be right; the frames that follow it are never taken for a request."""
    switching = any("Connection" in field for field in fields)
    for path in ("/api/ws", "/api/contents/c/ws"):
        sent = request("GET", path, *fields) + (frame(PING_MESSAGE) if switching else b"") + LAST
        first, *others = exchange(hub.base_url, sent)
        assert first.status == status
        assert first.json["error"]["code"]
        assert first.header("upgrade") == ("websocket" if status == 426 else None)
        assert first.header("sec-websocket-version") == ("13" if status in (400, 426) else None)
        assert [answer.status for answer in others] == ([] if switching else [200])


@pytest.mark.parametrize("fields", [
    UPGRADE,
    ("CONNECTION: keep-alive, UPGRADE", "UPGRADE: WebSocket", *UPGRADE[2:]),
    ("Connection: Upgrade", "Upgrade: h2c, websocket", *UPGRADE[2:]),
    (*UPGRADE, "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99"),
    (*UPGRADE, "Sec-WebSocket-Protocol: other, statushub"),
], ids=range(5))  # fmt: skip
def test_every_right_handshake_is_accepted(hub: LiveHub, fields: tuple[str, ...]) -> None:
    """In any letters, with extensions that are not used, and byte by byte."""
    for parts in ([request("GET", "/api/ws", *fields)], [bytes([it]) for it in request("GET", "/api/ws", *fields)]):
        with wire(hub.base_url) as opened:
            for piece in parts:
                opened.send(piece)
            head = opened.until(b"\r\n\r\n").lower()
            assert head.startswith(b"http/1.1 101 ")
            assert b"extensions" not in head
            assert b"transfer-encoding" not in head
            assert (b"sec-websocket-protocol: statushub\r\n" in head) is (
                b"other" in parts[0] or "other" in str(fields)
            )
            opened.send(frame(PING_MESSAGE))
            opened.until(b'"pong"')


def test_messages_may_follow_the_handshake_immediately(hub: LiveHub) -> None:
    """In the same segment, also behind a request on the same connection, and more than a read of them."""
    padded = msgspec.json.encode({"type": "ping", "x": "x" * 1_000})
    with open_socket(hub.base_url, "/api/ws", first=frame(padded) * 60) as client:
        assert [client.message()["type"] for _ in range(60)] == ["pong"] * 60
    with wire(hub.base_url) as opened:
        opened.send(request("GET", "/healthz") + request("GET", "/api/ws", *UPGRADE) + frame(PING_MESSAGE))
        assert opened.answer().status == 200
        opened.until(b'"pong"')


CLOSES: dict[str, tuple[bytes, int]] = {
    "an unmasked frame": (frame(PING_MESSAGE, mask=False), 1002),
    "an unknown opcode": (frame(b"", 3), 1002),
    "a reserved flag": (frame(PING_MESSAGE, flags=0x40), 1002),
    "a long control frame": (frame(b"x" * 126, PING), 1002),
    "a control frame in parts": (frame(b"x", PING, final=False), 1002),
    "the middle of a message": (frame(b"x", CONT), 1002),
    "a message within another": (frame(b"x", final=False) + frame(b"x"), 1002),
    "text that is no UTF-8": (frame(b"\xff\xfe"), 1007),
    "text that is no UTF-8, in parts": (frame(b"\xc3", final=False) + frame(b"\x28", CONT), 1007),
    "a long message": (frame(LONG + b"x"), 1009),
    "a long message in parts": (frame(LONG, final=False) + frame(b"x", CONT), 1009),
    "a length of 2^63": (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"1234", 1009),
    "a close without a code": (frame(b"", CLOSE), 0),
    "a close with a reason": (frame(b"\x03\xe8bye", CLOSE), 1000),
    "a close of one byte": (frame(b"\x03", CLOSE), 1002),
    "a close with a code that is none": (frame(b"\x00\x01", CLOSE), 1002),
    "a close with broken text": (frame(b"\x03\xe8\xff", CLOSE), 1007),
}


@pytest.mark.parametrize("more", [b"", frame(b"{}") * 9], ids=["alone", "with more behind it"])
@pytest.mark.parametrize(("sent", "code"), CLOSES.values(), ids=list(CLOSES))
def test_a_socket_is_closed_with_the_right_code(hub: LiveHub, sent: bytes, code: int, more: bytes) -> None:
    """And the connection ends, without waiting for a client that does not answer."""
    for pieces in ([sent + more], [bytes([byte]) for byte in sent[:200]] + [sent[200:], more]):
        with open_socket(hub.base_url, "/api/contents/c/ws") as client:
            for piece in pieces:
                client.wire.send(piece)
            assert (client.closed().code or 0) == code
    check_settled(hub)


def test_a_message_may_come_in_parts(hub: LiveHub) -> None:
    """With pings between them, and byte by byte; each ping is answered with its payload."""
    parts = [frame(b'{"type"', final=False), frame(b"now", PING), frame(b":", CONT, final=False)]
    whole = b"".join([*parts, frame(b'"ping"}', CONT)])
    for pieces in ([whole], [bytes([byte]) for byte in whole]):
        with open_socket(hub.base_url, "/api/ws") as client:
            for piece in pieces:
                client.wire.send(piece)
            assert client.frame() == (PONG, b"now")
            assert client.message()["type"] == "pong"


@pytest.mark.parametrize(
    "flood",
    [frame(b"", PING), frame(b"", PONG), frame(b"", TEXT), frame(b"{}", BINARY), frame(b"", CONT, final=False)],
    ids=["pings", "pongs", "empty messages", "errors", "empty parts"],
)
def test_a_flood_of_frames_ends_the_socket(hub: LiveHub, flood: bytes) -> None:
    """Frames of every kind count, in one read or in many."""
    start = frame(b"", final=False) if flood[0] & 0x0F == CONT else b""
    for pieces in ([start + flood * 5_000], [start, *[flood] * 200]):
        with open_socket(hub.base_url, "/api/ws") as client:
            for piece in pieces:
                client.wire.send(piece)
            assert client.closed().code == 4429
    check_settled(hub)


def test_a_client_that_reads_nothing_is_not_answered_for_ever(hub: LiveHub) -> None:
    """Its messages wait in its own socket: the hub holds at most what one read brings."""
    with open_socket(hub.base_url, "/api/contents/deaf/ws", receive_buffer=4096) as client:
        client.message("ready")
        [held] = [it for it in hub.hub.viewers if isinstance(it, PushSocket)]
        while not held._stalled:
            publish(hub, "deaf", "generating", channel="deaf", padding="x" * 60_000)
        transport: Any = held.transport
        before = transport.get_write_buffer_size()
        client.wire.socket.settimeout(0.3)
        names = [f"{number:040}" for number in range(64)]
        message = frame(msgspec.json.encode({"type": "subscribe", "channel_ids": names}))
        with contextlib.suppress(TimeoutError):
            while True:
                client.wire.socket.sendall(message)
        assert transport.get_write_buffer_size() == before
        assert len(held._unread) <= 256 * 1024
        assert held.channels == ["deaf"]
    check_settled(hub)


@pytest.mark.parametrize("how", [Wire.finish, Wire.reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("kind", ["hub", "portable"])
def test_a_socket_may_end_anywhere(kind: str, how: Any, request: pytest.FixtureRequest) -> None:
    """After any byte of its handshake and of a message, nothing remains of it, and nothing is logged."""
    hub: LiveHub = request.getfixturevalue(kind)
    publish(hub, "a", "generating")
    sent = HANDSHAKE + frame(PING_MESSAGE)
    for offset in range(len(sent) + 1):
        with wire(hub.base_url) as opened:
            opened.send(sent[:offset])
            how(opened)
    check_settled(hub)


def test_a_half_open_socket_is_removed(hub: LiveHub) -> None:
    """A client that ends its side without a close is not waited for."""
    with open_socket(hub.base_url) as client:
        client.message("ready")
        client.wire.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                client.frame()
    check_settled(hub)


@pytest.mark.parametrize("http", [None, "h11"], ids=["handed over", "portable"])
def test_a_stalled_socket_is_aborted(http: Any) -> None:
    """One that takes nothing for the stall timeout, as a stream."""
    with (
        unharmed(http=http, stall_timeout=0.3, heartbeat=0.2) as hub,
        open_socket(hub.base_url, receive_buffer=4096) as client,
    ):
        client.message("ready")

        def gone() -> bool:
            publish(hub, "a", "generating", padding="x" * 60_000)
            return len(hub.hub.viewers) == 0

        eventually(gone)


def test_mutated_frames_are_answered_or_closed(hub: LiveHub) -> None:
    """Bytes are changed, removed and repeated: the hub closes or answers, and nothing is logged."""
    draw = random.Random(SEED)
    whole = frame(msgspec.json.encode({"type": "subscribe", "channel_ids": ["c", "d"]})) + frame(b"hi", PING)
    for _ in range(part(400)):
        data = bytearray(whole + frame(b"", CLOSE))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data))
            data[place : place + draw.choice((0, 1, 1, 1, 9))] = draw.randbytes(draw.choice((0, 1, 1, 2, 9)))
        with wire(hub.base_url) as opened:
            opened.send(request("GET", "/api/ws", *UPGRADE) + bytes(data))
            opened.until(b"\r\n\r\n")
            opened.finish()
    check_settled(hub)


def test_a_burst_is_what_the_bucket_holds(hub: LiveHub) -> None:
    """As many messages as it holds are answered."""
    with open_socket(hub.base_url, "/api/ws", first=frame(PING_MESSAGE) * BURST) as client:
        assert [client.message()["type"] for _ in range(BURST)] == ["pong"] * BURST
