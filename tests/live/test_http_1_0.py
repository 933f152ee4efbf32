"""HTTP/1.0, which proxies speak to the servers behind them by default: no answer is in chunks."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish, publish_all
from tests.support.sse_client import READ_SECONDS, open_stream
from tests.support.waiting import eventually
from tests.support.wire import exchange, request

CONTENTS = 60
BIG = {"status": "idle", "x": "y" * 30_000}
"""The channel `big` has 1.8 MB: many pieces of every kind of answer."""

IDS = b",".join(b'"big-%d"' % number for number in range(CONTENTS))

REQUESTS = {
    "a page": request("GET", "/"),
    "a file": request("GET", "/assets/client/machine.js"),
    "a part of a file": request("GET", "/assets/client/machine.js", "Range: bytes=0-99"),
    "parts of a file": request("GET", "/assets/client/machine.js", "Range: bytes=0-99,200-299"),
    "the description": request("GET", "/openapi.json"),
    "health": request("GET", "/healthz"),
    "metrics": request("GET", "/metrics"),
    "a channel": request("GET", "/api/contents/big"),
    "a summary": request("GET", "/api/contents/big/status"),
    "changes": request("GET", "/api/contents/big/changes"),
    "a batch": request("POST", "/api/contents/status/batch", body=b'{"content_ids":[%b]}' % IDS),
    "nothing new": request("GET", "/api/contents/big", "If-None-Match: *"),
    "no such path": request("GET", "/nope"),
    "no such method": request("GET", "/api/publish"),
    "an invalid request": request("GET", "/api/contents/big?limit=x"),
    "a refused body": request("POST", "/api/publish", body=b"{"),
    "a head": request("HEAD", "/api/contents/big/changes"),
    "a head of a stream": request("HEAD", "/api/contents/big/events"),
}


@pytest.fixture(scope="module", params=[None, "h11"], ids=["httptools", "h11"])
def hub(request: pytest.FixtureRequest) -> Iterator[LiveHub]:
    with live_hub(http=request.param) as hub:
        for start in range(0, CONTENTS, 30):
            publish_all(hub, [
                {"channel": "big", "content_id": f"big-{number}", "data": BIG} for number in range(start, start + 30)
            ])  # fmt: skip
        yield hub


def answered(base_url: str, sent: bytes) -> tuple[dict[str, str], bytes]:
    """The headers of the one answer, in small letters, and what follows them until the connection is closed."""
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname, address.port), timeout=READ_SECONDS) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(256 * 1024), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    pairs = (line.partition(": ") for line in head.decode("latin-1").lower().split("\r\n")[1:])
    return {name: value for name, _, value in pairs}, body


def in_1_0(sent: bytes) -> bytes:
    return sent.replace(b"HTTP/1.1", b"HTTP/1.0", 1)


@pytest.mark.parametrize("asked_for", ["", "Connection: keep-alive"], ids=["plainly", "kept alive"])
@pytest.mark.parametrize("sent", REQUESTS.values(), ids=list(REQUESTS))
def test_no_answer_is_in_chunks(hub: LiveHub, sent: bytes, asked_for: str) -> None:
    """The body is that of HTTP/1.1, without framing, and ends with the connection."""
    method = sent.partition(b" ")[0].decode()
    [modern] = exchange(hub.base_url, sent.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), methods=[method])
    asking = sent.replace(b"\r\n", f"\r\n{asked_for}\r\n".encode(), 1) if asked_for else sent
    headers, body = answered(hub.base_url, in_1_0(asking))
    assert "transfer-encoding" not in headers
    assert headers["connection"] == "close"
    if "metrics" in sent.decode():
        # They change with each request.
        assert headers["content-length"] == str(len(body))
        return
    assert headers.get("content-length") in (None, str(len(modern.body)), modern.header("content-length"))
    if "boundary" not in headers.get("content-type", ""):
        assert body == modern.body


def test_a_stream_is_not_in_chunks(hub: LiveHub) -> None:
    """Its frames are the body; events arrive while it is open, and it ends with `drain` and the connection."""
    with open_stream(hub.base_url, "/api/contents/c/events", version="1.0") as stream:
        assert "transfer-encoding" not in stream.headers
        assert "content-length" not in stream.headers
        assert stream.headers["connection"] == "close"
        stream.until("ready")
        publish(hub, "a", "complete")
        assert stream.event().json["content_id"] == "a"
        [viewer] = hub.hub.viewers
        hub.call(viewer.shutdown)
        assert stream.rest()[-1].event == "drain"
        assert stream.socket.recv(1) == b""


def test_a_viewer_that_half_closes_its_stream_is_removed(hub: LiveHub) -> None:
    """A stream without chunks is not taken for an answer of a known length, which is sent to the end."""
    with open_stream(hub.base_url, "/api/contents/c/events", version="1.0") as stream:
        stream.until("ready")
        stream.socket.shutdown(socket.SHUT_WR)
        eventually(lambda: len(hub.hub.viewers) == 0)


def test_no_interim_answer_is_sent() -> None:
    """`Expect: 100-continue` is ignored in HTTP/1.0 (RFC 9110, section 10.1.1)."""
    body = b'{"channel":"c","content_id":"x","data":{"status":"complete"}}'
    sent = in_1_0(request("POST", "/api/publish", "Expect: 100-continue", body=body))
    with live_hub() as hub, contextlib.closing(socket.create_connection(_address(hub), READ_SECONDS)) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1 ") == 1


def _address(hub: LiveHub) -> tuple[str, int]:
    address = urlsplit(hub.base_url)
    return str(address.hostname), int(address.port or 0)
