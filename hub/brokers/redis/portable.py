"""Reads announcements over redis-py's public interface, where the installed version lacks the parts that `pubsub` uses.

Each message costs several times more than over the transport itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import anyio
from redis.asyncio.connection import AbstractConnection, Connection
from redis.exceptions import RedisError, ResponseError

PARTS: Final = ("_reader", "_writer")
"""The private attributes of redis-py's connection that `pubsub` uses."""


def missing_parts(connection: object | None = None) -> list[str]:
    """Those of `PARTS` that a connection, by default one of redis-py's, does not have; none where all is well."""
    connection = connection or Connection()
    return [part for part in PARTS if not hasattr(connection, part)]


class PortableTransport:
    """What `PubSubConnection` needs of a transport. `run` has to be running."""

    def __init__(
        self,
        connection: AbstractConnection,
        *,
        received: Callable[[Any], None],
        lost: Callable[[Exception | None], None],
    ) -> None:
        """`received` is called with each message, and `lost` once, when `run` ends."""
        self._connection = connection
        self._received = received
        self._lost = lost
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Read and write until the connection ends, or `abort`."""
        failure: Exception | None = None
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write)
                    await self._read()
        except* (RedisError, OSError, RuntimeError, AttributeError) as failures:
            # The last two are for a write to a connection that the server, or the reader meanwhile, has closed.
            failure = failures.exceptions[0]
        finally:
            self._lost(failure)

    def write(self, data: bytes) -> None:
        """Send data, without waiting for it."""
        self._outgoing.put_nowait(data)

    def abort(self) -> None:
        """End `run`."""
        self._scope.cancel()

    def pause_reading(self) -> None:
        """Nothing: messages are read one by one, so that there is nothing to coalesce."""

    def resume_reading(self) -> None:
        """Nothing, as `pause_reading`."""

    async def _read(self) -> None:
        while True:
            try:
                message = await self._connection.read_response()
            except ResponseError as error:
                message = error
            self._received(message)

    async def _write(self) -> None:
        while True:
            await self._connection.send_packed_command(await self._outgoing.get(), check_health=False)
