"""Whatever happens to a channel and to its viewers, what a viewer has at a cursor is what the broker had there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import pytest

from statushub.hub.auth.identity import Identity
from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.publication import publication
from statushub.hub.viewers import pacing
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.viewer import State
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import CHUNKED_DELTA_MESSAGE_SSE, CHUNKED_DELTA_SSE, CHUNKED_SSE
from tests.support.frames import Frames
from tests.support.growing import Reader
from tests.support.redis_server import RedisServer
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

CONTENTS: Final = ("a", "b", "c")
PIECES: Final = ("word ", "é", "😀", '"\\', "\u2028", "x" * 3_000)
STEPS: Final = 250
SECOND: Final = len("2025-07-31T13:00:00")


def to_the_second(state: dict[str, Any]) -> dict[str, Any]:
    """A state as readers of deltas have it, whose `timestamp` may be an earlier one of the same second."""
    return {**state, "timestamp": state["timestamp"][:SECOND]}


class Browser(asyncio.Transport):
    """A viewer that comes back: its connection may be cut in the middle of a write, and may be slow."""

    def __init__(self, world: World, format: StreamFormat, channels: list[str]) -> None:
        super().__init__()
        self.world = world
        self.format = format
        self.channels = channels
        self.reader = Reader()
        self.cut_in = 0
        """How many writes the connection has left; 0 is any number."""
        self._frames = Frames(chunked=True)
        self._viewer: PushViewer | None = None
        self._gone = False

    def open(self) -> None:
        """Connect, from the last cursor on."""
        self._frames, self._gone = Frames(chunked=True), False
        since = None if self.reader.cursor is None else Cursor.parse(self.reader.cursor)
        self._viewer = self.world.hub.push_viewer(
            Identity(tenant=self.world.tenant),
            "",
            self.channels,
            since,
            connections=set(),
            stalled=False,
            format=self.format,
        )
        self._viewer.connection_made(self)

    def leave(self) -> None:
        if self._viewer is not None:
            viewer, self._viewer = self._viewer, None
            viewer.connection_lost(None)

    def stall(self) -> None:
        if self._viewer is not None and self._viewer.state is not State.STALLED:
            self._viewer.pause_writing()

    def revive(self) -> None:
        if self._viewer is None:
            self.open()
        else:
            self._viewer.resume_writing()

    @property
    def shown(self) -> dict[str, dict[str, Any]]:
        """The states by channel."""
        states = self.reader.states
        return {
            channel: {it: to_the_second(states[it]) for it in states if states[it]["channel_id"] == channel}
            for channel in self.channels
        }

    def write(self, data: Any) -> None:
        if self.is_closing():
            return
        cut, self.cut_in = self.cut_in == 1, max(self.cut_in - 1, 0)
        for frame in self._frames.feed(data[: len(data) // 2] if cut else data):
            self.reader.take_frames([frame])
            self.world.check(self.reader)
        if cut:
            self._gone = True
            asyncio.get_running_loop().call_soon(self.leave)

    def is_closing(self) -> bool:
        return self._viewer is None or self._gone

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class World:
    """A hub over a broker, which is asked for the state of a content after each event."""

    def __init__(self, hub: Hub, broker: Broker, tenant: str, rng: random.Random) -> None:
        self.hub = hub
        self.tenant = tenant
        self.history: dict[tuple[str, str], dict[str, Any]] = {}
        self.seqs: dict[str, int] = {}
        self.channels = {content_id: ("one", "two")[number % 2] for number, content_id in enumerate(CONTENTS)}
        self._attempts = dict.fromkeys(CONTENTS, 1)
        self._broker = broker
        self._rng = rng

    def check(self, reader: Reader) -> None:
        """What the reader has of each content is what the broker had at its cursor."""
        for content_id, cursor in reader.cursors.items():
            if (content_id, cursor) in self.history:
                assert to_the_second(reader.states[content_id]) == to_the_second(self.history[content_id, cursor])

    async def act(self) -> None:
        """Something happens to a content."""
        content_id = self._rng.choice(CONTENTS)
        kind = self._rng.choices(["delta", "whole", "end", "remove", "lost"], [20, 3, 1, 1, 1])[0]
        if kind == "remove":
            await self._broker.remove(self.tenant, self.channels[content_id], [content_id])
            self.seqs.pop(content_id, None)
        elif kind == "lost":
            self.hub.ingest.lost()
            await self._say(content_id, "whole")
            self.hub.ingest.restored()
        else:
            await self._say(content_id, kind)

    async def _say(self, content_id: str, kind: str) -> None:
        follows = self.seqs.get(content_id)
        said: dict[str, Any] = {"data": {"status": "complete" if kind == "end" else "generating", "title": "t"}}
        if kind == "whole" and self._rng.random() < 0.5:
            said["data"]["text"] = self._rng.choice(PIECES)
        if kind == "delta" and follows is not None:
            append: dict[str, Any] = {"text": self._rng.choice(PIECES)}
            if self._rng.random() < 0.3:
                append["log"] = [{"message": self._rng.choice(PIECES)}]
            sets = {"progress": self._rng.randrange(100)} if self._rng.random() < 0.3 else {}
            said = {"delta": {"follows": follows, "set": sets, "append": append}}
        self.seqs[content_id] = seq = (follows or 0) + 1
        channel = self.channels[content_id]
        [receipt] = await self._broker.publish(
            self.tenant,
            [publication(channel=channel, content_id=content_id, seq=seq, attempt=self._attempts[content_id], **said)],
        )
        if receipt.cursor is None:
            # It was removed, or has ended: it begins anew.
            self.seqs.pop(content_id)
            self._attempts[content_id] += 1
            return
        found = await self._broker.lookup(self.tenant, [content_id])
        [event] = found.events
        assert event is not None
        assert event.offset == receipt.cursor.offset
        self.history[content_id, str(receipt.cursor)] = msgspec.json.decode(event.data)
        if kind == "end":
            self.seqs.pop(content_id)
            self._attempts[content_id] += 1

    async def states(self, channel: str) -> dict[str, Any]:
        found = await self._broker.changes(self.tenant, channel)
        states = {event.content_id: msgspec.json.decode(event.data) for event in found.events if not event.removed}
        return {content_id: to_the_second(state) for content_id, state in states.items()}


@asynccontextmanager
async def world(url: str, tenant: str, rng: random.Random) -> AsyncIterator[World]:
    broker = open_broker(url)
    hub = Hub(broker)
    async with broker, hub:
        yield World(hub, broker, tenant, rng)


@pytest.mark.parametrize("seed", range(10))
async def test_readers_have_what_the_broker_had(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Viewers of one channel and of two, with and without deltas, that are cut off, stall, leave and come back."""
    await happen("memory:", "t", random.Random(seed), monkeypatch)


