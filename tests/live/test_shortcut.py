"""The short way to a stream or a socket and the ordinary way: the same request gets the same answer by both."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from statushub.hub.http.shortcut import Front
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.socket_client import KEY, frame
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

STREAM = "/api/contents/c/events"
SOCKET = "/api/contents/c/ws"
ORIGIN = "https://page.example"
TOKEN = token(sub="a", read=["c", "d/*"])
REVOKED = token(jti="gone")
CHANGING = re.compile(
    rb"(?<=date: )[^\r]+|(?<=retry: )\d+|(?<=\"heartbeat_ms\":)\d+|(?<=\"timestamp\":\")[^\"]+|(?<=\"retry_ms\":)\d+"
)
"""What differs from answer to answer."""

PORT = re.compile(r"(?<=^127\.0\.0\.1):\d+")
"""That of the client, which differs from connection to connection."""


class Ways:
    """A hub that serves a request by the short way or not, and says whether it was taken."""

    def __init__(self, hub: LiveHub, cursor: str) -> None:
        self.hub = hub
        self.cursor = cursor
        self.taken: list[bool] = []
        proxies = hub.application
        front: Any = proxies.app
        assert isinstance(front, Front)
        shortcut, taken = front.shortcut, self.taken

        class Recorded:
            """The short way, which says whether it was taken."""

            concerns = shortcut.concerns

            def __call__(self, scope: Scope, upgrades: bool, proxies: Any) -> Any:
                opening = shortcut(scope, upgrades, proxies)
                taken.append(opening is not None)
                return opening

        async def ordinary(scope: Scope, receive: Receive, send: Send) -> None:
            await front(scope, receive, send)

        self._proxies = proxies
        self._front = front
        self._ordinary = ordinary
        vars(front)["shortcut"] = Recorded()

    def take(self, *, short: bool) -> None:
        """Serve what follows by one of the two."""
        self._proxies.app = self._front if short else self._ordinary
        self.taken.clear()

    def answer(self, request: bytes, *, short: bool) -> bytes:
        """What the hub sends until it is up to date or closes, without what differs from answer to answer."""
        self.take(short=short)
        received = self.answer_now(request)
        eventually(lambda: not list(self.hub.hub.viewers))
        return CHANGING.sub(b"*", received)

    def answer_now(self, request: bytes) -> bytes:
        """The same as it comes, while other streams may be open."""
        host, _, port = self.hub.base_url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(request)
            received = b""
            while not _complete(received, request) and (more := connection.recv(65_536)):
                received += more
        return received


def _complete(received: bytes, request: bytes) -> bool:
    """Whether an answer is all here, or a stream or a socket is up to date."""
    head, ended, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    if not ended or request.startswith((b"HEAD", b"GET /api/ws")):
        return bool(ended)
    if length:
        return len(body) >= int(length[1])
    pings = b"Upgrade: websocket" in request and not request.endswith(b"\r\n\r\n")
    return (b"pong" if pings else b"heartbeat_ms") in body


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    settings: dict[str, Any] = {"secret": SECRET, "cors_origins": (ORIGIN,), "allowed_hosts": ("hub.example",)}
    with live_hub(proxies=("127.0.0.1",), max_streams_address=1, **settings) as hub:
        events = [
            {"channel": channel, "content_id": f"{channel} {number}", "data": {"status": "generating", "progress": 9}}
            for channel in ("c", "d/e")
            for number in range(3)
        ]
        cursors = publish_all(hub, events, headers=bearer(tenant="acme"))
        ways = Ways(hub, cursors[1])
        # Verified once, in the ordinary way.
        for known in (TOKEN, REVOKED):
            ways.answer(asked(headers=(f"Authorization: Bearer {known}",)), short=False)
        revoker = bearer(tenant="acme", revoke=True)
        httpx.post(f"{hub.base_url}/api/revoke", json={"jti": "gone"}, headers=revoker).raise_for_status()
        yield ways


def asked(
    path: str = STREAM,
    headers: tuple[str, ...] = (f"Authorization: Bearer {TOKEN}",),
    *,
    method: str = "GET",
    host: str = "hub.example",
    version: str = "1.1",
) -> bytes:
    """A request as it is sent."""
    return "\r\n".join((f"{method} {path} HTTP/{version}", f"Host: {host}", *headers, "", "")).encode("latin-1")


def upgraded(path: str = SOCKET, *headers: str, key: str = KEY) -> bytes:
    """A request to open a socket."""
    return asked(
        path,
        (
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *headers,
        ),
    )


BEARER = f"Authorization: Bearer {TOKEN}"
COOKIE = f"Cookie: statushub_token={TOKEN}"

SHORT = {
    "plain": asked(),
    "resumed": asked(headers=(BEARER, "Last-Event-ID: {cursor}")),
    "resumed by its address": asked(f"{STREAM}?since={{cursor}}"),
    "of a foreign service": asked(headers=(BEARER, "Last-Event-ID: 17")),
    "several channels": asked("/api/events?channel=c&channel=d/e"),
    "an escaped channel": asked("/api/contents/d%2Fe/events"),
    "a channel with a slash": asked("/api/contents/d/e/events"),
    "options": asked(f"{STREAM}?events=message&deltas=1&heartbeat=7"),
    "some contents": asked(f"{STREAM}?content_id=c%202&content_id=none"),
    "a page of a listed origin": asked(headers=(BEARER, f"Origin: {ORIGIN}")),
    "a page of another origin": asked(headers=(BEARER, "Origin: https://other.example")),
    "a cookie": asked(headers=(COOKIE, "Sec-Fetch-Site: same-origin")),
    "a cookie of a listed page": asked(headers=(COOKIE, f"Origin: {ORIGIN}")),
    "behind a proxy": asked(headers=(BEARER, "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https")),
    "a socket": upgraded(SOCKET, BEARER),
    "a socket as Firefox asks": upgraded(SOCKET, BEARER, "Connection: keep-alive, Upgrade"),
    "a socket without a channel": upgraded("/api/ws", BEARER),
    "a socket that resumes": upgraded(f"{SOCKET}?since={{cursor}}&deltas=1&heartbeat=7", BEARER),
    "a socket of some contents": upgraded(f"{SOCKET}?content_id=c%202", BEARER),
    "a socket with its token as a subprotocol": upgraded(SOCKET, f"Sec-WebSocket-Protocol: statushub, bearer.{TOKEN}"),
    "a socket with lists in two lines": upgraded(
        SOCKET, "Sec-WebSocket-Protocol: statushub", f"Sec-WebSocket-Protocol: bearer.{TOKEN}"
    ),
    "a socket of a listed page": upgraded(SOCKET, COOKIE, f"Origin: {ORIGIN}"),
    "a socket behind a proxy": upgraded(SOCKET, BEARER, "X-Forwarded-For: 203.0.113.7"),
}
"""Requests that the short way answers."""

ORDINARY = {
    "no token": asked(headers=()),
    "a new token": asked(headers=(f"Authorization: Bearer {token(read=['c'], sub='new')}",)),
    "a revoked token": asked(headers=(f"Authorization: Bearer {REVOKED}",)),
    "another scheme": asked(headers=("Authorization: Basic YTpi",)),
    "a channel that is not read": asked("/api/contents/x/events"),
    "one of two is not read": asked("/api/events?channel=c&channel=x"),
    "a cookie of a foreign page": asked(headers=(COOKIE, "Origin: https://other.example")),
    "another host": asked(host="rebound.example"),
    "a bad cursor": asked(f"{STREAM}?since=x"),
    "a bad heartbeat": asked(f"{STREAM}?heartbeat=1"),
    "a bad name": asked("/api/contents/a*b/events"),
    "a path that is not UTF-8": asked("/api/contents/%ff/events"),
    "a query that is not UTF-8": asked(f"{STREAM}?events=%ff"),
    "a bad content": asked(f"{STREAM}?content_id=%20"),
    "no channel": asked("/api/events"),
    "a pattern": asked("/api/events?match=c"),
    "HEAD": asked(method="HEAD"),
    "POST": asked(method="POST", headers=(BEARER, "Content-Length: 0")),
    "two at once": asked() + asked("/healthz"),
    "in pieces": asked(headers=(BEARER, f"X-Long: {'x' * 5_000}")),
    "a fragment": asked(f"{STREAM}#a"),
    "a close": asked(headers=(BEARER, "Connection: close")),
    "HTTP/1.0": asked(version="1.0"),
    "a body": asked(headers=(BEARER, "Content-Length: 2")) + b"{}",
    "a body on its way": asked(headers=(BEARER, "Content-Length: 9")) + b"{}",
    "another route": asked("/api/contents/c/status"),
    "a long head": asked(headers=(BEARER, f"X-Long: {'x' * 20_000}")),
    "an upgrade that a stream ignores": asked(headers=(BEARER, "Connection: Upgrade", "Upgrade: h2c")),
    "an upgrade with a body": asked(headers=(BEARER, "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 2")),
    "no upgrade": asked(SOCKET),
    "another upgrade": asked(SOCKET, (BEARER, "Connection: Upgrade", "Upgrade: h2c")),
    "a socket without a token": upgraded(),
    "a socket that is not read": upgraded("/api/contents/x/ws", BEARER),
    "a socket of a foreign page": upgraded(SOCKET, BEARER, "Origin: https://other.example"),
    "a socket with a bad key": upgraded(SOCKET, BEARER, key="YTpi"),
    "a socket with two keys": upgraded(SOCKET, BEARER, f"Sec-WebSocket-Key: {KEY}"),
    "a socket of another version": upgraded(SOCKET, BEARER, "Sec-WebSocket-Version: 8"),
    "a socket with another subprotocol": upgraded(SOCKET, BEARER, "Sec-WebSocket-Protocol: chat"),
    "a socket with two tokens": upgraded(SOCKET, f"Sec-WebSocket-Protocol: statushub, bearer.{TOKEN}, bearer.{TOKEN}"),
    "a socket with a body": upgraded(SOCKET, BEARER, "Content-Length: 2"),
    "a socket with a body in chunks": upgraded(SOCKET, BEARER, "Transfer-Encoding: chunked"),
    "a socket with a bad cursor": upgraded(f"{SOCKET}?since=x", BEARER),
    "a socket that is closed": upgraded(SOCKET, BEARER, "Connection: close"),
    "a socket that says more": upgraded(SOCKET, BEARER) + frame(b'{"type":"ping"}'),
    "a socket by POST": upgraded(SOCKET, BEARER).replace(b"GET", b"POST", 1),
}
"""Requests that it leaves to the ordinary way."""


@pytest.mark.parametrize(
    ("request_", "taken"),
    [pytest.param(it, True, id=name) for name, it in SHORT.items()]
    + [pytest.param(it, False, id=name) for name, it in ORDINARY.items()],
)
def test_both_ways_answer_alike(ways: Ways, request_: bytes, taken: bool) -> None:
    """Head and frames are the same, and the stream is counted and freed."""
    request_ = request_.replace(b"{cursor}", ways.cursor.encode())
    short = ways.answer(request_, short=True)
    assert any(ways.taken) is taken
    assert sorted(short.split(b"\r\n")) == sorted(ways.answer(request_, short=False).split(b"\r\n"))


@pytest.mark.parametrize("name", ["plain", "behind a proxy"])
def test_both_ways_are_logged_alike(ways: Ways, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The access log has the client that a trusted proxy names, and else the connection's."""
    caplog.set_level(logging.INFO, "uvicorn.access")
    for short in (True, False):
        ways.answer(SHORT[name], short=short)
        assert any(ways.taken) is short
    lines = [PORT.sub("", it.getMessage()) for it in caplog.records if it.name == "uvicorn.access"]
    assert len(lines) == 2
    assert lines[0] == lines[1]


PROXIED = "X-Forwarded-For: 203.0.113.7"


@pytest.mark.parametrize(
    ("ours", "other", "word"),
    [
        pytest.param(asked(), asked(headers=(BEARER, PROXIED)), b"event: %b", id="stream"),
        pytest.param(upgraded(SOCKET, BEARER), upgraded(SOCKET, BEARER, PROXIED), b'"type":"%b"', id="socket"),
    ],
)
def test_the_short_way_leaves_a_full_hub_to_the_ordinary_one(
    ways: Ways, ours: bytes, other: bytes, word: bytes
) -> None:
    """A second stream or socket of an address is told to come back; another address has room."""
    ways.take(short=True)
    host, _, port = ways.hub.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(ours)
        assert connection.recv(65_536)
        assert word % b"drain" in ways.answer_now(ours)
        assert word % b"ready" in ways.answer_now(other)
    assert ways.taken == [True, False, True]
    eventually(lambda: not list(ways.hub.hub.viewers))
