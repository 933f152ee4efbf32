"""A TCP proxy that cuts its connections in the middle of what is being said."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from tests.faults.ending import end
from tests.faults.resp import Dropper
from tests.support.servers import free_port

READ_BYTES: Final = 64 * 1024

Address = tuple[str, int]


class _Connection:
    """A client's connection and its counterpart to the target."""

    def __init__(self, number: int, up: asyncio.StreamWriter, down: asyncio.StreamWriter) -> None:
        self.number = number
        self.up = up
        self.down = down
        self.doomed = False

    def abort(self) -> None:
        self.up.transport.abort()
        self.down.transport.abort()


class Proxy:
    """Listens on a port of its own and passes everything on; `target` may be changed, for new connections.

    An async context manager. `dropper` filters what the target says, where it speaks RESP.
    """

    def __init__(self, target: Address, rng: random.Random, dropper: Dropper | None = None) -> None:
        self.target = target
        self.port = free_port()
        self.cuts = 0
        self._rng = rng
        self._dropper = dropper
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1024)
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
        """End every connection within the next thing that its target says."""
        for connection in self._connections:
            connection.doomed = True

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
                tasks.create_task(self._ask(reader, connection))
                tasks.create_task(self._answer(target_reader, connection))
        finally:
            self._connections.discard(connection)
            if self._dropper is not None:
                self._dropper.closed(connection.number)
            connection.up.transport.abort()
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        with suppress(OSError, RuntimeError):  # the latter is uvloop's, where the other end has closed
            while data := await reader.read(READ_BYTES):
                connection.up.write(data)
                await connection.up.drain()
        connection.up.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        with suppress(OSError, RuntimeError):  # the latter is uvloop's, where the other end has closed
            while data := await reader.read(READ_BYTES):
                if connection.doomed and len(data) > 1:
                    # What was said so far arrives, the rest of it never does.
                    self.cuts += 1
                    connection.down.write(data[: self._rng.randrange(1, len(data))])
                    break
                if self._dropper is not None:
                    data = self._dropper.passed(connection.number, data)
                connection.down.write(data)
                await connection.down.drain()
        connection.down.close()
