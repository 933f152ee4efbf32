"""The measured servers: each is started fresh, on a free loopback port, and ended by its pid."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec

from tests.bench import templates
from tests.bench.load import SOURCES, Missing, compiled
from tests.bench.measure import LOAD_CORE, SERVER_CORE, family, on_core
from tests.support.command import environment
from tests.support.ports import free_port, wait_for_port
from tests.support.redis_server import RedisServer
from tests.support.socket_client import UPGRADE as UPGRADE_LINES

STREAMS_MAX: Final = 20_000
"""Limit of streams of a hub: more than any workload opens."""

NCHAN_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NCHAN_INSTALL: Final = "apt-get install nginx libnginx-mod-nchan"

NCHAN_CONFIG: Final = """
load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  nchan_shared_memory_size 512m;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/publish/(.+)$ {{
      nchan_publisher;
      nchan_channel_id $1;
      nchan_message_buffer_length 1000;
    }}
    location ~ ^/(.+)$ {{
      nchan_subscriber eventsource;
      nchan_channel_id $1;
      nchan_eventsource_ping_interval 15;
      nchan_subscriber_first_message newest;
    }}
  }}
}}
"""


class Running(msgspec.Struct, kw_only=True):
    """A running server. `path` has a `%s` for the channel; `ready` is what a stream sends once it has caught up, and
    `header` are lines of its request."""

    port: int
    process: subprocess.Popen[bytes]
    path: str
    template: Callable[[int], bytes]
    publish_port: int
    ready: str = ""
    header: str = ""
    redis: RedisServer | None = None

    @property
    def pids(self) -> list[int]:
        """The processes of the server, without Redis."""
        return family(self.process.pid)

    @property
    def redis_pids(self) -> list[int]:
        """The process of Redis, where there is one; it is reported separately."""
        return [self.redis.process.pid] if self.redis and self.redis.process else []


Start = Callable[[Path], AbstractContextManager[Running]]
"""Starts a server, with a folder of its own. Raises `Missing` where it is not installed."""


@contextlib.contextmanager
def running(
    *words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            [*map(str, words)], env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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


def _hub_words(port: int, broker: str) -> list[object]:
    return [sys.executable, "-m", "statushub", "serve", "--port", port, "--broker", broker, "--log-level", "warning"]


HUB_ENVIRONMENT: Final = {
    # One address polls with all the speed there is.
    "STATUSHUB_READ_RATE": "1000000000",
    "STATUSHUB_MAX_STREAMS": str(STREAMS_MAX),
    "STATUSHUB_MAX_STREAMS_ADDRESS": str(STREAMS_MAX),
    "STATUSHUB_PUBLISH_RATE": "1000000",
    "STATUSHUB_STALL_TIMEOUT": "600",
}
"""All viewers come from one address, and the publisher has no rate limit. Stalled viewers are not disconnected,
because their cost is measured."""


@contextlib.contextmanager
def hub_redis(folder: Path) -> Iterator[Running]:
    """The hub over Redis; events are published into Redis, as a worker does."""
    with _redis(folder) as redis:
        port = free_port()
        with running(*_hub_words(port, redis.url), env=environment(HUB_ENVIRONMENT)) as process:
            wait_for_port(port, process)
            yield _hub(port, process, redis)


UPGRADE: Final = "\r\n".join(UPGRADE_LINES)
"""The lines of a request that opens a WebSocket."""


@contextlib.contextmanager
def hub_websocket(folder: Path) -> Iterator[Running]:
    """The same over WebSocket: the load generator finds the events in the frames, and sends none."""
    with hub_redis(folder) as hub:
        yield msgspec.structs.replace(hub, path="/api/contents/%s/ws", ready='{"type":"ready"', header=UPGRADE)


@contextlib.contextmanager
def hub_embedded(folder: Path) -> Iterator[Running]:
    """The hub with the embedded broker in memory; events are published over HTTP."""
    port = free_port()
    with running(*_hub_words(port, "memory:"), env=environment(HUB_ENVIRONMENT)) as process:
        wait_for_port(port, process)
        yield _hub(port, process, None)


@contextlib.contextmanager
def hub_portable(folder: Path) -> Iterator[Running]:
    """The hub over Redis, on an HTTP implementation without hand-over."""
    with _redis(folder) as redis:
        port = free_port()
        factory = ("--factory", "statushub:app_from_environment", "--http", "h11")
        env = environment({**HUB_ENVIRONMENT, "STATUSHUB_BROKER": redis.url})
        with _uvicorn(port, *factory, env=env) as process:
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
def _uvicorn(port: int, *words: object, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    quiet = ("--no-access-log", "--log-level", "warning")
    with running(sys.executable, "-m", "uvicorn", "--port", port, *quiet, *words, env=env) as process:
        wait_for_port(port, process)
        yield process


def _plain(port: int, process: subprocess.Popen[bytes], publish: str = "/", *headers: str) -> Running:
    return Running(
        port=port,
        process=process,
        path="/%s",
        template=lambda padding: templates.post(f"{publish}{templates.CHANNEL}", templates.data(padding), *headers),
        publish_port=port,
    )


@contextlib.contextmanager
def naive(folder: Path) -> Iterator[Running]:
    """sse-starlette with a queue per client."""
    port = free_port()
    with _uvicorn(port, "tests.bench.naive:app") as process:
        yield _plain(port, process)


@contextlib.contextmanager
def nothing(folder: Path) -> Iterator[Running]:
    """The hub's server and middleware around a POST that does nothing."""
    port = free_port()
    with _uvicorn(port, "tests.bench.nothing:app", "--http", "statushub.hub.http.handover:HandoverProtocol") as process:
        yield _plain(port, process)


