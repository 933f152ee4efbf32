"""Viewers of contents that grow: deltas for those that take them, and whole states now and then for the others."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from statushub.hub.auth.identity import Identity
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.hub import Hub
from statushub.hub.model import delta
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.publication import publication
from statushub.hub.model.vocabulary import CONTENT_DELTA
from statushub.hub.replicas.growth import MARKS, Composed
from statushub.hub.replicas.replica import Replica
from statushub.hub.viewers import pacing
from statushub.hub.viewers.push import PushViewer
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import (
    CHANNELS_DELTA_FORMATS,
    CHUNKED_DELTA_MESSAGE_SSE,
    CHUNKED_DELTA_SSE,
    CHUNKED_SSE,
)
from tests.support.frames import Frame, Frames
from tests.support.growing import Reader
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

TENANT = "t"
IDENTITY = Identity(tenant=TENANT)


class Screen(asyncio.Transport):
    """A connection whose frames are read as they are written; `full` is called after each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.frames: list[Frame] = []
        self.reader = Reader()
        self.viewer: PushViewer | None = None
        self.full: Callable[[], None] = lambda: None
        self._frames = Frames(chunked=True)

    def write(self, data: Any) -> None:
        self.writes.append(data)
        new = self._frames.feed(data)
        self.frames += new
        self.reader.take_frames(new)
        self.full()

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def text(self, content_id: str = "a") -> Any:
        return self.reader.states[content_id]["text"]

    @property
    def cursor(self) -> Cursor:
        return Cursor.parse(self.reader.cursor or "")


class Stage:
    """A hub whose channel `c` has the contents `a` and `b`, and announcements of what comes to them."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.offsets = {content_id: event.offset for content_id, event in self.replica.events.items()}
        self.texts = {"a": "", "b": ""}
        self._waiting: list[Announcement] = []

    @property
    def replica(self) -> Replica:
        found = self.hub.registry.find(TENANT, "c")
        assert found is not None
        return found

    def grow(self, text: str, content_id: str = "a", *, send: bool = True) -> None:
        """Append to a content's text; with what waits, unless it waits itself."""
        data = {"content_id": content_id}
        self._put(content_id, CONTENT_DELTA, data | {"append": {"text": text}, "timestamp": "1"}, send=send)
        self.texts[content_id] += text

    def say(
        self, content_id: str = "b", type: str = "content_status_update", *, send: bool = True, **data: Any
    ) -> None:
        """Announce a whole event."""
        self.texts[content_id] = data.get("text", "")
        self._put(content_id, type, {"content_id": content_id, "channel_id": "c"} | data, send=send)

    def _put(self, content_id: str, type: str, data: dict[str, Any], *, send: bool) -> None:
        prev, after = max(self.offsets.values()), self.offsets[content_id]
        event = Event(
            channel="c",
            content_id=content_id,
            offset=prev + 1,
            type=type,
            data=msgspec.json.encode(data),
            after=after if type == CONTENT_DELTA else 0,
        )
        self.offsets[content_id] = prev + 1
        epoch = self.replica.epoch or ""
        self._waiting.append(Announcement(tenant=TENANT, epoch=epoch, prev=prev, event=event))
        if send:
            batch, self._waiting = self._waiting, []
            self.hub.ingest.announced(batch)

    def view(self, format: StreamFormat, since: Cursor | None = None, reader: Reader | None = None) -> Screen:
        """A viewer; one that comes back has a reader."""
        screen = Screen()
        screen.reader = reader or screen.reader
        screen.viewer = self.hub.push_viewer(
            IDENTITY, "", ["c"], since, connections=set(), stalled=False, format=format
        )
        screen.viewer.connection_made(screen)
        return screen


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    broker = EmbeddedBroker(None)
    hub = Hub(broker)
    async with broker, hub:
        for content_id in ("a", "b"):
            data = {"status": "generating", "text": ""}
            await broker.publish(TENANT, [publication(channel="c", content_id=content_id, data=data)])
        replica = hub.synchronizer.obtain(TENANT, "c")
        async with asyncio.timeout(WAIT_SECONDS):
            await replica.settled.wait()
        yield Stage(hub)


