"""Answers that are not read, and bodies that drip on: each connection ends, and the others are served meanwhile."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from statushub.hub.http.connection import Connection
from statushub.hub.http.handover import HandoverProtocol
from tests.hostile.publishes import OFFER
from tests.hostile.witness import check_settled, unharmed
from tests.support.asgi_server import live_server, unix_server
from tests.support.certificate import certificate
from tests.support.command import serving
from tests.support.live import LiveHub
from tests.support.publishing import publish_all
from tests.support.tokens import SECRET
from tests.support.waiting import eventually
from tests.support.wire import LAST, Wire, request, wire

STALL_SECONDS: Final = 0.5
SLOW_SECONDS: Final = 2.0
"""The time limit of a client that does read, on a machine that is busy with other tests."""

END_SECONDS: Final = 8.0
"""Within which a connection of `hub` must have ended: many times its limits, and less than the defaults."""

DEAF: Final = 4096
"""The receive buffer of a client that does not read: the kernel takes no more than a few kilobytes for it."""

CONTENTS: Final = 100
CONTENT_BYTES: Final = 60_000
IDS: Final = ",".join(f'"big-{number}"' for number in range(CONTENTS))


def fill(hub: Any) -> None:
    """Publish a channel of six megabytes."""
    for start in range(0, CONTENTS, 50):
        publish_all(hub, [
            {"channel": "big", "content_id": f"big-{number}", "data": {"status": "idle", "x": "y" * CONTENT_BYTES}}
            for number in range(start, start + 50)
        ])  # fmt: skip


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub with short limits and a large channel."""
    with unharmed(stall_timeout=STALL_SECONDS, request_timeout=STALL_SECONDS, heartbeat=1.0) as hub:
        fill(hub)
        yield hub


@pytest.fixture(scope="module")
def patient() -> Iterator[LiveHub]:
    """A hub that waits a minute for a client to read."""
    with unharmed() as hub:
        fill(hub)
        yield hub


BATCH: Final = request("POST", "/api/contents/status/batch", body=b'{"content_ids":[%b]}' % IDS.encode())
BIG: Final = request("GET", "/api/contents/big")

