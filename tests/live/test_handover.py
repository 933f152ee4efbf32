"""Hand-over at its edges: early disconnects, full sockets, upgrades, and a hub that stops."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from statushub.hub.app import create_app
from statushub.hub.config import Config
from statushub.hub.http.arrival import Arrival
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.viewers.viewer import State
from tests.support.asgi_server import live_server
from tests.support.certificate import certificate
from tests.support.live import LiveHub, live_hub
from tests.support.ports import free_port
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer
from tests.support.sse_client import StreamClient, open_stream, stream
from tests.support.waiting import eventually

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STREAM = b"GET /api/contents/c/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.contextmanager
def connected(base_url: str) -> Iterator[socket.socket]:
    """A plain TCP connection to a server."""
    host, _, port = base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def stall(hub: LiveHub) -> Any:
    """Publish until the socket of the only viewer is full; returns the viewer."""
    (viewer,) = list[Any](hub.hub.viewers)

    def paused() -> bool:
        publish(hub, "a", "generating", padding="x" * 60_000)
        return viewer.state is State.STALLED

    eventually(paused)
    return viewer


@pytest.mark.parametrize("kept_alive", [False, True])
def test_a_websocket_upgrade_passes_through(kept_alive: bool) -> None:
    """The upgrade succeeds on a new connection and on one that was kept alive."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    with live_server(app) as base_url, connected(base_url) as connection:
        if kept_alive:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(9_999).startswith(b"HTTP/1.1 200")
        connection.sendall(UPGRADE)
        assert connection.recv(9_999).startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_connection_with_tls_is_handed_over(loop: str, tmp_path: Path) -> None:
    """Polls and streams are served as without it."""
    options = certificate(tmp_path)
    app = create_app(Config(broker="memory:"))
    with live_server(app, loop=loop, **options) as base_url, connected(base_url) as plain:
        context = ssl.create_default_context(cafile=options["ssl_certfile"])
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(9_999).startswith(b"HTTP/1.1 200")
            connection.sendall(STREAM)
            received = b""
            while b"event: ready" not in received:
                data = connection.recv(9_999)
                assert data, received
                received += data


def _protocols() -> int:
    """How many protocols there are, those of other tests' hubs included."""
    return sum(isinstance(thing, Arrival | HandoverProtocol) for thing in gc.get_objects())


