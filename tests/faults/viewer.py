"""A viewer that behaves like a browser: it resumes by its cursor, obeys `retry`, and notices a dead socket."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import CONTENT_DELTA, CONTENT_REMOVED
from statushub.producers.following.states import before, grown
from tests.faults.checker import Watch
from tests.faults.history import Entry, Gone, Misfit, Ready, Reset, Shown, State
from tests.faults.transport import EVENT, READY, RESET, RETRY, Channels, Message, Transport
from tests.support.proxy import Address

CONNECT_SECONDS: Final = 3.0
"""The time limit for the head of an answer: a stopped process accepts connections and answers nothing."""

SILENCE_SECONDS: Final = 4.0
"""The time without a frame after which the socket is dead: hubs send a heartbeat each second here."""

FIRST_RETRY_SECONDS: Final = 1.0
"""The delay before a hub has sent one."""

NARROW_BYTES: Final = 4 * 1024
"""The receive buffer of a stalling viewer: small, so that the hub's socket is soon full."""

WIDE_BYTES: Final = 1024 * 1024
"""The receive buffer after the stall: some MB in the kernel's buffers are read within a second."""

SLOW_BYTES: Final = 512
SLOW_SECONDS: Final = 0.02
"""The bytes and the interval of a slow viewer's reads: 25 KB/s."""


class _Sight:
    """What is shown of the channels that share a cursor."""

    def __init__(self, name: str, channels: Channels) -> None:
        self.watch = Watch(name, channels)
        self.history: list[Entry] = []
        self.cursor: Cursor | None = None


class Viewer:
    """Follows some channels through one of `hubs` at a time, and records what it is sent."""

    def __init__(
        self,
        name: str,
        hubs: Sequence[Address],
        channels: frozenset[str],
        rng: random.Random,
        transport: Transport,
    ) -> None:
        self.name = name
        self.channels = channels
        self.transport = transport
        self.view: dict[str, State] = {}
        self.connections = 0
        self.changed = asyncio.Event()
        self._hubs = hubs
        self._hub = rng.choice(hubs)
        self._heard = time.monotonic()
        self._rng = rng
        self._sights = {scope: _Sight(name, scope) for scope in transport.scopes(channels)}
        self._retry = FIRST_RETRY_SECONDS
        self._hurry = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None
        self._narrow = False
        self._slow = False
        self._reading = asyncio.Event()
        self._reading.set()

    def taken(self) -> Iterator[tuple[Watch, list[Entry]]]:
        """The entries recorded since the last call, those of each cursor."""
        for sight in self._sights.values():
            entries, sight.history = sight.history, []
            yield sight.watch, entries

    def leave(self) -> None:
        """Drop the connection and reconnect immediately, whatever `retry` is."""
        self._hurry.set()
        if self._transport is not None:
            self._transport.abort()

    def stall(self, *, slow: bool) -> None:
        """From now on read nothing, or slowly, over a new connection with a small buffer."""
        self._narrow, self._slow = True, slow
        if not slow:
            self._reading.clear()
        self.leave()

    def revive(self) -> None:
        """Read normally again, on the same connection."""
        self._narrow = self._slow = False
        self._reading.set()
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WIDE_BYTES)

    async def run(self) -> None:
        """Stream until cancelled."""
        refused = False
        while True:
            again, refused = refused, True
            with suppress(OSError, EOFError, ValueError, TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer, messages = await self._open(self._hub)
                refused = False
                try:
                    await self._read(reader, messages)
                finally:
                    self._transport = None
                    writer.transport.abort()
            # As behind a load balancer: any hub, and immediately another one where this one does not answer.
            others = [other for other in self._hubs if other != self._hub]
            if refused and others and not again:
                self._hub = self._rng.choice(others)
                continue
            self._hub = self._rng.choice(self._hubs)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._retry):
                    await self._hurry.wait()
            self._hurry.clear()

    async def until(self, condition: Callable[[], bool]) -> float:
        """The time at which the condition, which depends on the view, becomes true."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()
        return time.monotonic()

    def __str__(self) -> str:
        return f"{self.name} (on {self._hub[1]}, heard {time.monotonic() - self._heard:.1f} s ago)"

    async def _open(self, hub: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, _Messages]:
        connection = socket.socket()
        try:
            connection.setblocking(False)
            if self._narrow:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BYTES)
            await asyncio.get_running_loop().sock_connect(connection, hub)
            limit = NARROW_BYTES if self._narrow else 2**16
            reader, writer = await asyncio.open_connection(sock=connection, limit=limit)
        except BaseException:
            connection.close()
            raise
        self._transport = writer.transport
        cursors = {scope: sight.cursor for scope, sight in self._sights.items()}
        writer.write(self.transport.request(hub, cursors))
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except BaseException:
            writer.transport.abort()
            raise
        if self.transport.status not in head.split(b"\r\n", 1)[0]:
            writer.transport.abort()
            raise ValueError(f"{self.name} was answered {head!r}")
        self.connections += 1
        writer.write(self.transport.opening(cursors))
        return reader, writer, self.transport.feed(head)

    async def _read(self, reader: asyncio.StreamReader, messages: _Messages) -> None:
        while True:
            await self._reading.wait()
            if self._slow:
                await asyncio.sleep(SLOW_SECONDS)
            async with asyncio.timeout(SILENCE_SECONDS):
                data = await reader.read(SLOW_BYTES if self._slow else 2**16)
            if not data:
                return
            self._heard = time.monotonic()
            for message in messages(data):
                self._take(message)
            self.changed.set()

    def _take(self, message: Message) -> None:
        if message.kind == RETRY:
            self._retry = message.retry
        if message.kind not in (EVENT, READY, RESET):
            return
        [sight] = [self._sights[message.channels]] if message.channels else self._sights.values()
        if message.kind == RESET:
            self._forget(sight)
        elif message.cursor is None:
            raise ValueError(f"{self.name} was sent {message} without a cursor")
        elif message.kind == READY:
            sight.history.append(Ready(message.cursor))
        else:
            self._show(sight, message.cursor, message.type, message.data)

    def _forget(self, sight: _Sight) -> None:
        """Begin anew with the whole state."""
        sight.cursor = None
        for content in [it.content for it in self.view.values() if it.channel in sight.watch.channels]:
            del self.view[content]
        sight.history.append(Reset())

    def _show(self, sight: _Sight, cursor: Cursor, event: str, data: bytes) -> None:
        place = msgspec.json.decode(data, type=_Place)
        if event == CONTENT_DELTA:
            said: dict[str, Any] = msgspec.json.decode(data)
            held, after = self.view.get(place.content_id), before(cursor, said)
            there = None if held is None else Cursor(epoch=held.epoch, offset=held.offset)
            if held is None or after != there:
                sight.history.append(Misfit(place.content_id, str(after), None if there is None else str(there)))
                self._forget(sight)
                raise ValueError(f"{self.name} was sent a delta after {after}, and has {there}")
            place.channel_id = place.channel_id or held.channel
            event, data = held.type, msgspec.json.encode(grown(msgspec.json.decode(held.data), said))
        sight.cursor = cursor
        if event == CONTENT_REMOVED:
            self.view.pop(place.content_id, None)
            sight.history.append(Gone(place.content_id, cursor))
            return
        state = State.of(
            cursor.epoch,
            Event(channel=place.channel_id, content_id=place.content_id, offset=cursor.offset, type=event, data=data),
        )
        self.view[state.content] = state
        sight.history.append(Shown(state, time.monotonic()))


_Messages = Callable[[bytes], Iterator[Message]]


class _Place(msgspec.Struct):
    content_id: str
    channel_id: str = ""
