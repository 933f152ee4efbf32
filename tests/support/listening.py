"""A Redis broker with a listener, and a client for administrative commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from redis.asyncio import Redis
from redis.exceptions import RedisError

from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.model.publication import Publication, publication
from tests.support.recorder import Recorder

PATIENCE_SECONDS = 30.0


def update(content_id: str = "a", *, channel: str = "c", lease: float | None = None) -> Publication:
    """A publication that is not final."""
    return publication(channel=channel, content_id=content_id, data={"status": "generating"}, lease=lease)


@asynccontextmanager
async def listening(url: str, *, deadline: float = 5.0) -> AsyncIterator[tuple[RedisBroker, Recorder]]:
    """An open broker and its recorder."""
    broker, listener = RedisBroker(url, deadline=deadline), Recorder()
    broker.listen(listener)
    async with broker:
        yield broker, listener


@asynccontextmanager
async def admin(url: str) -> AsyncIterator[Any]:
    """A plain client, untyped like redis-py's `execute_command`."""
    client: Any = Redis.from_url(url, protocol=2)
    try:
        yield client
    finally:
        await client.aclose()


async def until_answer(client: Any, wanted: str, *command: str | int) -> None:
    """Return once the server's answer to a command contains `wanted`."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while True:
            with suppress(RedisError):
                answer = str(await client.execute_command(*command))
                # redis-py converts only some answers to dictionaries.
                if wanted in answer.replace("'", "").replace(": ", ":"):
                    return
            await anyio.sleep(0.02)