def test_a_request_is_freed_when_it_is_handed_over() -> None:
    """The protocol object is freed by its reference count, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        with live_hub() as hub, contextlib.ExitStack() as stack:
            before = _protocols()
            for _ in range(20):
                stack.enter_context(stream(hub)).until("ready")
            assert _protocols() == before
    finally:
        gc.enable()


def test_a_disconnect_before_the_head_is_no_error() -> None:
    """The request ends without a viewer and without an exception."""
    with live_hub() as hub:
        application = hub.application
        asked, done = threading.Event(), threading.Event()
        failures: list[BaseException] = []

        async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
            asked.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            try:
                await application(scope, receive, send)
            except BaseException as error:
                failures.append(error)
                raise
            finally:
                done.set()

        hub.application = waiting
        with connected(hub.base_url) as connection:
            connection.sendall(STREAM)
            assert asked.wait(10)
        assert done.wait(10)
        assert not failures
        assert len(hub.hub.viewers) == 0


def test_a_stalled_viewer_that_half_closes_is_removed() -> None:
    """A client that has stopped sending will not read the rest, so that no timeout is waited for."""
    with live_hub() as hub, stream(hub, receive_buffer=4096) as client:
        client.until("ready")
        stall(hub)
        client.socket.shutdown(socket.SHUT_WR)
        eventually(lambda: len(hub.hub.viewers) == 0)


def test_the_connection_of_a_stalled_portable_stream_is_aborted() -> None:
    """On uvicorn the connection is aborted with the bytes in its buffer."""
    with (
        live_hub(stall_timeout=0.3, heartbeat=0.5) as hub,
        open_stream(hub.base_url, "/api/contents/c/events", version="1.0", receive_buffer=4096) as client,
    ):
        client.until("ready")
        (connection,) = list[Any](hub.server_state.connections)

        def cut() -> bool:
            publish(hub, "a", "generating", padding="x" * 60_000)
            return connection not in hub.server_state.connections

        eventually(cut)


def test_a_viewer_handed_over_during_a_drain_is_drained() -> None:
    """A hub that begins to drain while the head is on its way sends `drain` and no heartbeat."""
    with live_hub(grace=5.0) as hub:
        application = hub.application

        async def stopping(scope: Scope, receive: Receive, send: Send) -> None:
            async def late(message: Message) -> None:
                hub.hub.drain()
                await send(message)

            await application(scope, receive, late)

        hub.application = stopping
        with stream(hub) as client:
            assert client.rest()[-1].event == "drain"
            assert client.ended


def test_a_long_poll_ends_with_its_client() -> None:
    """A disconnected client gives its stream quota back."""
    with live_hub(max_streams=3) as hub:
        cursor = publish(hub, "a", "complete")
        path = f"/api/contents/c/changes?since={cursor}&wait=25"
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                connection = stack.enter_context(connected(hub.base_url))
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            eventually(lambda: len(hub.hub.viewers) == 3)
            # The hub is full: a fourth poll is answered immediately.
            assert httpx.get(hub.base_url + path, timeout=10).json()["events"] == []
        eventually(lambda: len(hub.hub.viewers) == 0)


@pytest.mark.redis
def test_every_worker_process_drains(redis_server: RedisServer, tmp_path: Path) -> None:
    """Two processes share a port; SIGTERM drains both kinds of streams, answers polls, and exits with 0."""
    port = free_port()
    base_url, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    url = redis_server.url.replace("/0", "/5")
    arguments = ["serve", "--port", str(port), "--broker", url, "--workers", "2", "--grace", "30"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "statushub", *arguments],
            stderr=stderr,
            env=os.environ.copy(),
            # The workers do not notice the death of the process that started them: the group is killed.
            start_new_session=True,
        )
    try:
        eventually(lambda: _answers(base_url))
        body = {"channel": "c", "content_id": "a", "data": {"status": "complete"}}
        cursor = httpx.post(f"{base_url}/api/publish", json=body).json()["cursor"]
        with contextlib.ExitStack() as stack:
            path = "/api/contents/c/events"
            pushed = [stack.enter_context(open_stream(base_url, path)) for _ in range(6)]
            pulled = [stack.enter_context(open_stream(base_url, path, version="1.0")) for _ in range(4)]
            poll = stack.enter_context(connected(base_url))
            for client in (*pushed, *pulled):
                client.until("ready")
            poll.sendall(
                f"GET /api/contents/c/changes?since={cursor}&wait=25 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            # Nothing on the poll's own connection shows that it waits; an answer to a later request does.
            assert _answers(base_url)
            process.send_signal(signal.SIGTERM)
            assert [_last(client) for client in (*pushed, *pulled)] == ["drain"] * 10
            assert poll.recv(9_999)[:12] in (b"HTTP/1.1 200", b"")
        assert process.wait(15) == 0
        assert "Traceback" not in log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(base_url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{base_url}/readyz").status_code == 200
    return False


def _last(client: StreamClient) -> str | None:
    return client.rest()[-1].event


def test_the_send_buffer_of_a_stalled_viewer_is_limited() -> None:
    """The socket is full near the size of the peer's buffer, not at the kernel's maximum of 4 MB."""
    with live_hub() as hub, stream(hub) as client:
        client.until("ready")
        [viewer] = list[Any](hub.hub.viewers)
        sent = 0
        while viewer.state is not State.STALLED:
            publish(hub, "a", "generating", padding="x" * 60_000)
            sent += 1
            assert sent < 200, "the viewer never stalled"
        assert sent * 60_000 < 1_500_000
