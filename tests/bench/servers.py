"""The measured servers: the hub in its forms, and its competitors."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from tests.bench import peers, templates
from tests.bench.load import Missing
from tests.bench.measure import LOAD_CORE, SERVER_CORE, on_core
from tests.bench.running import Running, Start, plain, running, uvicorn
from tests.support import nginx_server
from tests.support.command import environment
from tests.support.ports import START_SECONDS, free_port, wait_for_port
from tests.support.redis_server import RedisServer
from tests.support.socket_client import UPGRADE as UPGRADE_LINES

STREAMS_MAX: Final = 20_000
"""Limit of streams of a hub, and of the channels that they follow: more than any workload opens."""


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        raise Missing("redis-server: apt-get install redis-server")
    data = folder / "redis"
    data.mkdir()
    redis = RedisServer(data, appendonly=False)
    with on_core(LOAD_CORE):
        redis.start()
    try:
        yield redis
    finally:
        redis.kill()


def hub_words(port: int, broker: str) -> list[object]:
    return [sys.executable, "-m", "statushub", "serve", "--port", port, "--broker", broker, "--log-level", "warning"]


HUB_ENVIRONMENT: Final = {
    # One address polls with all the speed there is.
    "STATUSHUB_READ_RATE": "1000000000",
    "STATUSHUB_MAX_STREAMS": str(STREAMS_MAX),
    "STATUSHUB_MAX_STREAMS_ADDRESS": str(STREAMS_MAX),
    "STATUSHUB_MAX_CHANNELS_SUB": str(STREAMS_MAX),
    "STATUSHUB_PUBLISH_RATE": "1000000",
    "STATUSHUB_STALL_TIMEOUT": "600",
}
"""All viewers come from one address, and the publisher has no rate limit. Stalled viewers are not disconnected,
because their cost is measured."""


@contextlib.contextmanager
def hub_redis(folder: Path, *, workers: int = 1) -> Iterator[Running]:
    """The hub over Redis; events are published into Redis, as a worker does."""
    with _redis(folder) as redis:
        port = free_port()
        words = hub_words(port, redis.url)
        with running(*words, "--workers", workers, env=environment(HUB_ENVIRONMENT)) as process:
            wait_for_port(port, process, within=START_SECONDS * workers)
            yield _hub(port, process, redis)


UPGRADE: Final = "\r\n".join(UPGRADE_LINES)
"""The lines of a request that opens a WebSocket."""


@contextlib.contextmanager
def hub_websocket(folder: Path) -> Iterator[Running]:
    """The same over WebSocket: the load generator finds the events in the frames, and sends none."""
    with hub_redis(folder) as hub:
        yield msgspec.structs.replace(hub, path="/api/contents/%s/ws", ready='{"type":"ready"', header=UPGRADE)


@contextlib.contextmanager
def hub_nginx(folder: Path) -> Iterator[Running]:
    """The same behind nginx with deploy/nginx.conf, on the same core; both are counted."""
    if shutil.which("nginx", path=nginx_server.PATH) is None:
        raise Missing("nginx: apt-get install nginx")
    home = folder / "nginx"
    home.mkdir()
    with hub_redis(folder) as hub, contextlib.ExitStack() as stack:
        upstream = f"http://127.0.0.1:{hub.port}"
        with on_core(SERVER_CORE):
            # A stream takes two connections.
            url = stack.enter_context(nginx_server.running_nginx(home, upstream, connections=2 * STREAMS_MAX))
        nginx = int((home / "nginx.pid").read_text())
        yield msgspec.structs.replace(hub, port=int(url.rpartition(":")[2]), more=(nginx,))


@contextlib.contextmanager
def hub_embedded(folder: Path) -> Iterator[Running]:
    """The hub with the embedded broker in memory; events are published over HTTP."""
    port = free_port()
    with running(*hub_words(port, "memory:"), env=environment(HUB_ENVIRONMENT)) as process:
        wait_for_port(port, process)
        yield _hub(port, process, None)


@contextlib.contextmanager
def hub_portable(folder: Path) -> Iterator[Running]:
    """The hub over Redis, on an HTTP implementation without hand-over."""
    with _redis(folder) as redis:
        port = free_port()
        factory = ("--factory", "statushub:app_from_environment", "--http", "h11")
        env = environment({**HUB_ENVIRONMENT, "STATUSHUB_BROKER": redis.url})
        with uvicorn(port, *factory, env=env) as process:
            yield _hub(port, process, redis)


def _hub(port: int, process: subprocess.Popen[bytes], redis: RedisServer | None) -> Running:
    return Running(
        port=port,
        process=process,
        path="/api/contents/%s/events",
        template=templates.redis_call if redis else templates.hub_post,
        publish_port=redis.port if redis else port,
        ready="event: ready",
        redis=redis,
    )


@contextlib.contextmanager
def nothing(folder: Path) -> Iterator[Running]:
    """The hub's server and middleware around a POST that does nothing."""
    port = free_port()
    with uvicorn(port, "tests.bench.nothing:app", "--http", "statushub.hub.http.handover:HandoverProtocol") as process:
        yield plain(port, process)


SERVERS: Final[Mapping[str, Start]] = {
    "hub-redis": hub_redis,
    "hub-websocket": hub_websocket,
    "hub-nginx": hub_nginx,
    "hub-embedded": hub_embedded,
    "centrifugo": peers.centrifugo,
    "mercure": peers.mercure,
    "nchan": peers.nchan,
    "floor": peers.floor,
    "better-sse": peers.better_sse,
    "hub-portable": hub_portable,
    "sse-starlette": peers.naive,
}
"""The servers, in an order that measures those next to each other whose ratio is reported."""

LABELS: Final[Mapping[str, str]] = {
    "hub-redis": "Statushub over Redis",
    "hub-websocket": "the same over WebSocket",
    "hub-nginx": "the same behind nginx, both",
    "hub-embedded": "Statushub embedded",
    "hub-portable": "Statushub, portable path",
    "centrifugo": "Centrifugo (Go), with history",
    "mercure": "Mercure (Go), with history",
    "nchan": "nchan (nginx, C)",
    "floor": "bare C loop over send()",
    "better-sse": "better-sse (Node)",
    "sse-starlette": "sse-starlette, a queue per client",
}
