"""A TCP proxy that cuts connections in the middle of an answer, and loses answers."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self

from tests.support.tasks import end

READ_BYTES: Final = 64 * 1024

Address = tuple[str, int]


class Filter(Protocol):
    """Decides which of a target's bytes are passed on."""

    def passed(self, connection: int, data: bytes) -> bytes:
        """The bytes to pass on now, of these and of those held back before."""

    def closed(self, connection: int) -> None:
        """Forget a connection."""


class _Connection:
    """A client's connection and the matching one to the target."""

    def __init__(self, number: int, up: asyncio.StreamWriter, down: asyncio.StreamWriter) -> None:
        self.number = number
        self.up = up
        self.down = down
        self.doomed = False

    def abort(self) -> None:
        self.up.transport.abort()
        self.down.transport.abort()


class Proxy:
    """Listens on a port and passes everything on; a change of `target` applies to new connections.

    An async context manager, which has a `port` once entered. `answers` filters the target's bytes.
    """

    def __init__(self, target: Address, rng: random.Random | None = None, answers: Filter | None = None) -> None:
        self.target = target
        self.port = 0
        self.cuts = 0
        self.losing = 0
        """The number of answers still to lose: the request arrives, and the connection is closed without an answer."""
        self.lost = 0
        self._rng = rng or random.Random()
        self._answers = answers
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await end(tuple(self._tasks))

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    def cut(self) -> None:
        """End every connection within the next answer."""
        for connection in self._connections:
            connection.doomed = True

    def sever(self) -> None:
        """End every connection immediately."""
        for connection in tuple(self._connections):
            connection.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._count += 1
        connection = _Connection(self._count, target_writer, writer)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forward(reader, connection))
                tasks.create_task(self._answer(target_reader, connection))
        finally:
            self._connections.discard(connection)
            if self._answers is not None:
                self._answers.closed(connection.number)
            connection.up.transport.abort()
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        with suppress(OSError, RuntimeError):  # the latter is uvloop's, where the other end has closed
            while data := await reader.read(READ_BYTES):
                connection.up.write(data)
                await connection.up.drain()
        connection.up.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        with suppress(OSError, RuntimeError):  # the latter is uvloop's, where the other end has closed
            while data := await reader.read(READ_BYTES):
                if self.losing:
                    self.losing -= 1
                    self.lost += 1
                    break
                if connection.doomed and len(data) > 1:
                    # The first part of the answer arrives, the rest does not.
                    self.cuts += 1
                    connection.down.write(data[: self._rng.randrange(1, len(data))])
                    break
                if self._answers is not None:
                    data = self._answers.passed(connection.number, data)
                connection.down.write(data)
                await connection.down.drain()
        connection.down.close()
