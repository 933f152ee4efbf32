"""A transport that writes to the body of a response: what is sent, backpressure, and every way in which it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Message

from statushub.hub.http.portable import BUFFERED, Body
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Protocol):
    """A protocol that notes what its transport calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(b"first")

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")
        self.transport.write(b"resumed")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")


class Stage:
    """A response whose server takes a message as `room` has it."""

    def __init__(self) -> None:
        self.protocol = Recorder()
        self.sent: list[tuple[bytes, bool]] = []
        self.arrived = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.gone = asyncio.Event()
        self.task: asyncio.Task[bool] | None = None

    async def send(self, message: Message) -> None:
        self.sent.append((message["body"], message["more_body"]))
        self.arrived.set()
        await self.room.wait()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> tuple[bytes, bool]:
        """The next message that the server is given."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self.arrived.wait()
        self.arrived.clear()
        return self.sent[-1]

    async def end(self) -> bool:
        """What `serve` returns."""
        assert self.task is not None
        # Without a cancellation when the time is up, which the body would take for its own.
        done, _ = await asyncio.wait({self.task}, timeout=WAIT_SECONDS)
        assert done
        return self.task.result()


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A body that is being served, and has sent its first message."""
    stage, before = Stage(), asyncio.all_tasks()
    stage.task = asyncio.create_task(Body(stage.send).serve(lambda *_: stage.protocol, stage.receive))
    try:
        assert await stage.next() == (b"first", True)
        yield stage
    finally:
        stage.task.cancel()
        await asyncio.gather(stage.task, return_exceptions=True)
        assert stage.protocol.calls.count("lost") == 1
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


async def test_a_closed_body_ends_with_what_is_left() -> None:
    """The last message has it, and says that it is the last."""
    async with staged() as stage:
        stage.protocol.transport.write(b"last")
        stage.protocol.transport.close()
        assert stage.protocol.transport.is_closing()
        stage.protocol.transport.write(b"too late")
        assert await stage.end() is True
        assert stage.sent[1:] == [(b"last", False)]


async def test_what_is_written_while_the_server_waits_is_sent_together() -> None:
    """Not a message for each write; and a busy server gets no second call of `send` meanwhile."""
    async with staged() as stage:
        stage.room.clear()
        for text in (b"a", b"b", b"c"):
            stage.protocol.transport.write(text)
            await asyncio.sleep(0)
        assert stage.sent[1:] == [(b"a", True)]
        stage.arrived.clear()
        stage.room.set()
        assert await stage.next() == (b"bc", True)
        assert "pause" not in stage.protocol.calls


async def test_a_client_that_does_not_read_pauses_the_protocol() -> None:
    """Once the buffer is full, until all of it is sent."""
    async with staged() as stage:
        transport = stage.protocol.transport
        stage.room.clear()
        transport.write(b"a")
        await stage.next()
        for _ in range(2):
            transport.write(bytes(BUFFERED))
        assert stage.protocol.calls == ["pause"]
        stage.room.set()
        while await stage.next() != (b"resumed", True):
            pass
        assert stage.sent[2:] == [(bytes(2 * BUFFERED), True), (b"resumed", True)]
        assert stage.protocol.calls == ["pause", "resume"]


@pytest.mark.parametrize("waiting", [False, True], ids=["idle", "not reading"])
@pytest.mark.parametrize("ending", ["abort", "disconnect"])
async def test_a_body_ends_with_its_client(ending: str, waiting: bool) -> None:
    """By an abort as well, even where the server never takes what it was given; the request's task goes on."""
    async with staged() as stage:
        if waiting:
            stage.room.clear()
            stage.protocol.transport.write(b"unread")
            await stage.next()
            stage.protocol.transport.write(b"unsent")
        if ending == "abort":
            stage.protocol.transport.abort()
        else:
            stage.gone.set()
        assert await stage.end() is False
        assert (b"unsent", True) not in stage.sent
        # A timer of a farewell may come later.
        stage.protocol.transport.abort()


async def test_a_server_may_cancel_the_request() -> None:
    """Its cancellation is not taken for an end of the body."""
    async with staged() as stage:
        assert stage.task is not None
        stage.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.end()
