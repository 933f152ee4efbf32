"""Serves the application: in one process, or in several that share a port.

Parts of uvicorn 0.54 used here beyond its documented interface:

- `Server.startup` and `shutdown`, which are extended; `lifespan.state`, from which connections get the hub;
- `Server.server_state`, with its `tasks` (running requests) and `connections`, and `force_exit` (a second Ctrl+C);
- `Server.capture_signals` and `_captured_signals`, the signals it raises again after serving. A version without the
  latter serves as well, but ends by the signal rather than with exit code 0;
- `supervisors.Multiprocess`, with a bound socket.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable

import uvicorn
from uvicorn.supervisors import Multiprocess

from statushub.hub.app import check, create_app, open_hub
from statushub.hub.config import Config
from statushub.hub.http.compatibility import PORTABLE, http_protocol, missing_parts, websocket_options
from statushub.hub.hub import Hub
from statushub.hub.listener import bind
from statushub.hub.logs import logging_config
from statushub.hub.model.addresses import ANY

FLUSH_SECONDS: Final = 1
"""Part of the grace period that is left for flushing responses."""

FORCED_POLL_SECONDS: Final = 0.1
"""Between checks for a second Ctrl+C, which ends a stop immediately. uvicorn offers only a flag to poll."""

WORKER_SECONDS: Final = 30
"""How long a worker process may not answer its health check before it is killed and replaced, with all its streams.
On a busy machine uvicorn's default of 5 s is too short."""

logger = logging.getLogger(__name__)


@runtime_checkable
class Hasty(Protocol):
    """A connection whose client may be left less time to read when the server stops."""

    def hurry(self) -> None:
        """Drop an answer soon that is not read."""


class Server(uvicorn.Server):
    """uvicorn's server, which drains the hub on shutdown and exits with 0 on SIGTERM and SIGINT.

    uvicorn raises the signal that stopped it a second time, which supervisors report as a crash. `started` is called
    once the server accepts connections.
    """

    def __init__(self, config: uvicorn.Config, hub: Hub, started: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self.hub = hub
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Where the application's own lifespan would put the hub; connections read it there.
        self.lifespan.state["hub"] = self.hub
        await super().startup(sockets)
        # Not earlier: only from here on does a signal shut the hub down gracefully.
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.drain()
        grace = self.config.timeout_graceful_shutdown or 0
        deadline = time.monotonic() + grace
        for connection in list(self.server_state.connections):
            if isinstance(connection, Hasty):
                connection.hurry()
        # Requests are still accepted meanwhile: /readyz tells load balancers that this hub is stopping.
        running = set(self.server_state.tasks)
        while running and not self.force_exit and time.monotonic() < deadline - FLUSH_SECONDS:
            _, running = await asyncio.wait(running, timeout=FORCED_POLL_SECONDS)
        self.config.timeout_graceful_shutdown = max(0, round(deadline - time.monotonic()))
        await super().shutdown(sockets)
        # The grace period is over: what is not flushed by now is lost.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            try:
                yield
            finally:
                getattr(self, "_captured_signals", []).clear()


def serve(settings: Config, *, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the base URL once the hub serves.

    Raises `ConfigError` where a part cannot be made of the settings or the address cannot be bound, `BrokerInUse` where
    the embedded broker's file is in use.
    """
    check(settings)
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
    """Serve on `listener`, in this process, until SIGTERM or SIGINT; `ready` as for `serve`."""
    async with open_hub(settings) as hub:
        app = create_app(settings, hub)
        started = partial(ready, base_url(listener))
        options = server_config(app, settings, lifespan="off")
        _warn_of_missing_parts()
        await Server(options, hub, started).serve(sockets=[listener])


def server_config(app: Any, settings: Config, **more: Any) -> uvicorn.Config:
    """uvicorn's configuration for `settings`; `more` is passed on."""
    http = http_protocol(settings)
    return uvicorn.Config(
        app,
        http=http,
        **websocket_options(http),
        h11_max_incomplete_event_size=settings.max_head,
        # uvicorn takes `*` only alone.
        forwarded_allow_ips="*" if ANY in settings.proxies else ",".join(settings.proxies),
        access_log=settings.access_log,
        log_config=logging_config(settings.log_level, settings.log_format),
        timeout_graceful_shutdown=round(settings.grace),
        timeout_worker_healthcheck=WORKER_SECONDS,
        server_header=False,
        **more,
    )


def _warn_of_missing_parts() -> None:
    """Log which parts of uvicorn are missing. Called once uvicorn has configured logging."""
    if missing := missing_parts():
        logger.warning(
            "uvicorn %s lacks %s: serving on its %s protocol, where each stream costs more",
            uvicorn.__version__,
            ", ".join(missing),
            PORTABLE,
        )


def base_url(listener: socket.socket) -> str:
    """The URL of `listener`, as a browser on this machine opens it."""
    host, port = _name(listener.getsockname())
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _name(address: Sequence[Any]) -> tuple[str, int]:
    return str(address[0]), int(address[1])
