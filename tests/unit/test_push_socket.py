"""A push socket: one connection, whose channels share its room, its heartbeat and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from statushub.hub.auth.patterns import Patterns
from statushub.hub.brokers.contract import Snapshot
from statushub.hub.metrics import Counts
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.replica import Replica
from statushub.hub.replicas.scheduler import Scheduler
from statushub.hub.replicas.scope import Channels, Scope
from statushub.hub.replicas.selection import Selection
from statushub.hub.viewers import push_socket
from statushub.hub.viewers.fanout import fan_out
from statushub.hub.viewers.push_socket import Farewell, PushSocket
from statushub.hub.viewers.session import Session, Then
from statushub.hub.viewers.socket import Opening
from statushub.hub.viewers.viewer import CATCH_UP_BYTES, State
from statushub.hub.wire.websocket import FRAMES, MESSAGES
from tests.support.socket_client import CLOSE, CONT, PING, frame
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

PING_MESSAGE = b'{"type":"ping"}'


class Hosting:
    """A host whose replicas are live."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.scheduler = Scheduler()
        self.encodings = Encodings()
        self.draining = False
        self.drain_ms = (500, 500)
        self.heartbeat_interval = 15.0
        self.replicas: dict[str, Replica] = {}
        self.attached: set[Session] = set()

    def live(self, replicas: Any) -> bool:
        return True

    def readable(self, replicas: Any) -> bool:
        return True

    def verify(self, replica: Replica) -> None:
        pass

    def expect(self, replica: Replica, epoch: str) -> bool:
        return False

    def attach(self, session: Session, *, lasting: bool = True) -> None:
        session.join()
        self.attached.add(session)

    def detach(self, session: Session) -> None:
        session.leave()
        self.attached.discard(session)

    def follow(self, session: Session, channel: str) -> Replica:
        return self.replica(channel)

    def replica(self, channel: str) -> Replica:
        if channel not in self.replicas:
            replica = self.replicas[channel] = Replica("t", channel, {})
            replica.load(Snapshot(cursor=Cursor(epoch="e", offset=4), events=[event(channel, 4)]))
            replica.live = True
        return self.replicas[channel]

    def unfollow(self, session: Session, channel: str) -> None:
        pass

    def match(self, session: Session, patterns: Patterns, then: Then, *, resumes: bool, stats: bool) -> None:
        pass

    def filtered(self, scope: Channels | Selection, content_ids: frozenset[str] | None) -> Scope:
        return scope

    def check_filter(self, channel: str, content_ids: frozenset[str] | None) -> None:
        pass

    def select(self, session: Session, selection: Selection) -> Selection:
        return selection

    def deselect(self, session: Session, selection: Selection) -> None:
        pass