UNREAD: Final = {
    "a channel": BIG,
    "a channel in HTTP/1.0": BIG.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a channel, and close": request("GET", "/api/contents/big", "Connection: close"),
    "changes": request("GET", "/api/contents/big/changes"),
    "a batch": BATCH,
    "batches": BATCH * 20,
    "the description": request("GET", "/openapi.json"),
    "pages": request("GET", "/assets/client/machine.js") * 200,
    "ranges of a page": request("GET", "/assets/client/machine.js", "Range: bytes=0-4000") * 200,
    "metrics": request("GET", "/metrics") * 200,
    "heads": request("HEAD", "/assets/client/machine.js") * 2_000,
    "errors": request("GET", "/nope") * 2_000,
    "an answer and a broken request": BIG + b"\x16\x03\x01",
    "an answer and half a request": BIG + b"GET / HT",
    "an answer and half a body": BIG + request("POST", "/api/publish", "X: y", body=OFFER)[:-5],
    "a summary": request("GET", "/api/contents/big/status") * 200,
    "jobs": request("POST", "/v1/ai/jobs/batch-status", body=b'{"job_ids":["big-0","big-1"]}') * 500,
    "a stream": request("GET", "/api/contents/big/events"),
    "a stream in HTTP/1.0": request("GET", "/api/contents/big/events").replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("end", [None, Wire.finish], ids=["open", "half-closed"])
@pytest.mark.parametrize("sent", UNREAD.values(), ids=list(UNREAD))
def test_an_answer_that_is_not_read_is_dropped(hub: LiveHub, sent: bytes, end: Any) -> None:
    """The connection ends by itself, whatever was asked, and nothing of it remains."""
    with wire(hub.base_url, receive_buffer=DEAF) as opened:
        eventually(lambda: hub.server_state.connections)
        opened.socket.settimeout(STALL_SECONDS)
        with contextlib.suppress(TimeoutError):
            opened.send(sent)
        if end is not None:
            end(opened)
        gone(hub)
    check_settled(hub)


def gone(hub: LiveHub) -> None:
    """Wait until the hub has no connection."""
    eventually(lambda: not hub.server_state.connections, within=END_SECONDS)


def refused(hub: LiveHub, limit: str) -> int:
    """How many requests this limit has refused, by the metrics."""
    found = re.search(rf'refusals_total{{limit="{limit}"}} (\d+)', httpx.get(f"{hub.base_url}/metrics").text)
    assert found, limit
    return int(found[1])


def test_a_dropped_answer_is_counted(hub: LiveHub) -> None:
    """The metric of refusals names the limit."""
    before = refused(hub, "stall_timeout")
    with wire(hub.base_url, receive_buffer=DEAF) as opened:
        opened.send(BIG)
        eventually(lambda: refused(hub, "stall_timeout") == before + 1)


def test_a_client_that_reads_a_byte_now_and_then_is_dropped(hub: LiveHub) -> None:
    """Single bytes do not restart the timeout."""
    pause = threading.Event()
    with wire(hub.base_url, receive_buffer=DEAF) as opened:
        eventually(lambda: hub.server_state.connections)
        opened.send(BIG)

        def ended() -> bool:
            pause.wait(0.02)
            with contextlib.suppress(ConnectionError):
                opened.socket.recv(1)
            return not hub.server_state.connections

        eventually(ended, within=END_SECONDS)


def test_a_slow_client_gets_its_answer() -> None:
    """The timeout is that of a piece: a whole answer may take several times as long."""
    pause = threading.Event()
    with unharmed(stall_timeout=SLOW_SECONDS) as hub, wire(hub.base_url, receive_buffer=64 * 1024) as opened:
        fill(hub)
        opened.send(request("GET", "/api/contents/big", "Connection: close"))
        received = bytearray()
        while data := opened.socket.recv(256 * 1024):
            received += data
            pause.wait(SLOW_SECONDS * 2.5 * len(data) / (CONTENTS * CONTENT_BYTES))
        assert received.endswith(b"}")
        assert len(received) > CONTENTS * CONTENT_BYTES


@pytest.mark.timeout(180)
def test_no_request_is_answered_before_the_former_answer_is_read(patient: LiveHub) -> None:
    """A client that pipelines fifty requests and reads nothing makes the hub answer one; it gets all when it reads."""
    application = patient.application
    paths: list[str] = []

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/api/contents/big"):
            paths.append(scope["path"])
        await application(scope, receive, send)

    patient.application = counting
    try:
        with wire(patient.base_url, receive_buffer=DEAF) as opened:
            opened.send(BIG * 49 + request("GET", "/api/contents/big", "Connection: close"))
            for _ in range(20):
                assert httpx.get(f"{patient.base_url}/healthz").status_code == 200
            assert len(paths) == 1
            answers = opened.answers()
        assert [answer.status for answer in answers] == [200] * 50
        assert len({answer.body for answer in answers}) == 1
        assert len(paths) == 50
    finally:
        patient.application = application


def test_a_small_answer_is_read_before_the_next_request(patient: LiveHub) -> None:
    """The hub stops reading where a pipeline of small answers fills the socket."""
    sent = request("GET", "/assets/client/machine.js")
    with wire(patient.base_url, receive_buffer=DEAF) as opened:
        opened.send(sent * 200)
        for _ in range(20):
            assert httpx.get(f"{patient.base_url}/healthz").status_code == 200
        [connection] = paused(patient)
        assert connection.transport.get_write_buffer_size() < 64 * 1024
        assert [opened.answer().status for _ in range(200)] == [200] * 200


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_long_answer_is_whole(patient: LiveHub, version: str) -> None:
    """It has its length in its head, also for HEAD, and parses."""
    sent = request("GET", "/api/contents/big", "Connection: close").replace(b"1.1", version.encode(), 1)
    with wire(patient.base_url) as opened:
        opened.send(sent)
        [answer] = opened.answers()
    assert len(answer.body) == int(answer.header("content-length") or 0)
    assert [content["content_id"] for content in answer.json["contents"]] == [
        f"big-{n}" for n in reversed(range(CONTENTS))
    ]
    with wire(patient.base_url) as opened:
        opened.send(sent.replace(b"GET", b"HEAD"))
        assert opened.answer("HEAD").header("content-length") == str(len(answer.body))


def test_a_client_that_stops_sending_gets_the_rest(patient: LiveHub) -> None:
    """A half-closed connection is kept until the answer that has begun is read."""
    with wire(patient.base_url, receive_buffer=DEAF) as opened:
        opened.send(BIG)
        opened.socket.recv(1, socket.MSG_PEEK)
        opened.finish()
        assert httpx.get(f"{patient.base_url}/healthz").status_code == 200
        [answer] = opened.answers()
    assert len(answer.json["contents"]) == CONTENTS
    gone(patient)


def paused(hub: LiveHub) -> list[Any]:
    """The connections that wait for their clients to read."""
    connections = [it for it in [*hub.server_state.connections] if isinstance(it, Connection)]
    return [it for it in connections if it.flow.write_paused]


class Download:
    """An application whose answer has `size` bytes, in one message or several; `ended` is set after it."""

    def __init__(self, size: int, messages: int = 1) -> None:
        self.size = size
        self.messages = messages
        self.ended = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(self.messages):
                await send({"type": "http.response.body", "body": bytes(self.size), "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self.ended.set()


IMPATIENT: Final = partial(HandoverProtocol, stall_seconds=SLOW_SECONDS)


def test_the_process_holds_a_limited_number_of_bytes() -> None:
    """Beyond `max_unread` the client that has read nothing for longest is dropped, and the latest gets its answer."""
    with unharmed(max_unread=16_000_000) as hub, contextlib.ExitStack() as stack:
        application, download = hub.application, Download(6_000_000)

        async def downloading(scope: Any, receive: Any, send: Any) -> None:
            await (download if scope["path"] == "/download" else application)(scope, receive, send)

        hub.application = downloading
        deaf = [stack.enter_context(wire(hub.base_url, receive_buffer=DEAF)) for _ in range(6)]
        for number, opened in enumerate(deaf, start=1):
            opened.send(request("GET", "/download"))
            eventually(lambda number=number: len(paused(hub)) + refused(hub, "unread") == number)  # type: ignore[misc]
        assert refused(hub, "unread") == 4
        for opened in deaf[:4]:
            with pytest.raises((ConnectionError, EOFError)):
                opened.answer()
        for opened in deaf[4:]:
            assert opened.answer().body == bytes(6_000_000)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("messages", [1, 200], ids=["one message", "messages"])
@pytest.mark.parametrize("over", ["TCP", "TLS", "a Unix socket"])
def test_every_transport_drops_what_is_not_read(over: str, messages: int, loop: str, tmp_path: Path) -> None:
    """Under both event loops the application's task ends, and so does the connection."""
    app = Download(8_000_000 // messages, messages)
    with contextlib.ExitStack() as stack:
        if over == "a Unix socket":
            stack.enter_context(unix_server(app, tmp_path / "socket", http=IMPATIENT, loop=loop))
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(tmp_path / "socket"))
        else:
            options = certificate(tmp_path) if over == "TLS" else {}
            base_url = stack.enter_context(live_server(app, http=IMPATIENT, loop=loop, **options))
            connection = stack.enter_context(wire(base_url, receive_buffer=DEAF)).socket
            if over == "TLS":
                context = ssl.create_default_context(cafile=options["ssl_certfile"])
                connection = stack.enter_context(context.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(request("GET", "/"))
        assert connection.recv(12) == b"HTTP/1.1 200"
        assert app.ended.wait(END_SECONDS)
        received = 0
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := connection.recv(65_536):
                received += len(data)
        assert received < 8_000_000


@pytest.mark.parametrize("sent", [BIG, request("GET", "/assets/client/machine.js") * 100], ids=["one", "many"])
def test_a_stop_does_not_wait_for_a_client_that_reads_nothing(tmp_path: Path, sent: bytes) -> None:
    """The answer is dropped a second after SIGTERM, long before it would have been otherwise."""
    with (
        serving("--broker", "memory:", "--grace", 50, cwd=tmp_path) as (process, url),
        wire(url, receive_buffer=DEAF) as opened,
    ):
        fill(url)
        opened.send(sent)
        opened.socket.recv(1, socket.MSG_PEEK)
        assert httpx.get(f"{url}/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_SECONDS) == 0


HEAD: Final = "{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\r\n\r\n"
LENGTH: Final = "Content-Length: 1000"
DRIPPED: Final = {
    "400": ("POST /api/publish", "Content-Length: 2000000000000000000000", b"1"),
    "401": ("POST /api/publish", f"{LENGTH}\r\nAuthorization: Bearer x", b"1"),
    "404": ("POST /nope", LENGTH, b"1"),
    "404 in chunks": ("POST /nope", "Transfer-Encoding: chunked", b"1\r\nx\r\n"),
    "404 of an extension": ("POST /nope", "Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "404 of a trailer": ("POST /nope", "Transfer-Encoding: chunked\r\n\r\n0\r\nX:", b"x"),
    "404, close": ("POST /nope", f"{LENGTH}\r\nConnection: close", b"1"),
    "405": ("DELETE /api/publish", LENGTH, b"1"),
    "408": ("POST /api/publish", LENGTH, b"1"),
    "413": ("POST /api/publish", "Content-Length: 100000000", b"1"),
    "413 in chunks": ("POST /api/contents/status/batch", "Transfer-Encoding: chunked\r\n\r\n50000", b"x"),
    "415": ("POST /api/publish", f"{LENGTH}\r\nContent-Type: text/plain", b"1"),
    "417": ("POST /nope", f"{LENGTH}\r\nExpect: 100-continue", b"1"),
    "200": ("GET /healthz", LENGTH, b"1"),
    "a page": ("GET /assets/client/machine.js", LENGTH, b"1"),
    "an upgrade": ("POST /nope", f"{LENGTH}\r\nConnection: upgrade\r\nUpgrade: websocket", b"1"),
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[LiveHub]:
    """A hub that requires a token."""
    with unharmed(secret=SECRET, request_timeout=STALL_SECONDS, stall_timeout=STALL_SECONDS) as hub:
        yield hub


@pytest.mark.parametrize("name", DRIPPED)
def test_a_body_that_drips_on_ends_the_connection(hub: LiveHub, guarded: LiveHub, name: str) -> None:
    """An answer that came before the request's end leaves the rest a limited time to arrive."""
    (line, fields, drop), where = DRIPPED[name], guarded if name == "401" else hub
    pause = threading.Event()
    with wire(where.base_url) as opened:
        eventually(lambda: where.server_state.connections)
        opened.send(HEAD.format(line, fields).encode())

        def ended() -> bool:
            pause.wait(0.02)
            opened.send(drop)
            return not where.server_state.connections

        eventually(ended, within=END_SECONDS)
    check_settled(where)


def test_a_body_that_arrives_after_its_answer_leaves_the_connection_open(hub: LiveHub) -> None:
    """The next request is answered; without one the connection ends."""
    with wire(hub.base_url) as opened:
        for _ in range(3):
            opened.send(request("POST", "/nope", body=b"x" * 100)[:-50])
            assert opened.answer().status == 404
            opened.send(b"x" * 50)
        opened.send(request("GET", "/healthz"))
        assert opened.answer().status == 200
        opened.send(request("POST", "/nope", body=b"x" * 100)[:-50])
        assert opened.answer().status == 404
        opened.send(b"x" * 50)
        gone(hub)


def test_empty_lines_keep_no_connection_open(hub: LiveHub) -> None:
    """They are no request, so that the next one's head is late."""
    pause = threading.Event()
    with wire(hub.base_url) as opened:
        opened.send(request("GET", "/healthz"))
        assert opened.answer().status == 200

        def ended() -> bool:
            pause.wait(0.02)
            opened.send(b"\r\n")
            return not hub.server_state.connections

        eventually(ended, within=END_SECONDS)


def test_empty_lines_before_a_request_are_ignored(hub: LiveHub) -> None:
    """Requests after them are answered, trailers are still discarded, and the connection stays open."""
    with wire(hub.base_url) as opened:
        for _ in range(3):
            opened.send(b"\r\n\r\n")
            opened.send(request("GET", "/healthz"))
            assert opened.answer().status == 200
        opened.send(b"\r\n" + LAST)
        assert [answer.status for answer in opened.answers()] == [200]
