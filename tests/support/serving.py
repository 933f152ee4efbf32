"""A complete hub on a real socket, in the event loop of the test, which can therefore call the hub directly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import httpx

from statushub.hub.app import open_hub
from statushub.hub.config import Config
from statushub.hub.hub import Hub
from statushub.hub.listener import bind
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication
from statushub.hub.model.vocabulary import Phase
from statushub.hub.server import base_url
from tests.support.hub_server import hub_server


@asynccontextmanager
async def serving(broker: str = "memory:", **settings: Any) -> AsyncIterator[tuple[Hub, httpx.AsyncClient]]:
    """Run a hub for the block; yields it and a client of it."""
    config, listener = Config(broker=broker, **settings), bind("127.0.0.1", 0)
    async with open_hub(config) as hub, anyio.create_task_group() as tasks:
        server = hub_server(config, hub)
        listener.listen()
        tasks.start_soon(partial(server.serve, sockets=[listener]))
        try:
            async with httpx.AsyncClient(base_url=base_url(listener)) as client:
                yield hub, client
        finally:
            server.should_exit = True
    listener.close()


async def write(hub: Hub, content_id: str, data: bytes, *, type: str = "custom", channel: str = "ch") -> None:
    """Store data without validation, as a worker does that calls the broker directly."""
    publication = Publication(channel=channel, content_id=content_id, type=type, data=data, phase=Phase.PROCESSING)
    [receipt] = await hub.broker.publish(DEFAULT_TENANT, [publication])
    assert receipt.accepted