async def shown(screen: Screen, text: str, content_id: str = "a") -> None:
    """Return once the text is shown."""
    shows = asyncio.Event()
    screen.full = lambda: shows.set() if screen.text(content_id) == text else None
    screen.full()
    async with asyncio.timeout(WAIT_SECONDS):
        await shows.wait()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole states are due once a minute, so that what comes earlier is a fault and what waits is not."""
    monkeypatch.setattr(pacing, "SECONDS", 60.0)


async def test_viewers_of_deltas_share_their_frames() -> None:
    """Each gets the addition, as it comes, with the cursor of the content's event before it."""
    async with staged() as stage:
        one, other = stage.view(CHUNKED_DELTA_SSE), stage.view(CHUNKED_DELTA_SSE)
        unnamed = stage.view(CHUNKED_DELTA_MESSAGE_SSE)
        before = stage.offsets["a"]
        stage.grow("hello ")
        stage.grow("world")
        assert one.writes[-1] is other.writes[-1]
        assert one.text() == unnamed.text() == "hello world"
        first = one.frames[-2]
        assert (first.event, first.offset) == ("content_delta", stage.offsets["a"] - 1)
        assert first.json == {
            "back": stage.offsets["a"] - 1 - before,
            "content_id": "a",
            "append": {"text": "hello "},
            "timestamp": "1",
        }
        assert len(one.writes[-1]) < 150


@pytest.mark.parametrize("events", ["named", "message"])
async def test_deltas_on_streams_of_several_channels_name_theirs(events: str) -> None:
    """A stream of one channel says by its address which it is."""
    async with staged() as stage:
        screen = stage.view(CHANNELS_DELTA_FORMATS[events].chunked)
        stage.grow("hello ")
        stage.grow("world")
        assert screen.text() == "hello world"
        assert {frame.json.get("channel_id") for frame in screen.frames if "append" in frame.json} == {"c"}


async def test_deltas_of_one_turn_are_one_frame() -> None:
    """An event between two of them keeps its place."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_DELTA_SSE)
        count = len(screen.frames)
        for text in "abc":
            stage.grow(text, send=False)
        stage.say("b", status="generating", text="!", send=False)
        stage.grow("d")
        assert [frame.event for frame in screen.frames[count:]] == [
            "content_delta",
            "content_status_update",
            "content_delta",
        ]
        assert screen.text() == "abcd"


async def test_a_delta_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To see whether it fits, to append it, and to write those that came together as one."""
    read: list[bytes] = []

    def counted(data: bytes, decode: Callable[[bytes], delta.Delta] = delta.decode) -> delta.Delta:
        read.append(data)
        return decode(data)

    monkeypatch.setattr(delta, "decode", counted)
    async with staged() as stage:
        screen = stage.view(CHUNKED_DELTA_SSE)
        for text in "abc":
            stage.grow(text, send=False)
        stage.grow("d")
        assert screen.text() == "abcd"
        assert (len(read), len(set(read))) == (4, 4)


async def test_a_late_viewer_gets_the_whole_in_one_frame() -> None:
    """However many deltas made it; further ones follow."""
    async with staged() as stage:
        for number in range(500):
            stage.grow(f"{number} ")
        screen = stage.view(CHUNKED_DELTA_SSE)
        assert (screen.text(), screen.reader.wholes, screen.reader.deltas) == (stage.texts["a"], 2, 0)
        stage.grow("end")
        assert (screen.text(), screen.reader.deltas) == (stage.texts["a"], 1)


