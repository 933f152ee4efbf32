"""Sockets: connections that end, stall and send byte by byte, and requests for another protocol."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from statushub.hub.app import ROUTES
from tests.hostile.publishes import CHUNKS, OFFER, chunked
from tests.hostile.seed import SEED
from tests.hostile.witness import check_settled
from tests.support.effort import part
from tests.support.hub_process import hub_process
from tests.support.live import LiveHub
from tests.support.tokens import token
from tests.support.wire import LAST, Wire, exchange, request, wire

STREAM = request("GET", "/api/contents/c/events", "Last-Event-ID: k3f9a2-1")
WAITING = request("GET", "/api/contents/silent/changes?wait=25")

REQUESTS = {
    "a poll": request("GET", "/api/contents/c", 'If-None-Match: "k3-1"'),
    "a long poll": WAITING,
    "a stream": STREAM,
    "a stream of HTTP/1.0": STREAM.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a publish": request("POST", "/api/publish", body=OFFER),
    "a publish in chunks": chunked(CHUNKS, "Expect: 100-continue"),
    "a page": request("GET", "/assets/dashboard/dashboard.js", "Range: bytes=0-9"),
    "two requests": WAITING + request("GET", "/healthz"),
    "two streams": STREAM + STREAM,
    "a stream of HTTP/1.0 and a request": STREAM.replace(b"HTTP/1.1", b"HTTP/1.0") + LAST,
}


@pytest.mark.parametrize("how", [Wire.finish, Wire.reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("sent", REQUESTS.values(), ids=list(REQUESTS))
def test_a_connection_may_end_anywhere(hub: LiveHub, sent: bytes, how: Callable[[Wire], None]) -> None:
    """After any byte of a request, with or without a reset, nothing remains of it and nothing is logged."""
    for offset in range(len(sent) + 1):
        with wire(hub.base_url) as opened:
            opened.send(sent[:offset])
            how(opened)
    check_settled(hub)


def test_a_request_may_come_byte_by_byte(hub: LiveHub) -> None:
    """The request is answered like any other, and so are the next ones."""
    for sent, status in ((REQUESTS["a publish"], 200), (REQUESTS["a publish in chunks"], 200), (OFFER, 400)):
        parts = (bytes([byte]) for byte in sent + LAST)
        statuses = [answer.status for answer in exchange(hub.base_url, *parts)]
        assert statuses == ([status, 200] if status == 200 else [400])


def test_a_long_poll_ends_with_its_client(hub: LiveHub) -> None:
    """The disconnect is noticed immediately, although another request is pipelined behind the poll."""
    with wire(hub.base_url) as opened:
        opened.send(WAITING + request("GET", "/healthz"))
        while len(hub.hub.viewers) == 0:
            with wire(hub.base_url) as other:
                other.send(LAST)
                other.answers()
        opened.reset()
    check_settled(hub)


WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

UPGRADES = {
    "as it should be": (*WEBSOCKET, KEY),
    "without a key": WEBSOCKET,
    "with a key of another length": (*WEBSOCKET, "Sec-WebSocket-Key: x"),
    "with two keys": (*WEBSOCKET, KEY, KEY),
    "of another version": (*WEBSOCKET[:2], "Sec-WebSocket-Version: 99", KEY),
    "from elsewhere": (*WEBSOCKET, KEY, "Origin: https://elsewhere.example"),
    "with extensions": (*WEBSOCKET, KEY, "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99"),
    "in other letters": ("CONNECTION: keep-alive, UPGRADE", "UPGRADE: WebSocket", "Sec-WebSocket-Version: 13", KEY),
    "to several protocols": ("Connection: Upgrade", "Upgrade: h2c, websocket", KEY),
    "to TLS": ("Connection: Upgrade", "Upgrade: TLS/1.2"),
    "to nothing": ("Connection: Upgrade", "Upgrade:"),
}
FRAME = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" + LAST

PATHS = sorted(
    {str(getattr(route, "path", "")) for route in ROUTES}
    | {"/assets/dashboard/dashboard.js", "/nope", "/api/contents/c/ws"}
)


@pytest.mark.parametrize("secret", [False, True], ids=["without a key", "with a key"])
@pytest.mark.parametrize("fields", UPGRADES.values(), ids=list(UPGRADES))
def test_no_other_route_upgrades(hub: LiveHub, auth_required: LiveHub, fields: tuple[str, ...], secret: bool) -> None:
    """A request to upgrade is answered in HTTP once, like any other, and what follows is discarded."""
    for path, method in itertools.product(PATHS, ("GET", "POST", "DELETE")):
        if ("events" in path or path.endswith("/ws")) and method == "GET":
            continue
        target = path.replace("{channel_id:path}", "c").replace("{id:path}", "v")
        answers = exchange((auth_required if secret else hub).base_url, request(method, target, *fields) + FRAME)
        assert len(answers) == 1, target
        assert 200 <= answers[0].status < 500, target
        if secret and target.startswith(("/api/contents", "/api/publish")) and answers[0].status != 405:
            assert answers[0].status == 401


def test_no_route_upgrades_under_the_command(tmp_path: Path) -> None:
    """`statushub serve` configures uvicorn itself."""
    with hub_process(tmp_path) as hub:
        for fields in UPGRADES.values():
            [answer] = exchange(hub.base_url, request("POST", "/api/publish", *fields, body=OFFER) + FRAME)
            # The parser drops the body of such a request, which then is refused.
            assert answer.status in (200, 400)


def test_a_stream_does_not_upgrade(hub: LiveHub) -> None:
    """The stream sends its events, and bytes in another protocol are discarded."""
    with wire(hub.base_url) as opened:
        opened.send(request("GET", "/api/contents/c/events", *UPGRADES["as it should be"]) + FRAME)
        opened.until(b"event: ready")
        opened.send(FRAME * 3)
        [answer] = exchange(hub.base_url, request("POST", "/api/publish", "Connection: close", body=OFFER))
        assert answer.json["accepted"]
        assert opened.until(b'"content_id":"a"').count(b"HTTP/1.1") == 1


HOSTS = [
    "", " ", "localhost:", "localhost:0", "localhost:99999", "LOCALHOST.", "[::1]", "[::1]:80", "[::1", "[", "]", "::1",
    "127.1", "0x7f.1", "127.0.0.1.nip.io", "localhost.evil.example", "localhost@evil.example", "evil.example:80",
    "evil.example#localhost", "\xff\xfe", "a" * 5_000, "127.0.0.1, evil.example", "[fe80::1%25lo]", "xn--", ".",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_every_host_is_answered(hub: LiveHub, host: str) -> None:
    """Without a key only loopback names are served; every other is 403 (DNS rebinding)."""
    [first, _] = exchange(hub.base_url, request("GET", "/healthz", host=host) + LAST)
    name = host.lower().strip().removesuffix(".")
    local = name.startswith("localhost:") or name in ("localhost", "[::1]", "[::1]:80")
    assert first.status == (200 if local else 403)
    two = b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert exchange(hub.base_url, two)[0].status == 403


FORWARDED = [
    "",
    ",",
    ", ,",
    "\xff\xfe",
    "127.0.0.1",
    "::1",
    "[::1",
    "1.2.3.4:x",
    "unknown",
    '"',
    "a" * 9_000,
    "1," * 4_000,
]


@pytest.mark.parametrize("said", FORWARDED, ids=range(len(FORWARDED)))
def test_every_forwarded_address_is_answered(hub: LiveHub, said: str) -> None:
    """Sent by a trusted proxy and by an untrusted client: polls are answered, and streams open and end."""
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "X-Forwarded-Host"):
        [first, _] = exchange(hub.base_url, request("GET", "/api/contents/c", f"{name}: {said}") + LAST)
        assert first.status == 200
        with wire(hub.base_url) as opened:
            opened.send(request("GET", "/api/contents/c/events", f"{name}: {said}"))
            opened.until(b"event: ready")


def test_thousands_of_parameters_are_answered(hub: LiveHub) -> None:
    """Such a request is answered or refused for its size, and never with a 5xx."""
    for query, status in (
        ("&".join(["channel=c"] * 1_000), 200),
        ("&".join(f"channel={number}" for number in range(1_000)), 422),
        ("&" * 15_000, 422),
        ("channel=c" + "&a" * 7_000, 200),
        ("channel=c&" + "%" * 9_000, 200),
        ("channel=" + "c" * 16_384, 431),
    ):
        [first, _] = exchange(hub.base_url, request("HEAD", f"/api/events?{query}") + LAST, methods=["HEAD", "GET"])
        assert first.status == status


ASSETS = [
    "a%00b", "%00", "..", "../hub/app.py", "%2e%2e/pyproject.toml", "%2e%2e%2fpyproject.toml", "..%5cx", "/etc/passwd",
    "%2fetc%2fpasswd", "a" * 4_000, "%ff", "%ed%a0%80", "%F0%9F%98%80", ".", "", "dashboard/board.js/",
    "dashboard/board.js%00", "%252e%252e/pyproject.toml", "....//pyproject.toml", "dashboard/board.js%0a",
    "dashboard/board.js?../../x",
]  # fmt: skip


@pytest.mark.parametrize("name", ASSETS)
def test_only_the_pages_files_are_served(hub: LiveHub, name: str) -> None:
    """Every other path, traversals included, is 4xx."""
    [first, _] = exchange(hub.base_url, request("GET", f"/assets/{name}") + LAST)
    assert first.status in (400, 404) or name.startswith("dashboard/board.js")
    assert b"[project]" not in first.body
    assert b"root:" not in first.body


RANGES = [
    "bytes=0-9", "bytes=-", "bytes=a-b", "bytes=9-0", "bytes=-0", "bytes=0-", "bytes=" + "9" * 5_000 + "-", "lines=0-1",
    "bytes=0-0," * 900, "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 1_600, 2)), "bytes=0-9,0-9,0-9", "\xff",
    "bytes", "bytes=0-" + "0" * 5_000, "bytes=\xb2-\xb3",
]  # fmt: skip


@pytest.mark.parametrize("spelled", RANGES, ids=range(len(RANGES)))
def test_every_range_of_a_file_is_answered(hub: LiveHub, spelled: str) -> None:
    """The answer has the range, the whole file or a 4xx, and never many times the file."""
    whole = exchange(hub.base_url, request("GET", "/assets/dashboard/index.html", "Connection: close"))[0].body
    for condition in ("X: y", "If-Range: \xff", 'If-Range: "x"', "If-Range: Mon, 99 Jan 99999 99:99:99 +999999"):
        sent = request("GET", "/assets/dashboard/index.html", f"Range: {spelled}", condition) + LAST
        [first, _] = exchange(hub.base_url, sent)
        assert first.status in (200, 206, 400, 416)
        assert len(first.body) <= 100 * len(whole)


def test_mutated_requests_are_answered_or_closed(hub: LiveHub) -> None:
    """Bytes are changed, removed and repeated: the answers are 2xx to 4xx, and nothing is logged."""
    draw = random.Random(SEED)
    whole = [sent for name, sent in REQUESTS.items() if "stream" not in name and "long" not in name]
    for _ in range(part(1_500)):
        data = bytearray(draw.choice(whole) + draw.choice(whole))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(data))
            data[place : place + draw.choice((0, 1, 1, 1, 9))] = draw.choice(
                (
                    b"",
                    b"\0",
                    b"\r",
                    b"\n",
                    b"\r\n",
                    b"\r\n\r\n",
                    b":",
                    b" ",
                    b"\t",
                    b"\xff",
                    b"chunked",
                    b"0",
                    b"-",
                    b"%",
                )
            )
        with wire(hub.base_url) as opened:
            opened.send(bytes(data))
            opened.finish()
            raw = b""
            with contextlib.suppress(ConnectionResetError):
                while more := opened.socket.recv(65536):
                    raw += more
        assert b"HTTP/1.1 5" not in raw, bytes(data)


def test_every_credential_is_answered(auth_required: LiveHub) -> None:
    """Any bytes may stand for a token, a cookie, a ticket or a cursor."""
    draw = random.Random(SEED)
    good = token()
    for _ in range(part(600)):
        text = draw.choice(("", good, good[:-9], "a.b.c", "..", "W10.W10.W10")) + "".join(
            chr(draw.choice((*range(33, 127), *range(160, 256), 9, 32))) for _ in range(draw.randint(0, 60))
        )
        field = draw.choice(
            (
                "Authorization: Bearer {}", "Authorization: {}", "Cookie: statushub_token={}", "Cookie: {}",
                "Cookie: a=b; statushub_token=\"{}\"; statushub_token", "Last-Event-ID: {}", "If-None-Match: {}",
                "Access-Control-Request-Method: {}", "Origin: {}", "Content-Type: {}", "Sec-Fetch-Site: {}",
            )
        )  # fmt: skip
        method = draw.choice(("GET", "POST", "HEAD", "DELETE", "OPTIONS"))
        path = draw.choice(("/api/contents/c", "/api/session", "/api/tickets", "/api/publish", "/api/revoke", "/"))
        sent = request(
            method, path, field.format(text), *([f"Authorization: Bearer {good}"] if draw.random() < 0.5 else [])
        )
        answers = exchange(auth_required.base_url, sent + LAST, methods=[method, "GET"])
        assert all(answer.status < 500 for answer in answers), sent
        assert len(answers) == 2, sent
