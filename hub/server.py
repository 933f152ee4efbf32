"""Runs the application: one process, or several that share a port."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from hub.app import create_app, open_hub
from hub.config import Config
from hub.errors import ConfigError
from hub.handover import HandoverProtocol
from hub.hub import Hub
from hub.logs import logging_config

UNSENT_BYTES: Final = 16 * 1024
"""Bytes the kernel keeps for a socket beyond what its peer has room for. Left to itself it keeps 4 MB of each viewer
that reads nothing, and brings them all, stale, when it reads again."""

logger = logging.getLogger("statushub")


class Server(uvicorn.Server):
    """uvicorn's server, which bids the hub's viewers farewell and ends as asked, with exit code 0.

    uvicorn raises the signal that stopped it once more, which a supervisor reads as a crash.
    """

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self.hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.drain()
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
    """Serve until SIGTERM or SIGINT; `ready` is called with the base URL once port and broker are held.

    Raises `ConfigError` where the address cannot be had, `BrokerInUse` where the broker cannot.
    """
    listener = bind(settings.host, settings.port)
    try:
        if settings.workers > 1:
            ready(base_url(listener))
            workers = server_config(partial(create_app, settings), settings, factory=True, workers=settings.workers)
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
        ready(base_url(listener))
        app = create_app(settings, hub)
        await Server(server_config(app, settings, lifespan="off"), hub).serve(sockets=[listener])


def server_config(app: Any, settings: Config, **more: Any) -> uvicorn.Config:
    """uvicorn's settings for ours."""
    return uvicorn.Config(
        app,
        http=HandoverProtocol,
        access_log=settings.access_log,
        log_config=logging_config(settings.log_level),
        timeout_graceful_shutdown=round(settings.grace),
        server_header=False,
        **more,
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
