"""The proxies of deploy/, real ones: every viewer comes back from every outage of the hubs behind them."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from statushub.hub.auth.origins import Origins
from statushub.hub.config import LOCAL_ORIGINS
from statushub.hub.wire.sse import SSE
from tests.support import caddy_server, nginx_server
from tests.support.caddy_server import running_caddy
from tests.support.frames import Frames
from tests.support.hub_process import HubProcess, hub_process
from tests.support.live import live_hub
from tests.support.nginx_server import running_nginx
from tests.support.ports import free_port
from tests.support.publishing import publish
from tests.support.reconnecting import Reconnecting, reconnecting
from tests.support.redis_server import RedisServer
from tests.support.sse_client import READ_SECONDS, open_stream
from tests.support.tokens import SECRET, token
from tests.support.waiting import eventually

Running = Callable[..., AbstractContextManager[str]]

VIEWERS: Final = 30
AWAY_DRAINS: Final = 6
"""The answers of a proxy to each viewer while every hub is away; with a `retry` of 2 s that is 12 s."""

AWAY_RETRY_MS: Final = 2_000

SLOWLY: Final = 60.0
"""For thirty viewers to come back on a machine that is busy with other tests."""

STREAM: Final = "/api/contents/c/events"
SECRET_TICKET: Final = "secret-ticket"

PROXIES: Final[list[Any]] = [
    pytest.param(running_nginx, id="nginx"),
    # It is built from source.
    pytest.param(running_caddy, id="caddy", marks=pytest.mark.slow),
]
each_proxy = pytest.mark.parametrize("running", PROXIES)


@contextlib.contextmanager
def alone(running: Running, folder: Path) -> Iterator[str]:
    """A proxy both of whose hubs are away."""
    with running(folder, *(f"http://127.0.0.1:{free_port()}" for _ in range(2))) as proxy:
        yield proxy


@each_proxy
def test_a_stream_is_told_to_come_back_while_every_hub_is_away(running: Running, tmp_path: Path) -> None:
    """The proxy answers 200 with a `drain` and an end; polls, pages and publishes keep a 5xx."""
    with alone(running, tmp_path) as proxy, httpx.Client(base_url=proxy, timeout=READ_SECONDS) as client:
        for path in (STREAM, "/api/events?channel=a&channel=b", "/api/contents/a/b/events"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
            # One frame, as a hub's own: a frame of `retry` alone is an event to some clients.
            assert Frames(chunked=False).feed(answer.content) == Frames(chunked=False).feed(SSE.drain(AWAY_RETRY_MS))
            assert answer.headers["cache-control"] == "no-store, no-transform"
        for path in ("/", "/api/contents/c", "/api/contents/c/status", "/api/contents/events", "/api/eventsx"):
            assert client.get(path).status_code in (502, 503)
        offer = {"channel": "c", "content_id": "a", "data": {"status": "complete"}}
        assert client.post("/api/publish", json=offer).status_code in (502, 503)
        assert client.head(STREAM).status_code == 200


ORIGINS: Final = {
    "http://localhost": True,
    "http://localhost:3000": True,
    "http://127.0.0.1:8000": True,
    "http://[::1]:3000": True,
    "https://localhost:3000": False,
    "http://localhost.evil.example:3000": False,
    "http://127x0.0.1": False,
    "http://evil.example/http://localhost": False,
    "null": False,
}


@each_proxy
def test_a_page_of_a_listed_origin_may_read_the_proxys_answer(running: Running, tmp_path: Path) -> None:
    """The origin is echoed with credentials, as by a hub with its default settings; no other origin is."""
    hubs = Origins(LOCAL_ORIGINS)
    with alone(running, tmp_path) as proxy, httpx.Client(base_url=proxy, timeout=READ_SECONDS) as client:
        for origin, listed in ORIGINS.items():
            assert hubs.trust(origin) is listed
            headers = client.get(STREAM, headers={"Origin": origin}).headers
            assert headers.get("access-control-allow-origin") == (origin if listed else None), origin
            assert headers.get("access-control-allow-credentials") == ("true" if listed else None)
            assert headers["vary"] == "Origin"
        assert "access-control-allow-origin" not in client.get(STREAM).headers


def log_of(running: Running, folder: Path) -> Path:
    """To be awaited while the proxy runs: what it has not logged by its end is lost."""
    return folder / (nginx_server.LOG if running is running_nginx else caddy_server.LOG)


def logged(log: Path, text: str) -> bool:
    return log.exists() and text in log.read_text()


@each_proxy
def test_a_proxy_logs_no_ticket(running: Running, tmp_path: Path) -> None:
    """Neither in the line of a request that is answered, nor where every hub is away."""
    folders = [tmp_path / name for name in ("up", "away")]
    for folder in folders:
        folder.mkdir()
    path = f"{STREAM}?ticket={SECRET_TICKET}"
    with live_hub() as hub, running(folders[0], hub.base_url) as proxy:
        assert httpx.get(f"{proxy}/api/contents/c?ticket={SECRET_TICKET}").status_code == 200
        eventually(partial(logged, log_of(running, folders[0]), "/api/contents/c"))
    with alone(running, folders[1]) as proxy:
        assert httpx.get(proxy + path, timeout=READ_SECONDS).status_code == 200
        eventually(partial(logged, log_of(running, folders[1]), "/api/contents/c"))
    for folder in folders:
        assert not logged(log_of(running, folder), SECRET_TICKET)


@each_proxy
def test_a_websocket_passes_and_its_token_is_not_logged(running: Running, tmp_path: Path) -> None:
    """The upgrade reaches the hub, and the log of the proxy has the path and no token of the subprotocols."""
    offered = token(read=["**"])
    with live_hub(secret=SECRET) as hub, running(tmp_path, hub.base_url) as proxy:
        address = f"{proxy.replace('http', 'ws', 1)}/api/contents/c/ws"
        protocols = [Subprotocol("statushub"), Subprotocol(f"bearer.{offered}")]
        with connect(address, subprotocols=protocols, open_timeout=READ_SECONDS) as socket:
            assert socket.subprotocol == "statushub"
            said = [msgspec.json.decode(socket.recv(READ_SECONDS))["type"] for _ in range(2)]
        assert said == ["subscribed", "ready"]
        eventually(partial(logged, log_of(running, tmp_path), "/api/contents/c/ws"))
    assert not logged(log_of(running, tmp_path), offered)


@each_proxy
def test_a_viewer_that_leaves_is_gone_from_the_hub(running: Running, tmp_path: Path) -> None:
    """The proxy closes its stream to the hub then, rather than at the next heartbeat or never."""
    with live_hub(heartbeat=3600) as hub, running(tmp_path, hub.base_url) as proxy:
        with open_stream(proxy, STREAM) as stream:
            stream.until("ready")
            assert len(hub.hub.viewers) == 1
        eventually(lambda: len(hub.hub.viewers) == 0)


@each_proxy
def test_a_client_cannot_forge_its_address(running: Running, tmp_path: Path) -> None:
    """The limit of streams per address counts the client of the proxy, whatever the request says."""
    forged = ({"X-Forwarded-For": f"10.0.0.{number}"} for number in range(2))
    with (
        live_hub(max_streams_address=1) as hub,
        running(tmp_path, hub.base_url) as proxy,
        open_stream(proxy, STREAM, next(forged)) as first,
    ):
        first.until("ready")
        assert [viewer.address for viewer in hub.hub.viewers] == ["127.0.0.1"]
        with open_stream(proxy, STREAM, next(forged)) as second:
            assert second.event().event == "drain"


def test_nginx_speaks_http_2_with_the_lines_for_tls(tmp_path: Path) -> None:
    """They are in the head of its file, in the form that nginx 1.22 knows; streams pass unbuffered."""
    with live_hub() as hub, running_nginx(tmp_path, hub.base_url, tls=True) as proxy:
        publish(hub, "a", "complete")
        command = ["curl", "--silent", "--insecure", "--no-buffer", "--include", "--max-time", "20", proxy + STREAM]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
            assert curl.stdout is not None
            lines = iter(curl.stdout.readline, b"")
            assert next(lines).split() == [b"HTTP/2", b"200"]
            assert b"event: ready\n" in lines
            publish(hub, "b", "complete")
            assert b"event: processing_complete\n" in lines
            curl.terminate()


@pytest.fixture
def hubs(redis_server: RedisServer, tmp_path: Path) -> Iterator[tuple[HubProcess, HubProcess]]:
    """Two hubs on one Redis, in processes that can be stopped, killed and started again."""
    settings = {"broker": redis_server.url.replace("/0", "/6"), "heartbeat": 1, "grace": 2}
    with (
        hub_process(tmp_path, name="hub-1", **settings) as one,
        hub_process(tmp_path, name="hub-2", **settings) as other,
    ):
        yield one, other


class Publisher:
    """Publishes finished contents through a proxy, each until it is accepted."""

    def __init__(self, base_url: str, channel: str) -> None:
        self.base_url = base_url
        self.channel = channel
        self.accepted: list[str] = []
        self._numbers = count()
        self._stop = threading.Event()

    def publish(self) -> None:
        """Publish the next one."""
        content = f"{self.channel}/{next(self._numbers)}"
        offer = {"channel": self.channel, "content_id": content, "data": {"status": "complete"}}
        eventually(lambda: self._accepts(offer), within=SLOWLY)
        self.accepted.append(content)

    def run(self) -> None:
        """Publish until it is stopped."""
        while not self._stop.is_set():
            self.publish()

    def stop(self) -> None:
        self._stop.set()

    def _accepts(self, offer: dict[str, Any]) -> bool:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.post(f"{self.base_url}/api/publish", json=offer, timeout=READ_SECONDS)
            assert answer.status_code in (200, 502, 503), answer.text
            return answer.status_code == 200
        return False


@contextlib.contextmanager
def publishing(publisher: Publisher) -> Iterator[None]:
    """It publishes during the block."""
    thread = threading.Thread(target=publisher.run)
    thread.start()
    try:
        yield
    finally:
        publisher.stop()
        thread.join()


def have_all(viewers: list[Reconnecting], publisher: Publisher) -> bool:
    """Whether each viewer has the final state of everything that was accepted. Fails where one has ended for good."""
    assert [viewer.ended for viewer in viewers if viewer.ended is not None] == []
    expected = dict.fromkeys(publisher.accepted, "complete")
    return all(viewer.states == expected for viewer in viewers)


def have_drained(viewers: list[Reconnecting], before: list[int]) -> bool:
    """Whether each was told to come back `AWAY_DRAINS` times more than `before`. Fails where one has ended for good."""
    assert [viewer.ended for viewer in viewers if viewer.ended is not None] == []
    return all(len(viewer.drains) >= had + AWAY_DRAINS for viewer, had in zip(viewers, before, strict=True))


def has_more(publisher: Publisher, count: int) -> bool:
    return len(publisher.accepted) > count


Hubs = tuple[HubProcess, HubProcess]


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.parametrize("end", [HubProcess.stop, HubProcess.kill], ids=["stopped", "killed"])
@each_proxy
def test_viewers_outlive_a_rolling_restart(running: Running, hubs: Hubs, tmp_path: Path, end: Any) -> None:
    """One hub after the other restarts while contents finish: each viewer has each final state."""
    with running(tmp_path, *(hub.base_url for hub in hubs)) as proxy:
        publisher = Publisher(proxy, f"rolling-{running.__name__}-{end.__name__}")
        with reconnecting(proxy, publisher.channel, VIEWERS) as viewers, publishing(publisher):
            eventually(lambda: all(viewer.ready for viewer in viewers), within=SLOWLY)
            for hub in hubs:
                end(hub)
                # What comes after passes through the other hub.
                eventually(partial(has_more, publisher, len(publisher.accepted) + 1), within=SLOWLY)
                hub.start()
            publisher.stop()
            eventually(lambda: have_all(viewers, publisher), within=SLOWLY)


@pytest.mark.slow
@pytest.mark.redis
@each_proxy
def test_viewers_outlive_an_outage_of_every_hub(running: Running, hubs: Hubs, tmp_path: Path) -> None:
    """Both hubs are away for 12 s: each viewer is told to come back, and has what finished before, then and after."""
    with running(tmp_path, *(hub.base_url for hub in hubs)) as proxy:
        publisher = Publisher(proxy, f"outage-{running.__name__}")
        with reconnecting(proxy, publisher.channel, VIEWERS) as viewers:
            publisher.publish()
            eventually(lambda: have_all(viewers, publisher), within=SLOWLY)
            for hub in hubs:
                hub.stop()
            drains = [len(viewer.drains) for viewer in viewers]
            with publishing(publisher):
                eventually(lambda: have_drained(viewers, drains), within=SLOWLY)
                assert len(publisher.accepted) == 1
                assert {retry for viewer in viewers for retry in viewer.drains[-AWAY_DRAINS:]} == {AWAY_RETRY_MS}
                for hub in hubs:
                    hub.start()
                eventually(lambda: len(publisher.accepted) > 1, within=SLOWLY)
            publisher.publish()
            eventually(lambda: have_all(viewers, publisher), within=SLOWLY)


@pytest.mark.slow
@pytest.mark.redis
@each_proxy
def test_hubs_that_each_failed_once_are_both_used(running: Running, hubs: Hubs, tmp_path: Path) -> None:
    """Streams are opened, each at its first try, after a failure of either hub that no request has outlived."""
    with running(tmp_path, *(hub.base_url for hub in hubs)) as proxy, contextlib.ExitStack() as stack:

        def opened() -> None:
            stream = stack.enter_context(open_stream(proxy, STREAM))
            assert stream.status == 200
            assert stream.until("ready", "drain")[-1].event == "ready"

        for hub in hubs:
            hub.kill()
            for _ in range(2):
                opened()
            hub.start()
        for _ in range(VIEWERS):
            opened()

        def both_used() -> bool:
            opened()
            return min(_streams(hub) for hub in hubs) > 0

        # Thirty streams may be open before the mark of the last failure has ended: a hub can start in less time.
        eventually(both_used)


def _streams(hub: HubProcess) -> int:
    found = re.search(r"^statushub_streams (\d+)", httpx.get(f"{hub.base_url}/metrics").text, re.MULTILINE)
    assert found
    return int(found[1])