async def test_a_viewer_that_comes_back_gets_one_delta() -> None:
    """From the last event that it was sent, where that is remembered; from an earlier one the whole state."""
    async with staged() as stage:
        stage.grow("one ")
        screen = stage.view(CHUNKED_DELTA_SSE)
        since, reader = screen.cursor, copy.deepcopy(screen.reader)
        stage.grow("two ")
        stage.grow("three ")
        again = stage.view(CHUNKED_DELTA_SSE, since, reader)
        frame, ready = again.frames
        assert (frame.event, frame.json["append"], ready.event) == ("content_delta", {"text": "two three "}, "ready")
        assert again.text() == stage.texts["a"]
        for _ in range(MARKS):
            stage.grow("more ")
        late = stage.view(CHUNKED_DELTA_SSE, since)
        assert [frame.event for frame in late.frames] == ["content_status_update", "ready"]
        assert late.text() == stage.texts["a"]


async def test_a_cursor_within_a_catch_up_proves_nothing() -> None:
    """Its holder may have been cut off between two events, and lack states that were skipped: it gets whole ones."""
    async with staged() as stage:
        stage.grow("one ")
        stage.say("b", status="generating", text="later")
        epoch, between = stage.replica.epoch or "", stage.offsets["b"]
        stage.grow("two ")
        screen = stage.view(CHUNKED_DELTA_SSE, Cursor(epoch=epoch, offset=between))
        assert [frame.event for frame in screen.frames] == ["content_status_update", "ready"]


async def test_a_slow_viewer_skips_to_the_present() -> None:
    """What it missed is one delta, though its last event was of another content: it had everything until it stalled."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_DELTA_SSE)
        stage.grow("one ")
        stage.say("b", status="generating", text="!")
        assert screen.viewer is not None
        screen.viewer.pause_writing()
        for number in range(40):
            stage.grow(f"{number} ")
        count = len(screen.frames)
        screen.viewer.resume_writing()
        assert [frame.event for frame in screen.frames[count:]] == ["content_delta"]
        assert screen.text() == stage.texts["a"]


async def test_a_catch_up_in_parts_does_not_assume_what_it_skipped() -> None:
    """Between the parts a content grows whose earlier moment lies before the part that was sent."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_DELTA_SSE)
        assert screen.viewer is not None
        stage.grow("one ")
        screen.viewer.pause_writing()
        stage.grow("two ")
        for number in range(30):
            stage.offsets[f"n{number}"] = stage.offsets["a"]
            stage.say(f"n{number}", status="generating", text="x" * 5_000)
        stage.grow("three ")
        screen.viewer.resume_writing()
        assert screen.text() == "one "
        stage.grow("four ")
        await shown(screen, stage.texts["a"])


async def test_other_viewers_get_whole_states_now_and_then(unhurried: None) -> None:
    """The first one as it comes; then nothing of the channel until the next one is due."""
    async with staged() as stage:
        deltas, whole = stage.view(CHUNKED_DELTA_SSE), stage.view(CHUNKED_SSE)
        stage.grow("one ")
        assert whole.text() == "one "
        count = len(whole.frames)
        stage.grow("two ")
        stage.say("b", status="generating", text="!")
        stage.grow("three ")
        assert (len(whole.frames), deltas.text()) == (count, "one two three ")
        assert whole.viewer is not None
        assert whole.viewer.offset == whole.cursor.offset < stage.offsets["b"]


async def test_whole_states_come_when_they_are_due() -> None:
    """All that came meanwhile, in one frame each, and no frame earlier than half a second after the one before."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_SSE)
        stage.grow("one ")
        began = time.monotonic()
        stage.grow("two ")
        stage.say("b", status="generating", text="!")
        stage.grow("three ")
        await shown(screen, "one two three ")
        assert time.monotonic() - began >= pacing.SECONDS - 0.02
        assert (screen.text("b"), screen.reader.deltas) == ("!", 0)
        assert [frame.offset for frame in screen.frames[-2:]] == [stage.offsets["b"], stage.offsets["a"]]
        stage.grow("four ")
        await shown(screen, stage.texts["a"])


@pytest.mark.parametrize("content_id", ["a", "b"])
async def test_an_ending_is_never_late(content_id: str, unhurried: None) -> None:
    """Neither the content's own nor that of another one; what waited comes before it."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_SSE)
        stage.grow("one ")
        stage.grow("two ")
        stage.say(content_id, "processing_complete", status="complete", text="done")
        await shown(screen, "done", content_id)
        assert screen.text() == stage.texts["a"]


