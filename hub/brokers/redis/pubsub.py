"""One connection that receives announcements, read by callbacks: from socket to listener without a task.

redis-py connects and logs in; then its connection's transport gets this module's protocol. Private parts of redis-py
used here (`portable.missing_parts` checks them; without them `PortableTransport` takes the transport's place):

- `AbstractConnection._reader` and `._writer`: the asyncio streams of an open connection, whose transport is taken.
  `connect` returns with nothing buffered in `_reader`, because nothing is subscribed and RESP2 has no pushes;
  `disconnect(nowait=True)` closes `_writer` and tolerates a transport that is closed already.

Public but undocumented parts, used by `topology.connection` and `.node`: `connection_class` and `connection_kwargs` of
connection pools and cluster nodes, `SentinelConnectionPool.master_address`, `RedisCluster.nodes_manager`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoPermissionError, ReadOnlyError

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.portable import PortableTransport
from statushub.hub.brokers.redis.wants import Wants
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Announcement

CHECKS_PER_DEADLINE: Final = 3
"""Pings within one deadline, so that a single late answer does not end a connection."""

CHANNELS_PER_COMMAND: Final = 500
"""Channels in one SSUBSCRIBE or SUNSUBSCRIBE: few round trips, and no command that holds the server for long."""

BUSY_RATE: Final = 2_000
"""Announcements a second above which reads are coalesced: two in each. At 1,000 a second, the pauses cost more than the
reads that they save."""

COALESCE_SECONDS: Final = 0.001
"""Pause between two coalesced reads: invisible, and each read saved is a wake-up of the process and of the loop."""

RATE_SECONDS: Final = 0.02
"""Over which the rate is measured: longer than the burst of one batch, short enough to follow the load."""

Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Starts a task, as a task group's `start_soon` does."""

logger = logging.getLogger(__name__)


