"""A viewer that behaves like a browser: it resumes by its cursor, obeys `retry`, and notices a dead socket."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from tests.faults.checker import Watch
from tests.faults.history import Entry, Ready, Reset, Shown, State
from tests.support.frames import Frame, Frames
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


class _Ready(msgspec.Struct):
    cursor: str


class Viewer:
    """Streams some channels through one of `hubs` at a time, and records what it is sent.

    A `portable` one uses HTTP/1.0, which is not handed over.
    """

    def __init__(
        self,
        name: str,
        hubs: Sequence[Address],
        channels: frozenset[str],
        rng: random.Random,
        *,
        portable: bool = False,
    ) -> None:
        self.name = name
        self.channels = channels
        self.history: list[Entry] = []
        self.watch = Watch(name, channels)
        self.view: dict[str, State] = {}
        self.cursor: Cursor | None = None
        self.connections = 0
        self.changed = asyncio.Event()
        self._hubs = hubs
        self._hub = rng.choice(hubs)
        self._heard = time.monotonic()
        self._rng = rng
        self._portable = portable
        self._retry = FIRST_RETRY_SECONDS
        self._hurry = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None
        self._narrow = False
        self._slow = False
        self._reading = asyncio.Event()
        self._reading.set()

    def taken(self) -> list[Entry]:
        """The entries recorded since the last call."""
        entries, self.history = self.history, []
        return entries

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
                    reader, writer, frames = await self._open(self._hub)
                refused = False
                try:
                    await self._read(reader, frames)
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

    async def _open(self, hub: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Frames]:
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
        path = f"/api/events?{urlencode([('channel', channel) for channel in sorted(self.channels)])}"
        lines = [f"GET {path} HTTP/{'1.0' if self._portable else '1.1'}", f"Host: {hub[0]}:{hub[1]}"]
        if self.cursor is not None:
            lines.append(f"Last-Event-ID: {self.cursor}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except BaseException:
            writer.transport.abort()
            raise
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            writer.transport.abort()
            raise ValueError(f"{self.name} was answered {head!r}")
        self.connections += 1
        return reader, writer, Frames(chunked=b"transfer-encoding: chunked" in head)

    async def _read(self, reader: asyncio.StreamReader, frames: Frames) -> None:
        while True:
            await self._reading.wait()
            if self._slow:
                await asyncio.sleep(SLOW_SECONDS)
            async with asyncio.timeout(SILENCE_SECONDS):
                data = await reader.read(SLOW_BYTES if self._slow else 2**16)
            if not data:
                return
            self._heard = time.monotonic()
            for frame in frames.feed(data):
                self._take(frame)
            self.changed.set()

    def _take(self, frame: Frame) -> None:
        if frame.retry is not None:
            self._retry = frame.retry / 1000
        if frame.event == "reset":
            self.cursor = None
            self.view.clear()
            self.history.append(Reset())
        elif frame.event == "ready":
            cursor = Cursor.parse(msgspec.json.decode(frame.data, type=_Ready).cursor)
            self.history.append(Ready(cursor))
        elif frame.id:
            self._show(Cursor.parse(frame.id), frame.event or "", frame.data.encode())

    def _show(self, cursor: Cursor, event: str, data: bytes) -> None:
        place = msgspec.json.decode(data, type=_Place)
        state = State.of(
            cursor.epoch,
            Event(channel=place.channel_id, content_id=place.content_id, offset=cursor.offset, type=event, data=data),
        )
        self.cursor = cursor
        self.view[state.content] = state
        self.history.append(Shown(state, time.monotonic()))


class _Place(msgspec.Struct):
    channel_id: str
    content_id: str
