"""One connection that announcements come in on, read by callbacks: from socket to listener without a task."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoPermissionError, ReadOnlyError

from statushub.hub.brokers.redis import commands
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Announcement

CHECKS_PER_DEADLINE: Final = 3
"""Pings within one deadline, so that a single late answer does not end a link."""

CHANNELS_PER_COMMAND: Final = 500
"""Channels named in one SSUBSCRIBE: few round trips, and no command that holds the server for long."""

BUSY_RATE: Final = 8_000
"""Announcements a second from which on they are gathered before they are read."""

GATHER_SECONDS: Final = 0.001
"""How long they are gathered: nobody sees a millisecond, and each read that is saved is a wake-up of the
process, and a turn of the loop."""

RATE_SECONDS: Final = 0.02
"""Over which the rate is reckoned: longer than a burst of one batch, shorter than anybody's patience."""

Wanted = Mapping[bytes, tuple[str, str]]
"""Tenant and channel by the name of the pub/sub channel: the announcements that are wanted."""

logger = logging.getLogger(__name__)


class PubSubConnection(asyncio.Protocol):
    """Reads announcements from one server and hands them over in batches, as they come in.

    `lost` is called once, with the reason, when the connection has ended: because it broke, because the
    server refused something, or because it was silent for `deadline` seconds, pings notwithstanding.
    """

    def __init__(
        self,
        wanted: Wanted,
        *,
        announced: Callable[[Sequence[Announcement]], None],
        lost: Callable[[str], None],
        deadline: float,
    ) -> None:
        self.subscribed: set[bytes] = set()
        self._wanted = wanted
        self._announced = announced
        self._lost = lost
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._unheard = 0
        self._recent = 0
        self._recent_since = 0.0
        self._busy = False
        self._reason: str | None = None
        self._pings: deque[asyncio.Event] = deque()
        self._next_ping: asyncio.Event | None = None
        self._leaving: Counter[bytes] = Counter()
        self._unreadable = 0

    async def connect(self, connection: AbstractConnection) -> None:
        """Let redis-py connect and log in, then take the connection over. Raises what redis-py raises."""
        self._connection = connection
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await _refuse_replica(connection)
            self._transport = _transport(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._transport.set_protocol(self)
        self._check()

    def subscribe(self, names: Iterable[bytes]) -> None:
        """Ask for pub/sub channels of one slot; the `barrier` after it returns once the server has done so."""
        names = iter(names)
        while chunk := list(islice(names, CHANNELS_PER_COMMAND)):
            self.subscribed.update(chunk)
            self._write(b"SSUBSCRIBE", *chunk)

    def unsubscribe(self, name: bytes) -> None:
        """Unsubscribe; does not wait for the server."""
        if name in self.subscribed and self._reason is None:
            self.subscribed.discard(name)
            self._leaving[name] += 1
            self._write(b"SUNSUBSCRIBE", name)

    async def barrier(self) -> None:
        """Return when all that the server wrote to this connection before now has been handed over.

        Raises `BrokerUnavailable` where the link ends first.
        """
        if self._reason is None:
            if self._next_ping is None:
                self._next_ping = asyncio.Event()
                self._loop.call_soon(self._send_ping)
            await self._next_ping.wait()
        if self._reason is not None:
            raise BrokerUnavailable(f"announcements are interrupted: {self._reason}")

    def end(self, reason: str) -> None:
        """End the link without farewell; `lost` is called with this reason."""
        self._reason = self._reason or reason
        self._transport.abort()

    async def aclose(self) -> None:
        """Release what the link holds. `lost` is called as for any other end."""
        self.end("closed")
        await self._connection.disconnect(nowait=True)

    # Callbacks of the event loop

    def data_received(self, data: bytes) -> None:
        self._unheard = 0
        batch: list[Announcement] = []
        try:
            self._reader.feed(data)
            batch.extend(self._read())
        except hiredis.ProtocolError as error:
            self.end(f"the server speaks no Redis: {error}")
        if batch:
            self._gather(len(batch))
            self._announced(batch)

    def _gather(self, announcements: int) -> None:
        """Read no more for a moment, where announcements come so fast that a moment brings many."""
        # Not the loop's time, which uvloop counts in whole milliseconds.
        now = time.monotonic()
        self._recent += announcements
        if now - self._recent_since > RATE_SECONDS:
            self._busy = self._recent > BUSY_RATE * (now - self._recent_since)
            self._recent, self._recent_since = 0, now
        if self._busy:
            self._transport.pause_reading()
            self._loop.call_later(GATHER_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self._reason is None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reason = self._reason or (str(exc) if exc else "the server closed the connection")
        self._checking.cancel()
        self._send_ping()
        for ping in self._pings:
            ping.set()
        self._lost(self._reason)

    # What the server says

    def _read(self) -> Iterator[Announcement]:
        wanted = self._wanted
        while (message := self._reader.gets()) is not False:
            if type(message) is not list or message[0] != b"smessage":
                self._answered(message)
            elif (place := wanted.get(message[1])) is not None:
                try:
                    yield commands.announcement(*place, message[2])
                except ValueError:
                    self._skip(message[1])

    def _answered(self, message: Any) -> None:
        if isinstance(message, hiredis.ReplyError):
            self.end(str(message))
        elif (type(message) is not list or message[0] == b"pong") and self._pings:
            self._pings.popleft().set()
        elif message[0] == b"sunsubscribe":
            self._unsubscribed(message[1])

    def _unsubscribed(self, name: bytes) -> None:
        self._leaving[name] -= 1
        if self._leaving[name] < 0:
            self.end("the server gave the channel's slot away")
        elif not self._leaving[name]:
            del self._leaving[name]

    def _skip(self, name: bytes) -> None:
        self._unreadable += 1
        if self._unreadable == 1:
            logger.warning("somebody else publishes on %r: what cannot be read is skipped", name)

    # Liveness

    def _check(self) -> None:
        # Checks are counted, not seconds: an event loop that was held up has not listened meanwhile.
        if self._unheard >= CHECKS_PER_DEADLINE:
            self.end(f"the server was silent for {self._deadline:g} s")
            return
        self._unheard += 1
        self._next_ping = self._next_ping or asyncio.Event()
        self._send_ping()
        self._checking = self._loop.call_later(self._deadline / CHECKS_PER_DEADLINE, self._check)

    def _send_ping(self) -> None:
        if self._next_ping is not None:
            self._pings.append(self._next_ping)
            self._next_ping = None
            self._write(b"PING")

    def _write(self, *command: bytes) -> None:
        # Its annotation knows commands of one word alone.
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]


def _transport(connection: AbstractConnection) -> asyncio.Transport:
    # The StreamWriter stays with the connection: it would close the transport on being collected.
    reader, writer = connection._reader, connection._writer
    if reader is None or writer is None or reader.at_eof() or writer.is_closing():
        raise ConnectionError("the server closed the connection")
    return cast(asyncio.Transport, writer.transport)


async def _refuse_replica(connection: AbstractConnection) -> None:
    # A replica passes announcements on, but after the master has answered: no barrier would hold there.
    await connection.send_command("ROLE")
    try:
        role = await connection.read_response()
    except NoPermissionError:
        return
    if role[0] != b"master":
        raise ReadOnlyError("this server is a replica")
