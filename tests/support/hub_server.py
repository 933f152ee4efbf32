"""The server of a hub that runs within the test's process."""

from __future__ import annotations

from typing import Any

import uvicorn

from statushub.hub.app import create_app
from statushub.hub.config import Config
from statushub.hub.http.compatibility import http_protocol, websocket_options
from statushub.hub.hub import Hub
from statushub.hub.server import Server


def hub_server(settings: Config, hub: Hub, http: Any = None) -> Server:
    """A server that logs only errors; `http` is uvicorn's protocol, `"h11"` for the portable path, and by default the
    one of `statushub serve`.
    """
    http = http or http_protocol(settings)
    config = uvicorn.Config(
        create_app(settings, hub),
        http=http,
        **websocket_options(http),
        log_level="error",
        timeout_graceful_shutdown=round(settings.grace),
        lifespan="off",
    )
    config.load()
    return Server(config, hub)
