"""The shutdown of a hub: streams are drained, requests in progress are answered, and the process exits with 0."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from statushub.hub.viewers import viewers
from tests.support.command import ended, serving, started
from tests.support.live import live_hub
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream
from tests.support.waiting import eventually

STREAM = "/api/contents/c/events"
BODY = b'{"channel": "c", "content_id": "a", "data": {"status": "complete"}}'
MEMORY = ("--broker", "memory:")


@contextlib.contextmanager
def half_sent(url: str) -> Iterator[socket.socket]:
    """A publish request whose body has not been sent."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            b"POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(BODY)
        )
        yield connection


def readiness(url: str) -> int:
    """The status that a load balancer sees on a new connection."""
    with httpx.Client() as client:
        return client.get(f"{url}/readyz").status_code


def test_a_request_in_progress_is_answered(tmp_path: Path) -> None:
    """`drain` ends the streams, `/readyz` answers 503, the open request is answered, and the exit code is 0."""
    with serving(*MEMORY, "--grace", "8", cwd=tmp_path) as (process, url), half_sent(url) as publish:
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(open_stream(url, STREAM)) for _ in range(20)]
            for stream in streams:
                stream.until("ready")
            process.send_signal(signal.SIGTERM)
            drains = [stream.rest()[-1] for stream in streams]
        assert {frame.event for frame in drains} == {"drain"}
        retries = [frame.retry or 0 for frame in drains]
        # This hub is the only one on its broker: it is up again soon.
        assert all(500 <= retry <= 4_000 for retry in retries)
        assert len(set(retries)) > 10
        assert readiness(url) == 503
        assert httpx.get(f"{url}/healthz").status_code == 200
        with open_stream(url, STREAM) as late:
            [told] = [frame for frame in late.rest() if frame.event == "drain"]
            assert (told.retry or 0) <= 4_000
        publish.sendall(BODY)
        assert publish.recv(65536).startswith(b"HTTP/1.1 200 ")
        code, out, err = ended(process)
        assert (code, out) == (0, "")
        assert [line for line in err.splitlines() if " INFO " not in line] == []


def test_the_grace_period_bounds_a_shutdown(tmp_path: Path) -> None:
    """A request that is not complete in time is aborted, and the exit code is still 0."""
    patient = ("--grace", "2", "--request-timeout", "600")
    with serving(*MEMORY, *patient, cwd=tmp_path) as (process, url), half_sent(url):
        code, out, _ = ended(process, signal.SIGTERM)
        assert (code, out) == (0, "")


def test_a_signal_right_after_startup_ends_the_hub(tmp_path: Path) -> None:
    """SIGTERM is handled as soon as the hub logs that it serves."""
    for _ in range(5):
        with started("serve", "--port", 0, "--broker", "memory:", cwd=tmp_path) as process:
            stderr = process.stderr
            assert stderr is not None
            while b"Serving http" not in stderr.readline():
                pass
            os.kill(process.pid, signal.SIGTERM)
            assert ended(process)[0] == 0


@pytest.mark.redis
@pytest.mark.parametrize(
    ("shared", "grace", "most"), [(True, 60.0, 20_000), (True, 10.0, 10_000), (False, 60.0, 4_000)]
)
def test_many_viewers_are_spread_over_the_other_hubs(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, shared: bool, grace: float, most: int
) -> None:
    """As many come back in a second as others open, within the grace period; a hub without others is back soon."""
    monkeypatch.setattr(viewers, "RETURNS_PER_SECOND", 1)
    broker = redis_server.url.replace("/0", "/7") if shared else "memory:"
    with live_hub(broker, grace=grace) as hub, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(open_stream(hub.base_url, STREAM)).until("ready")
        hub.call(hub.hub.drain)
        assert hub.hub.viewers.drain_ms == (500, most)
        # uvicorn tells each connection once more.
        hub.call(hub.hub.drain)
        assert hub.hub.viewers.drain_ms == (500, most)


@pytest.mark.redis
def test_viewers_of_a_killed_hub_resume_on_another(tmp_path: Path, redis_server: RedisServer) -> None:
    """Under load, each viewer sees every content once, in order, across both hubs."""
    arguments = ("--broker", redis_server.url)
    channel = "converge"
    with (
        serving(*arguments, cwd=tmp_path) as (victim, one),
        serving(*arguments, cwd=tmp_path) as (_, other),
        contextlib.ExitStack() as stack,
    ):
        streams = [stack.enter_context(open_stream(one, f"/api/contents/{channel}/events")) for _ in range(10)]
        for stream in streams:
            stream.until("ready")
        stop = threading.Event()
        published: list[int] = []

        def publish() -> None:
            with httpx.Client(base_url=other) as client:
                while not stop.is_set():
                    number = len(published)
                    offer = {"channel": channel, "content_id": f"{channel}/{number}", "data": {"status": "complete"}}
                    client.post("/api/publish", json=offer).raise_for_status()
                    published.append(number)

        load = threading.Thread(target=publish)
        load.start()
        try:
            eventually(lambda: len(published) > 50)
            victim.kill()
            seen = [[frame for frame in stream.rest() if frame.id] for stream in streams]
        finally:
            stop.set()
            load.join()
        for frames in seen:
            cursor = frames[-1].id
            assert cursor is not None
            with open_stream(other, f"/api/contents/{channel}/events", {"Last-Event-ID": cursor}) as stream:
                *rest, _ready = stream.until("ready")
            contents = [frame.json["content_id"] for frame in (*frames, *rest)]
            assert contents == [f"{channel}/{number}" for number in range(len(published))]
