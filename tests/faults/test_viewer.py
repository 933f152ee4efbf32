"""Viewers, against a hub that violates what the checker asserts: whichever way they are shown it, it is found."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.receipt import Receipt
from statushub.hub.model.vocabulary import COMPLETE, STATUS_UPDATE
from statushub.hub.wire.websocket import frame
from tests.faults.checker import Checker
from tests.faults.history import Misfit, Report, Reset, Shown, State, Stored
from tests.faults.transport import EventStream, Transport, WebSocket
from tests.faults.viewer import Viewer

pytestmark = pytest.mark.anyio

LAST = {"c": 3, "d": 2}
"""The final step of the one content of each channel, which is also its offset."""


def type_of(channel: str, step: int) -> str:
    """The type of the event of a step."""
    return COMPLETE if step == LAST[channel] else STATUS_UPDATE


def data(channel: str, step: int) -> dict[str, object]:
    """A status of the one content of a channel."""
    return {"channel_id": channel, "content_id": f"in-{channel}", "status": "generating", "run": 1, "step": step}


def streamed(channel: str, offset: int) -> bytes:
    """An event of step `offset` on a stream."""
    said = msgspec.json.encode(data(channel, offset))
    return b"event: %b\ndata: %b\nid: e-%d\n\n" % (type_of(channel, offset).encode(), said, offset)


def messaged(channel: str, offset: int) -> bytes:
    """The same on a WebSocket."""
    return frame(
        msgspec.json.encode({"type": type_of(channel, offset), "id": f"e-{offset}", "data": data(channel, offset)})
    )


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
SOCKET = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"

WAYS = [
    pytest.param(EventStream(), STREAM, streamed, id="stream"),
    pytest.param(WebSocket(), SOCKET, messaged, id="websocket"),
]


async def shown(transport: Transport, said: bytes) -> list[str]:
    """The violations that the checker finds in what a viewer is sent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        # Cut anywhere, as a network does.
        for start in range(0, len(said), 7):
            writer.write(said[start : start + 7])
            await writer.drain()
        with suppress(OSError):
            await reader.read()
        writer.close()

    checker = Checker()
    stored = {}
    for channel, last in LAST.items():
        for step in range(1, last + 1):
            report = Report(content=f"in-{channel}", channel=channel, run=1, step=step, final=step == last)
            checker.offer(report)
            if step == last:
                checker.record_answer(report, Receipt(cursor=Cursor(epoch="e", offset=step)), 1.0)
        stored[f"in-{channel}"] = State(
            content=f"in-{channel}",
            channel=channel,
            epoch="e",
            offset=last,
            type=COMPLETE,
            data=msgspec.json.encode(data(channel, last)),
            rank=(1, last, False),
        )
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        viewer = Viewer("v", [server.sockets[0].getsockname()], frozenset(LAST), random.Random(1), transport)
        running = asyncio.create_task(viewer.run())
        async with asyncio.timeout(20):
            await viewer.until(lambda: len(viewer.view) == len(LAST))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    checker.evaluate(Stored(epoch="e", states=stored), [*viewer.taken()])
    return checker.new_violations()


@pytest.mark.parametrize(("transport", "head", "event"), WAYS)
async def test_an_id_that_does_not_increase_is_found(
    transport: Transport, head: bytes, event: Callable[[str, int], bytes]
) -> None:
    """An older state of a content, after a newer one."""
    [*violations] = await shown(transport, head + event("c", 2) + event("c", 1) + event("d", 2))
    assert any("ids do not increase" in violation for violation in violations)
    assert any("in-c" in violation for violation in violations)


async def test_each_channel_of_a_socket_has_its_own_cursor() -> None:
    """A stream's one cursor may not go back, whatever the channel."""
    said = [("c", 3), ("d", 2)]
    assert await shown(WebSocket(), SOCKET + b"".join(messaged(*it) for it in said)) == []
    [violation] = await shown(EventStream(), STREAM + b"".join(streamed(*it) for it in said))
    assert "ids do not increase" in violation


async def test_a_channel_that_is_not_complete_when_it_is_ready_is_found() -> None:
    """Of the channel that the message names, and of no other."""
    ready = frame(b'{"type":"ready","channel_id":"c","cursor":"e-3","heartbeat_ms":1000}')
    first = messaged("c", 1)
    [violation] = await shown(WebSocket(), SOCKET + first + ready + messaged("d", 2) + messaged("c", 3))
    assert "was ready at e-3" in violation
    assert "in-c" in violation


def grows(transport: Transport, back: int) -> bytes:
    """A delta of the content of `c`, to its second step."""
    said = {"content_id": "in-c", "channel_id": "c", "back": back, "set": {"step": 2}, "append": {"text": "?"}}
    if isinstance(transport, WebSocket):
        return frame(msgspec.json.encode({"type": "content_delta", "id": "e-2", "data": said}))
    return b"event: content_delta\ndata: %b\nid: e-2\n\n" % msgspec.json.encode(said)


@pytest.mark.parametrize(("transport", "head", "event"), WAYS)
@pytest.mark.parametrize(("back", "fits"), [(1, True), (2, False)])
async def test_a_delta_makes_a_state_or_is_found_not_to_fit(
    transport: Transport, head: bytes, event: Callable[[str, int], bytes], back: int, fits: bool
) -> None:
    """It would make a text with a hole; the viewer begins anew."""
    viewer = Viewer("v", [("127.0.0.1", 1)], frozenset({"c"}), random.Random(1), transport)
    with suppress(ValueError):
        for message in transport.feed(head)(event("c", 1) + grows(transport, back)):
            viewer._take(message)
    shown = {content: (state.offset, state.rank, state.text) for content, state in viewer.view.items()}
    assert shown == ({"in-c": (2, (1, 2, False), "?")} if fits else {})
    entries = [entry for _, taken in viewer.taken() for entry in taken]
    assert [type(entry) for entry in entries] == ([Shown, Shown] if fits else [Shown, Misfit, Reset])