@pytest.mark.redis
@pytest.mark.parametrize("seed", range(4))
async def test_readers_have_what_redis_had(
    seed: int, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, of announcements that come over a connection."""
    await happen(redis_server.url, f"growing-{seed}", random.Random(100 + seed), monkeypatch)


async def happen(url: str, tenant: str, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let much happen, and then nothing more: every viewer has the broker's state in the end."""
    monkeypatch.setattr(pacing, "SECONDS", 0.005)
    async with world(url, tenant, rng) as made:
        browsers = [
            Browser(made, format, channels)
            for format in (CHUNKED_DELTA_SSE, CHUNKED_DELTA_MESSAGE_SSE, CHUNKED_SSE)
            for channels in (["one"], ["one", "two"])
        ]
        for _ in range(STEPS):
            await made.act()
            browser = rng.choice(browsers)
            happens = rng.randrange(8)
            if happens == 0:
                browser.leave()
            elif happens == 1:
                browser.stall()
            elif happens == 2:
                browser.cut_in = rng.randrange(1, 4)
            else:
                browser.revive()
            if rng.random() < 0.3:
                await asyncio.sleep(0.001 * rng.randrange(3))
        states = {channel: await made.states(channel) for channel in ("one", "two")}
        for browser in browsers:
            browser.cut_in = 0
        async with asyncio.timeout(WAIT_SECONDS):
            while any(
                browser.shown != {channel: states[channel] for channel in browser.channels} for browser in browsers
            ):
                for browser in browsers:
                    browser.revive()
                await asyncio.sleep(0.002)