class RecordingTransport(asyncio.Transport):
    """Records each write, and what was asked of it; calls `full` after each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.calls: list[str] = []
        self.protocol: Any = None
        self.full: Callable[[], None] = lambda: None

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: Any) -> None:
        self.writes.append(data)
        self.full()

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@pytest.fixture
def host() -> Hosting:
    return Hosting()


def event(channel: str, offset: int, data: bytes = b"{}") -> Event:
    return Event(channel=channel, content_id=f"{channel}{offset}", offset=offset, type="t", data=data)


def opened(
    host: Hosting, *channels: str, since: Cursor | None = None, stalled: bool = False
) -> tuple[PushSocket, RecordingTransport]:
    """A socket that follows these channels, and its connection."""
    first = (Channels((host.replica(channels[0]),)), Opening(since)) if channels else None
    socket, transport = PushSocket(host, first, connections=set(), stalled=stalled), RecordingTransport()
    transport.protocol = socket
    socket.connection_made(transport)
    for channel in channels[1:]:
        socket.data_received(said(type="subscribe", channel_id=channel))
    return socket, transport


def said(**message: Any) -> bytes:
    return frame(msgspec.json.encode(message))


async def settled(host: Hosting) -> None:
    """Return once all that is scheduled now was done."""
    done = asyncio.Event()
    host.scheduler.later(done.set)
    async with asyncio.timeout(WAIT_SECONDS):
        await done.wait()


async def test_a_socket_that_opens_is_written_to_once(host: Hosting) -> None:
    """`subscribed`, the state and `ready` leave in one write."""
    _, transport = opened(host, "a")
    [write] = transport.writes
    assert [kind in write for kind in (b'"subscribed"', b'"id":"e-4"', b'"ready"')] == [True] * 3


async def test_the_frames_of_an_event_are_shared(host: Hosting) -> None:
    """It is encoded once for all sockets."""
    sockets = [opened(host, "a")[1] for _ in range(3)]
    replica = host.replicas["a"]
    fan_out(replica, [replica.apply(event("a", 5))])
    first, *others = [transport.writes[-1] for transport in sockets]
    assert b'"id":"e-5"' in first
    assert all(write is first for write in others)


async def test_a_full_socket_stalls_all_of_its_channels(host: Hosting) -> None:
    """None is written to, and each catches up when there is room again: only the latest states, each once."""
    socket, transport = opened(host, "a", "b")
    socket.pause_writing()
    for channel in ("a", "b"):
        replica = host.replicas[channel]
        for offset in (5, 6):
            changed = Event(channel=channel, content_id=channel, offset=offset, type="t", data=b"{}")
            fan_out(replica, [replica.apply(changed)])
    assert b'"e-5"' not in transport.written
    socket.resume_writing()
    assert b'"e-5"' not in transport.written
    assert transport.written.count(b'"id":"e-6"') == 2
    assert [viewer.state for viewer in socket.viewers] == [State.LIVE] * 2


async def test_a_socket_that_fills_up_again_stops_there(host: Hosting) -> None:
    """The channels behind the one that filled it wait for the next time."""
    socket, transport = opened(host, "a", "b")
    socket.pause_writing()
    for channel in ("a", "b"):
        host.replicas[channel].apply(event(channel, 5))
    transport.full = socket.pause_writing
    socket.resume_writing()
    assert (b'"a5"' in transport.written, b'"b5"' in transport.written) == (False, False)
    assert transport.written.count(b'"id":"e-5"') == 1
    assert [viewer.state for viewer in socket.viewers] == [State.STALLED] * 2
    assert [viewer.offset for viewer in socket.viewers] == [5, 4]


async def test_messages_of_a_client_that_reads_nothing_wait(host: Hosting) -> None:
    """They are not answered, nor read from the connection, until there is room."""
    socket, transport = opened(host, "a")
    socket.pause_writing()
    writes = len(transport.writes)
    socket.data_received(frame(PING_MESSAGE) * 3)
    assert transport.calls == ["pause_reading"]
    assert len(transport.writes) == writes
    socket.resume_writing()
    assert transport.calls == ["pause_reading", "resume_reading"]
    assert transport.written.count(b'"pong"') == 3


async def test_a_channel_that_is_given_up_in_its_catch_up_is_written_to_no_more(host: Hosting) -> None:
    """Neither by the step that is scheduled, nor by later events."""
    host.follow(Any, "a")  # type: ignore[arg-type]
    replica = host.replicas["a"]
    for offset in range(5, 100):
        replica.apply(event("a", offset, b'{"filler":"%b"}' % (b"x" * CATCH_UP_BYTES)))
    socket, transport = opened(host, "a")
    assert socket.viewers[0].state is State.BEHIND
    socket.data_received(said(type="unsubscribe", channel_id="a"))
    writes = len(transport.writes)
    await settled(host)
    fan_out(replica, [replica.apply(event("a", 200))])
    assert len(transport.writes) == writes
    assert not replica.subscribers


async def test_no_parser_is_kept_between_messages(host: Hosting) -> None:
    """Only within a frame, and within a message in parts."""
    socket, _ = opened(host, "a")
    whole = frame(PING_MESSAGE)
    for data, kept in (
        (whole + frame(b"x", PING) + frame(b"{}" + b" " * 300), False),
        (whole[:1], True),
        (whole[1:-1], True),
        (whole[-1:] + frame(PING_MESSAGE[:3], final=False), True),
        (frame(b"y" * 99, PING), True),
        (frame(PING_MESSAGE[3:], CONT), False),
    ):
        socket.data_received(data)
        assert (socket._reader is not None) is kept


@pytest.mark.parametrize("how", [PushSocket.shutdown, PushSocket.expire], ids=["drain", "expiry"])
async def test_a_socket_that_ends_leaves_the_hub_immediately(host: Hosting, how: Callable[[PushSocket], None]) -> None:
    """Its client has some time to read the farewell, and what it sends meanwhile is discarded."""
    socket, transport = opened(host, "a", "b")
    how(socket)
    assert not host.attached
    assert not any(replica.subscribers for replica in host.replicas.values())
    last = transport.writes[-1]
    assert b'"drain"' in last
    assert last[last.index(b"}") + 1] == 0x80 | CLOSE
    assert transport.calls == ["write_eof"]
    assert isinstance(transport.protocol, Farewell)
    transport.protocol.data_received(frame(PING_MESSAGE))
    assert transport.writes[-1] is last


async def test_a_farewell_that_is_not_answered_is_given_up(host: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is aborted after a while."""
    monkeypatch.setattr(push_socket, "FAREWELL_SECONDS", 0.0)
    socket, transport = opened(host, "a")
    socket.shutdown()
    async with asyncio.timeout(WAIT_SECONDS):
        while "abort" not in transport.calls:
            await asyncio.sleep(0)


async def test_a_stalled_socket_that_ends_is_aborted(host: Hosting) -> None:
    """The farewell could not be read."""
    socket, transport = opened(host, "a", stalled=True)
    socket.shutdown()
    assert transport.calls == ["abort"]
    assert not host.attached


async def test_a_socket_that_comes_while_the_hub_stops_is_told_to_leave(host: Hosting) -> None:
    """Its upgrade was on its way."""
    host.draining = True
    _, transport = opened(host, "a")
    assert b'"drain"' in transport.written
    assert not host.attached


@pytest.mark.parametrize("size", [0, 125, 126, 0xFFFF, 0x10000])
@pytest.mark.parametrize("data", ["{}", "é", b"\xff", b"nonsense", b"", b"[1]"], ids=repr)
def test_every_frame_is_a_message_of_json(size: int, data: Any) -> None:
    """Of any size, also where a straight publisher stored no JSON; the data of others are sent as they are."""
    stored = data.encode() if isinstance(data, str) else data
    if stored == b"{}":
        stored = b'{"filler":"%b"}' % (b"x" * size)
    framed = FRAMES.event("e", Event(channel="c", content_id="x", offset=7, type="t", data=stored))
    message = MESSAGES.event("e", Event(channel="c", content_id="x", offset=7, type="t", data=stored))
    head = 2 if len(message) < 126 else 4 if len(message) < 0x10000 else 10
    assert framed[head:] == message
    assert framed[:2] == bytes([0x81, {2: len(message), 4: 126, 10: 127}[head]])
    assert head == 2 or int.from_bytes(framed[2:head]) == len(message)
    said = msgspec.json.decode(message)
    assert (said["type"], said["id"]) == ("t", "e-7")
    assert (b'"data":' + stored in message) if stored.startswith(b"{") else said["data"]["content_id"] == "x"
