"""Any ASGI application on a real socket, run by uvicorn in a thread of the test's process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.server import base_url, bind
from tests.support.ports import START_SECONDS


@contextlib.contextmanager
def live_server(app: Any, *, http: Any = HandoverProtocol, port: int = 0) -> Iterator[str]:
    """Serve the application for the time of the block; yields the base URL."""
    listener = bind("127.0.0.1", port)
    server = uvicorn.Server(uvicorn.Config(app, http=http, log_level="critical", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    listener.listen()
    thread.start()
    try:
        yield base_url(listener)
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listener.close()
