"""One connection that receives keyspace notifications."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

PING_SECONDS: Final = 2.0
"""Between pings: two are sent before the connection's time-out, within which something must be received."""

OVER: Final = frozenset({b"del", b"unlink", b"expired", b"evicted", b"expire", b"persist", b"rename_from"})
"""What happened to a key, in Redis' words, where that says nothing new of a video."""


class Notifications:
    """Calls `heard` with the name of each key that is written, in the order of the server."""

    def __init__(self, connection: AbstractConnection, heard: Callable[[bytes], None]) -> None:
        self._connection = connection
        self._heard = heard

    async def subscribe(self, patterns: Sequence[str]) -> None:
        """Connect and subscribe; returns once the server sends. Raises what redis-py raises."""
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            await self._connection.send_command("PSUBSCRIBE", *patterns)
            for _ in patterns:
                self._take(await self._connection.read_response())
        except BaseException:
            await self._connection.disconnect(nowait=True)
            raise

    async def run(self) -> None:
        """Receive until cancelled, or the connection breaks: raises what redis-py raises."""
        try:
            while True:
                # redis-py gives up after the connection's time-out, within which a ping is answered.
                self._take(await self._connection.read_response())
        finally:
            await self._connection.disconnect(nowait=True)

    async def ping(self) -> None:
        """Send pings until cancelled. Raises what redis-py raises."""
        while True:
            await anyio.sleep(PING_SECONDS)
            await self._connection.send_command("PING")

    def _take(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        if not isinstance(message, list) or len(message) < 3:
            if isinstance(message, list) and message[0] == b"pong":
                return
            raise RedisConnectionError(f"the server answers {message!r:.100}")
        if message[0] == b"pmessage" and message[3] not in OVER:
            # __keyspace@0__:name
            self._heard(message[2].partition(b":")[2])
