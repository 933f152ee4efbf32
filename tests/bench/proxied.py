"""What a viewer costs the hub and what is in front of it, together: `python -m tests.bench.proxied`.

Each viewer has a connection of its own, as the one stream of a browser has. An event is published when every viewer has
received the one before. The clients are a process of their own on the other core, which is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import httpx
import msgspec

from tests.bench.harness import raise_file_limit
from tests.bench.load import Missing
from tests.bench.measure import LOAD_CORE, SERVER_CORE, cpu_seconds, family, on_core, pss_bytes
from tests.bench.running import running
from tests.bench.servers import HUB_ENVIRONMENT, hub_embedded
from tests.support import caddy_server
from tests.support.caddy_server import running_caddy
from tests.support.command import environment
from tests.support.nginx_server import running_nginx
from tests.support.ports import free_port, wait_for_port

PATH: Final = "/api/contents/c/events"
READY: Final = b"event: ready"
EVENT: Final = b"event: content_status_update"
WAIT_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 1.0
"""Until what opening has left behind is done."""

CONNECTIONS: Final = 16_384
"""Of nginx, as in deploy/nginx.conf."""

WINDOW: Final = 2**30
"""Flow control of an HTTP/2 connection is not measured."""


class Served(msgspec.Struct, frozen=True):
    """Where viewers connect, where events are published, and the processes of the hub and of what is before it."""

    url: str
    hub_url: str
    hub: list[int]
    proxy: list[int]


class Cost(msgspec.Struct, frozen=True):
    """Of the hub and of the proxy: CPU in microseconds per delivery, and bytes per viewer."""

    hub_us: float
    proxy_us: float
    hub_bytes: float
    proxy_bytes: float


Start = Callable[[Path, contextlib.ExitStack], Served]


def _hub(folder: Path, stack: contextlib.ExitStack) -> Served:
    hub = stack.enter_context(hub_embedded(folder))
    url = f"http://127.0.0.1:{hub.port}"
    return Served(url, url, hub.pids, [])


def _server(*words: str) -> Start:
    """Another ASGI server, on which the hub's streams take the portable path."""

    def start(folder: Path, stack: contextlib.ExitStack) -> Served:
        port = free_port()
        env = environment({**HUB_ENVIRONMENT, "STATUSHUB_BROKER": "memory:", "STATUSHUB_LOG_LEVEL": "warning"})
        filled = [word.replace("PORT", str(port)) for word in words]
        process = stack.enter_context(running(sys.executable, "-m", *filled, env=env))
        wait_for_port(port, process)
        url = f"http://127.0.0.1:{port}"
        return Served(url, url, family(process.pid), [])

    return start


def _behind(proxy: Callable[[Path, str], contextlib.AbstractContextManager[str]]) -> Start:
    def start(folder: Path, stack: contextlib.ExitStack) -> Served:
        hub = _hub(folder, stack)
        before = set(family(os.getpid()))
        with on_core(SERVER_CORE):
            url = stack.enter_context(proxy(folder, hub.url))
        return Served(url, hub.url, hub.hub, sorted(set(family(os.getpid())) - before))

    return start


def _nginx(folder: Path, hub: str, *, tls: bool) -> contextlib.AbstractContextManager[str]:
    return running_nginx(folder, hub, tls=tls, connections=CONNECTIONS)


def _caddy(folder: Path, hub: str, *, tls: bool) -> contextlib.AbstractContextManager[str]:
    if not caddy_server.PROGRAM.exists():
        raise Missing("Caddy: tests/support/install-tools caddy")
    return running_caddy(folder, hub, tls=tls)


UVICORN: Final = ("uvicorn", "--factory", "statushub:app_from_environment", "--port", "PORT", "--log-level", "warning")
GRANIAN: Final = (
    *("granian", "--interface", "asgi", "--factory", "statushub:app_from_environment", "--port", "PORT"),
    *("--backpressure", "20000", "--http2-max-concurrent-streams", "1000", "--no-log"),
)
HYPERCORN: Final = ("hypercorn", "statushub.hub.app:app_from_environment()", "-b", "127.0.0.1:PORT", "-k", "uvloop")

WAYS: Final[Mapping[str, tuple[Start, bool]]] = {
    "the hub, HTTP/1.1": (_hub, False),
    "uvicorn, HTTP/1.1": (_server(*UVICORN, "--no-access-log"), False),
    "granian, HTTP/1.1": (_server(*GRANIAN), False),
    "granian, HTTP/2": (_server(*GRANIAN), True),
    "hypercorn, HTTP/1.1": (_server(*HYPERCORN), False),
    "hypercorn, HTTP/2": (_server(*HYPERCORN), True),
    "nginx, HTTP/1.1": (_behind(lambda folder, hub: _nginx(folder, hub, tls=False)), False),
    "nginx, HTTP/1.1 with TLS": (_behind(lambda folder, hub: _nginx(folder, hub, tls=True)), False),
    "nginx, HTTP/2 with TLS": (_behind(lambda folder, hub: _nginx(folder, hub, tls=True)), True),
    "Caddy, HTTP/1.1": (_behind(lambda folder, hub: _caddy(folder, hub, tls=False)), False),
    "Caddy, HTTP/1.1 with TLS": (_behind(lambda folder, hub: _caddy(folder, hub, tls=True)), False),
    "Caddy, HTTP/2 with TLS": (_behind(lambda folder, hub: _caddy(folder, hub, tls=True)), True),
}
"""How viewers reach the hub, and whether by HTTP/2."""