class PubSubConnection(asyncio.Protocol):
    """Reads announcements from one server and passes them on in batches.

    `lost` is called once, with the reason, when the connection has ended: it broke, the server refused a command, or
    answered no ping for `deadline` seconds.
    """

    def __init__(
        self,
        wants: Wants,
        *,
        announced: Callable[[Sequence[Announcement]], None],
        lost: Callable[[str], None],
        deadline: float,
        busy_rate: float = BUSY_RATE,
        rate_seconds: float = RATE_SECONDS,
    ) -> None:
        """Above `busy_rate` announcements a second, measured over `rate_seconds`, reads are coalesced."""
        self.subscribed: set[bytes] = set()
        self._channels = wants.channels
        self._tenants = wants.tenants
        self._announced = announced
        self._lost = lost
        self._deadline = deadline
        self._busy_rate = busy_rate
        self._rate_seconds = rate_seconds
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
        self._transport: asyncio.Transport | PortableTransport

    async def connect(self, connection: AbstractConnection, *, start: Start | None = None) -> None:
        """Let redis-py connect and log in, then take its transport. Raises what redis-py raises.

        With `start`, which starts a task, redis-py's public interface is used instead of its transport.
        """
        self._connection = connection
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await _refuse_replica(connection)
            if start is None:
                transport = _transport(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        if start is None:
            self._transport = transport
            transport.set_protocol(self)
        else:
            portable = PortableTransport(connection, received=self.message_received, lost=self.connection_lost)
            self._transport = portable
            start(portable.run)
        self._check()

    def subscribe(self, names: Iterable[bytes]) -> None:
        """Subscribe to pub/sub channels of one slot; a `barrier` after it returns once the server has done so."""
        for chunk in _chunks(names):
            self.subscribed.update(chunk)
            self._write(b"SSUBSCRIBE", *chunk)

    def unsubscribe(self, names: Iterable[bytes]) -> None:
        """Unsubscribe from pub/sub channels of one slot, without waiting for the server."""
        if self._reason is not None:
            return
        for chunk in _chunks(self.subscribed.intersection(names)):
            self.subscribed.difference_update(chunk)
            self._leaving.update(chunk)
            self._write(b"SUNSUBSCRIBE", *chunk)

    async def barrier(self) -> None:
        """Return when everything that the server wrote to this connection before the call has been passed on.

        Raises `BrokerUnavailable` where the connection ends first.
        """
        if self._reason is None:
            if self._next_ping is None:
                self._next_ping = asyncio.Event()
                self._loop.call_soon(self._send_ping)
            await self._next_ping.wait()
        if self._reason is not None:
            raise BrokerUnavailable(f"announcements are interrupted: {self._reason}")

    def end(self, reason: str) -> None:
        """Abort the connection; `lost` is called with this reason."""
        self._reason = self._reason or reason
        self._transport.abort()

    async def aclose(self) -> None:
        """Close the connection. `lost` is called as for any other end."""
        self.end("closed")
        await self._connection.disconnect(nowait=True)

    # Callbacks of the event loop

    def data_received(self, data: bytes) -> None:
        self._unheard = 0
        batch: list[Announcement] = []
        try:
            self._reader.feed(data)
            # `gets` returns False when no message is complete.
            batch.extend(self._read(iter(self._reader.gets, False)))
        except hiredis.ProtocolError as error:
            self.end(f"the server does not speak Redis' protocol: {error}")
        if batch:
            self._coalesce(len(batch))
            self._announced(batch)

    def message_received(self, message: Any) -> None:
        """Take a message that `PortableTransport` has read."""
        self._unheard = 0
        if batch := list(self._read([message])):
            self._announced(batch)

    def _coalesce(self, announcements: int) -> None:
        """Pause reading for a moment where announcements come so fast that the next read then returns many."""
        # Not the loop's time, which uvloop counts in whole milliseconds.
        now = time.monotonic()
        self._recent += announcements
        if now - self._recent_since > self._rate_seconds:
            self._busy = self._recent > self._busy_rate * (now - self._recent_since)
            self._recent, self._recent_since = 0, now
        if self._busy:
            self._transport.pause_reading()
            self._loop.call_later(COALESCE_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._reason is None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reason = self._reason or (str(exc) if exc else "the server closed the connection")
        self._checking.cancel()
        self._send_ping()
        for ping in self._pings:
            ping.set()
        self._lost(self._reason)

    # Messages of the server

    def _read(self, messages: Iterable[Any]) -> Iterator[Announcement]:
        channels = self._channels
        for message in messages:
            if type(message) is not list or message[0] != b"smessage":
                self._answered(message)
            elif (source := channels.get(message[1])) is not None:
                try:
                    yield commands.announcement(*source, message[2])
                except ValueError:
                    self._skip(message[1])
            elif (tenant := self._tenants.get(message[1])) is not None:
                try:
                    yield commands.tenant_announcement(tenant, message[2])
                except ValueError:
                    self._skip(message[1])

    def _answered(self, message: Any) -> None:
        if isinstance(message, Exception):
            self.end(str(message))
        elif (type(message) is not list or message[0] == b"pong") and self._pings:
            self._pings.popleft().set()
        elif message[0] == b"sunsubscribe":
            self._unsubscribed(message[1])

    def _unsubscribed(self, name: bytes) -> None:
        self._leaving[name] -= 1
        if self._leaving[name] < 0:
            self.end("the channel's slot has moved to another server")
        elif not self._leaving[name]:
            del self._leaving[name]

    def _skip(self, name: bytes) -> None:
        self._unreadable += 1
        if self._unreadable == 1:
            logger.warning("a foreign publisher uses %r: messages that are no announcements are skipped", name)

    # Liveness

    def _check(self) -> None:
        # Checks are counted, not seconds: an event loop that was blocked has not read meanwhile.
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
        # Its annotation allows commands of one word only.
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]


def _chunks(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    names = iter(names)
    while chunk := list(islice(names, CHANNELS_PER_COMMAND)):
        yield chunk


def _transport(connection: AbstractConnection) -> asyncio.Transport:
    # The connection keeps the StreamWriter, which would close the transport when it is garbage-collected.
    reader, writer = connection._reader, connection._writer
    if reader is None or writer is None or reader.at_eof() or writer.is_closing():
        raise ConnectionError("the server closed the connection")
    return cast(asyncio.Transport, writer.transport)


async def _refuse_replica(connection: AbstractConnection) -> None:
    # A replica passes announcements on only after the master has answered, so that no barrier would hold there.
    await connection.send_command("ROLE")
    try:
        role = await connection.read_response()
    except NoPermissionError:
        return
    if role[0] != b"master":
        raise ReadOnlyError("this server is a replica")