@contextlib.contextmanager
def nchan(folder: Path) -> Iterator[Running]:
    """nchan, a C module in nginx, with one worker."""
    if shutil.which("nginx") is None or not NCHAN_MODULE.exists():
        raise Missing(f"nginx with nchan: {NCHAN_INSTALL}")
    port = free_port()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    config = folder / "nginx.conf"
    # An unprivileged worker could not enter a temporary folder of root.
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        NCHAN_CONFIG.format(
            module=NCHAN_MODULE, folder=folder, port=port, files=files, connections=files - 100, user=user
        )
    )
    with running("nginx", "-c", config, "-p", folder, "-e", folder / "error.log") as process:
        wait_for_port(port, process)
        yield _plain(port, process, "/publish/", f"X-EventSource-Event: {templates.EVENT_TYPE}")


@contextlib.contextmanager
def better_sse(folder: Path) -> Iterator[Running]:
    """better-sse on Node."""
    script = node_modules() / "better_sse.mjs"
    shutil.copyfile(SOURCES / "better_sse.mjs", script)
    port = free_port()
    with running("node", script, port) as process:
        wait_for_port(port, process)
        yield _plain(port, process)


def node_modules() -> Path:
    """A folder in the user's cache in which npm has installed better-sse. Raises `Missing`."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing("Node and npm: apt-get install nodejs npm")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "statushub-bench"
    if not (folder / "node_modules" / "better-sse").exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", "better-sse"]
        if subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode:
            raise Missing("better-sse: npm could not install it")
    return folder


@contextlib.contextmanager
def floor(folder: Path) -> Iterator[Running]:
    """The bare C loop over send()."""
    port = free_port()
    with running(compiled("floor", folder.parent), port) as process:
        wait_for_port(port, process)
        yield _plain(port, process)


SERVERS: Final[Mapping[str, Start]] = {
    "hub-redis": hub_redis,
    "hub-websocket": hub_websocket,
    "hub-embedded": hub_embedded,
    "nchan": nchan,
    "floor": floor,
    "better-sse": better_sse,
    "hub-portable": hub_portable,
    "sse-starlette": naive,
}
"""The servers, in an order that measures those next to each other whose ratio is reported."""

LABELS: Final[Mapping[str, str]] = {
    "hub-redis": "Statushub over Redis",
    "hub-websocket": "the same over WebSocket",
    "hub-embedded": "Statushub embedded",
    "hub-portable": "Statushub, portable path",
    "nchan": "nchan (nginx, C)",
    "floor": "bare C loop over send()",
    "better-sse": "better-sse (Node)",
    "sse-starlette": "sse-starlette, a queue per client",
}