async def test_an_ending_in_the_same_turn_is_written_with_it(unhurried: None) -> None:
    """A viewer that would be held is not."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_SSE)
        stage.grow("one ")
        stage.grow("two ", send=False)
        stage.say("b", "processing_error", status="error", text="lost")
        assert (screen.text(), screen.text("b")) == ("one two ", "lost")


async def test_a_removal_is_never_late(unhurried: None) -> None:
    """A page does not go on showing what is gone."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_SSE)
        stage.grow("one ")
        stage.grow("two ")
        stage.say("b", "content_removed")
        await shown(screen, "one two ")
        assert "b" not in screen.reader.states


async def test_a_long_text_comes_less_often() -> None:
    """A viewer's line has room for 128 KiB of it a second."""
    assert pacing.interval(100) == 0.5
    assert pacing.interval(1024 * 1024) == 8.0


async def test_one_viewer_that_leaves_while_it_is_held_is_forgotten(unhurried: None) -> None:
    """Nothing is released that is gone."""
    async with staged() as stage:
        screen = stage.view(CHUNKED_SSE)
        stage.grow("one ")
        stage.grow("two ")
        assert len(stage.replica.held) == 1
        assert screen.viewer is not None
        screen.viewer.connection_lost(None)
        assert not stage.replica.held
        stage.say("b", "processing_complete", status="complete", text="done")


async def test_a_whole_state_is_composed_once_for_all() -> None:
    """For viewers of every format, and for polls."""
    async with staged() as stage:
        stage.grow("one ")
        for format in (CHUNKED_SSE, CHUNKED_DELTA_SSE, CHUNKED_DELTA_MESSAGE_SSE):
            stage.view(format)
        kept = [event for pairs in stage.hub.encodings._kept.values() for event, _ in pairs.values()]
        assert len({id(event) for event in kept if type(event) is Composed}) == 1


async def test_a_long_poll_waits_for_what_it_read_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that polls in a loop is not answered with the whole text for each token."""
    # Longer than a busy machine takes for the first answer, which does not wait.
    monkeypatch.setattr(pacing, "SECONDS", 2.0)
    async with staged() as stage:
        stage.grow("one ")
        began = time.monotonic()
        first = await stage.hub.changes(IDENTITY, "", "c", None, 5.0)
        assert time.monotonic() - began < pacing.SECONDS
        stage.grow("two ")
        began = time.monotonic()
        second = await stage.hub.changes(IDENTITY, "", "c", first.cursor, 5.0)
        assert time.monotonic() - began >= pacing.SECONDS - 0.02
        assert msgspec.json.decode(second.events[-1].data)["text"] == "one two "
        stage.grow("three ")
        at_once = await stage.hub.changes(IDENTITY, "", "c", second.cursor, 0.0)
        assert msgspec.json.decode(at_once.events[-1].data)["text"] == "one two three "


async def test_a_long_poll_is_answered_when_its_time_is_up(unhurried: None) -> None:
    """A client that waits for less than the interval is not starved."""
    async with staged() as stage:
        first = await stage.hub.changes(IDENTITY, "", "c", None, 0.1)
        stage.grow("one ")
        second = await stage.hub.changes(IDENTITY, "", "c", first.cursor, 0.1)
        assert [event.offset for event in second.events] == [stage.offsets["a"]]
        assert second.cursor.offset == stage.offsets["a"]
