"""Runs the application: one process, or several that share a port."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from statushub.hub.app import create_app, open_hub
from statushub.hub.config import Config
from statushub.hub.http.compatibility import PORTABLE, http_protocol, missing_parts
from statushub.hub.hub import Hub
from statushub.hub.logs import logging_config
from statushub.hub.model.errors import ConfigError

FLUSH_SECONDS: Final = 1
"""What a stop leaves for answers to be flushed, out of the grace period."""

LOOK_SECONDS: Final = 0.1
"""Between looks whether somebody has lost patience: whoever presses Ctrl+C twice."""

WORKER_SECONDS: Final = 30
"""How long a worker may be silent before it is killed and replaced, streams and all: uvicorn's five seconds pass on a
machine that is merely busy."""

UNSENT_BYTES: Final = 16 * 1024
"""Bytes the kernel keeps for a socket beyond what its peer has room for. Left to itself it keeps 4 MB of each viewer
that reads nothing, and brings them all, stale, when it reads again."""

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server, which bids the hub's viewers farewell and ends as asked, with exit code 0.

    uvicorn raises the signal that stopped it once more, which a supervisor reads as a crash.
    """

    def __init__(self, config: uvicorn.Config, hub: Hub, started: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self.hub = hub
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # As the hub's own lifespan would leave it; a connection hears of the hub by it.
        self.lifespan.state["hub"] = self.hub
        await super().startup(sockets)
        # Not sooner: from here on a signal ends the hub well.
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.drain()
        grace = self.config.timeout_graceful_shutdown or 0
        over = time.monotonic() + grace
        # Whoever asks meanwhile is still answered: a balancer learns from /readyz that this hub is going.
        under_way = set(self.server_state.tasks)
        while under_way and not self.force_exit and time.monotonic() < over - FLUSH_SECONDS:
            _, under_way = await asyncio.wait(under_way, timeout=LOOK_SECONDS)
        self.config.timeout_graceful_shutdown = max(0, round(over - time.monotonic()))
        await super().shutdown(sockets)
        # What could not be flushed within the grace period never will be.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def serve(settings: Config, *, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the base URL once the hub serves.

    Raises `ConfigError` where the address cannot be had, `BrokerInUse` where the broker cannot.
    """
    listener = bind(settings.host, settings.port)
    try:
        if settings.workers > 1:
            ready(base_url(listener))
            workers = server_config(partial(create_app, settings), settings, factory=True, workers=settings.workers)
            _warn_of_missing_parts()
            Multiprocess(workers, sockets=[listener]).run()
        else:
            loop_factory = server_config(None, settings).get_loop_factory()
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(run(settings, listener, ready))
    finally:
        listener.close()


async def run(settings: Config, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve on `listener`, in this process, until told to stop; `ready` as for `serve`."""
    async with open_hub(settings) as hub:
        app = create_app(settings, hub)
        started = partial(ready, base_url(listener))
        options = server_config(app, settings, lifespan="off")
        _warn_of_missing_parts()
        await Server(options, hub, started).serve(sockets=[listener])


def server_config(app: Any, settings: Config, **more: Any) -> uvicorn.Config:
    """uvicorn's settings for ours."""
    return uvicorn.Config(
        app,
        http=http_protocol(head_bytes=settings.max_head, head_seconds=settings.request_timeout),
        h11_max_incomplete_event_size=settings.max_head,
        # No route speaks WebSocket, and a library that did would take connections out of reach of every limit here.
        ws="none",
        forwarded_allow_ips=",".join(settings.proxies),
        access_log=settings.access_log,
        log_config=logging_config(settings.log_level),
        timeout_graceful_shutdown=round(settings.grace),
        timeout_worker_healthcheck=WORKER_SECONDS,
        server_header=False,
        **more,
    )


def _warn_of_missing_parts() -> None:
    """Log, once uvicorn has set logging up, that the portable path serves, and why."""
    if missing := missing_parts():
        logger.warning(
            "uvicorn %s lacks %s: serving on its %s protocol, where each stream costs more",
            uvicorn.__version__,
            ", ".join(missing),
            PORTABLE,
        )


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises `ConfigError` naming `port` or `host` where it cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"host {host!r} cannot be resolved: {error.strerror}", field="host") from error
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {port} on {host} cannot be had: {error.strerror}", field="port") from error
    listener.set_inheritable(True)
    return listener


def base_url(listener: socket.socket) -> str:
    """Where a browser finds what is served on `listener`."""
    host, port = _name(listener.getsockname())
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _name(address: Sequence[Any]) -> tuple[str, int]:
    return str(address[0]), int(address[1])
