"""Any ASGI application on a real socket, run by uvicorn in a thread of the test's process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.listener import bind
from statushub.hub.server import base_url
from tests.support.ports import START_SECONDS
from tests.support.waiting import eventually


@contextlib.contextmanager
def live_server(app: Any, *, http: Any = HandoverProtocol, port: int = 0, **options: Any) -> Iterator[str]:
    """Serve the application for the time of the block; yields the base URL. `options` are uvicorn's."""
    listener = bind("127.0.0.1", port)
    listener.listen()
    try:
        with _running(app, [listener], http=http, **options):
            yield base_url(listener)
    finally:
        listener.close()


@contextlib.contextmanager
def unix_server(app: Any, path: Path, *, http: Any = HandoverProtocol, **options: Any) -> Iterator[None]:
    """Serve the application on a Unix socket for the time of the block."""
    with _running(app, None, http=http, uds=str(path), **options):
        eventually(path.is_socket)
        yield


@contextlib.contextmanager
def _running(app: Any, sockets: list[socket.socket] | None, **options: Any) -> Iterator[None]:
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