class Plain(asyncio.Protocol):
    """A viewer over HTTP/1.1."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.ready = self.events = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(f"GET {PATH} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.ready += data.count(READY)
        self.events += data.count(EVENT)


class Multiplexed(Plain):
    """A viewer over HTTP/2."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connection: Any = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._connection.initiate_connection()
        self._connection.increment_flow_control_window(WINDOW)
        scheme = "https" if transport.get_extra_info("ssl_object") else "http"
        names = {":method": "GET", ":path": PATH, ":scheme": scheme, ":authority": self.host}
        self._connection.send_headers(1, list(names.items()), end_stream=True)
        self._connection.increment_flow_control_window(WINDOW, 1)
        self.transport.write(self._connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._connection.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                super().data_received(event.data)
        if self.transport is not None and (answer := self._connection.data_to_send()):
            self.transport.write(answer)


async def _measure(served: Served, viewers: int, events: int, *, http2: bool) -> Cost:
    fresh = pss_bytes(served.hub), pss_bytes(served.proxy)
    address = urlsplit(served.url)
    context = None
    if address.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"] if http2 else ["http/1.1"])
    loop = asyncio.get_running_loop()
    connections: list[Plain] = []
    for _ in range(viewers):
        kind = Multiplexed if http2 else Plain
        _, viewer = await loop.create_connection(
            lambda kind=kind: kind(address.netloc),
            "127.0.0.1",
            address.port or 0,
            ssl=context,
            server_hostname="localhost" if context else None,
        )
        connections.append(viewer)
    await _until(lambda: sum(it.ready for it in connections) == viewers)
    await asyncio.sleep(SETTLE_SECONDS)
    memory = pss_bytes(served.hub), pss_bytes(served.proxy)
    async with httpx.AsyncClient(base_url=served.hub_url) as client:
        before = 0.0, 0.0
        # The first tenth is not measured.
        warm = max(events // 10, 1)
        for number in range(warm + events):
            if number == warm:
                before = cpu_seconds(served.hub), cpu_seconds(served.proxy)
            data = {"status": "generating", "progress": 45, "note": "x" * 100}
            event = {"channel": "c", "content_id": f"c-{number}", "data": data}
            (await client.post("/api/publish", json=event)).raise_for_status()
            expected = viewers * (number + 1)
            await _until(lambda expected=expected: sum(it.events for it in connections) == expected)  # type: ignore[misc]
        after = cpu_seconds(served.hub), cpu_seconds(served.proxy)
    for viewer in connections:
        if viewer.transport is not None:
            viewer.transport.abort()
    deliveries = viewers * events
    return Cost(
        hub_us=(after[0] - before[0]) / deliveries * 1e6,
        proxy_us=(after[1] - before[1]) / deliveries * 1e6,
        hub_bytes=(memory[0] - fresh[0]) / viewers,
        proxy_bytes=(memory[1] - fresh[1]) / viewers,
    )


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


@contextlib.contextmanager
def _serving(start: Start) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="statushub-bench-") as name, contextlib.ExitStack() as stack:
        yield start(Path(name), stack)


def measured(way: str, viewers: int, events: int) -> Cost:
    """The cost of one way, with fresh processes."""
    start, http2 = WAYS[way]
    with _serving(start) as served, on_core(LOAD_CORE):
        return asyncio.run(_measure(served, viewers, events, http2=http2))


def table(found: Mapping[str, Sequence[Cost]]) -> str:
    """The medians, in Markdown."""
    lines = [
        "| viewers reach it by | hub, µs | proxy, µs | together, µs | hub, KB | proxy, KB | together, KB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for way, costs in found.items():
        hub, proxy = (statistics.median(getattr(it, name) for it in costs) for name in ("hub_us", "proxy_us"))
        own, its = (
            statistics.median(getattr(it, name) / 1000 for it in costs) for name in ("hub_bytes", "proxy_bytes")
        )
        numbers = [hub, proxy, hub + proxy, own, its, own + its]
        lines.append(f"| {way} | {' | '.join(f'{number:.1f}' for number in numbers)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Measure every way, in rounds, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.proxied", description=__doc__)
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--events", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="ways whose names begin so, separated by commas")
    options = parser.parse_args(arguments)
    raise_file_limit()
    found: dict[str, list[Cost]] = {}
    for _ in range(options.rounds):
        for way in WAYS:
            if not way.startswith(tuple(options.only.split(","))):
                continue
            try:
                cost = measured(way, options.viewers, options.events)
            except Missing as error:
                print(f"{way} is skipped; it needs {error}")
                continue
            found.setdefault(way, []).append(cost)
            print(way, cost, flush=True)
    print(table(found))


if __name__ == "__main__":
    main(sys.argv[1:])
