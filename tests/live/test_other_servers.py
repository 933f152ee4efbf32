"""The hub on other ASGI servers, over HTTP/1.1 and HTTP/2: its streams, their ends, and a stop."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import httpx
import msgspec
import pytest

from tests.support.command import environment
from tests.support.http2_client import http2_connection
from tests.support.ports import free_port, wait_for_port
from tests.support.sse_client import open_stream
from tests.support.waiting import WAIT_SECONDS, eventually

SERVERS: Final = {
    "uvicorn": ("uvicorn", "--factory", "statushub:app_from_environment", "--http", "h11", "--port", "PORT"),
    "granian": (
        *("granian", "--interface", "asgi", "--factory", "statushub:app_from_environment", "--port", "PORT"),
        # A signal between its start and its service is lost to its worker, for which it would wait for ever.
        *("--workers-kill-timeout", "10"),
    ),
    "hypercorn": ("hypercorn", "statushub.hub.app:app_from_environment()", "--bind", "127.0.0.1:PORT"),
}
STREAM: Final = "/api/contents/c/events"


class Server(msgspec.Struct, frozen=True):
    """A server of a hub."""

    name: str
    base_url: str
    process: subprocess.Popen[bytes]

    def publish(self, content_id: str) -> None:
        """Publish one event of the channel."""
        event = {"channel": "c", "content_id": content_id, "data": {"status": "complete"}}
        httpx.post(f"{self.base_url}/api/publish", json=event, timeout=WAIT_SECONDS).raise_for_status()

    def streams(self) -> int:
        """How many streams the hub has."""
        text = httpx.get(f"{self.base_url}/metrics", timeout=WAIT_SECONDS).text
        return int(float(next(line for line in text.splitlines() if line.startswith("statushub_streams ")).split()[1]))


def _answers(base_url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{base_url}/readyz", timeout=WAIT_SECONDS).status_code == 200
    return False


@contextlib.contextmanager
def started(name: str) -> Iterator[Server]:
    """A server with a hub on an embedded broker in memory."""
    port = free_port()
    words = [word.replace("PORT", str(port)) for word in SERVERS[name]]
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=environment({"STATUSHUB_BROKER": "memory:"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process)
        base_url = f"http://127.0.0.1:{port}"
        # The first process listens before the one that serves is there.
        eventually(lambda: _answers(base_url))
        yield Server(name, base_url, process)
    finally:
        # The processes of these servers end with the first.
        process.terminate()
        try:
            process.wait(WAIT_SECONDS)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Any of them."""
    with started(request.param) as server:
        yield server


@pytest.fixture(params=["granian", "hypercorn"])
def http2_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One that speaks HTTP/2."""
    with started(request.param) as server:
        yield server


def test_a_stream_is_live_and_its_end_is_noticed(server: Server) -> None:
    """The viewer of a connection that is closed is removed."""
    with open_stream(server.base_url, STREAM) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        stream.until("ready")
        assert server.streams() == 1
        for content_id in ("a", "b"):
            server.publish(content_id)
            assert stream.until("processing_complete")[-1].json["content_id"] == content_id
    eventually(lambda: server.streams() == 0)


def test_streams_of_one_http_2_connection(http2_server: Server) -> None:
    """Each event reaches all, and the end of one is noticed while the connection goes on."""
    server = http2_server
    with http2_connection(server.base_url) as connection:
        streams = [connection.open(STREAM) for _ in range(3)]
        for stream in streams:
            connection.until(stream, "ready")
            assert connection.headers[stream]["content-type"].startswith("text/event-stream")
        assert server.streams() == 3
        server.publish("a")
        for stream in streams:
            assert connection.until(stream, "processing_complete").json["content_id"] == "a"
        connection.close(streams[1])
        eventually(lambda: server.streams() == 2)
        server.publish("b")
        for stream in (streams[0], streams[2]):
            assert connection.until(stream, "processing_complete").json["content_id"] == "b"
    eventually(lambda: server.streams() == 0)


@pytest.mark.parametrize("name", ["uvicorn", "granian"])
def test_a_stop_by_a_signal_ends_streams_with_a_farewell(name: str) -> None:
    """Where the process that serves hears of the signal, which hypercorn's does not."""
    with started(name) as server:
        with open_stream(server.base_url, STREAM) as stream:
            stream.until("ready")
            server.process.send_signal(signal.SIGTERM)
            assert stream.rest()[-1].event == "drain"
            assert stream.ended
        assert server.process.wait(WAIT_SECONDS) in (0, -signal.SIGTERM)
