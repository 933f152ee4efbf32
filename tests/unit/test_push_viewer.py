"""A push viewer: its state decides which events it is sent, and only the viewer changes it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

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
from statushub.hub.viewers import push
from statushub.hub.viewers.fanout import fan_out
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.session import RETRY_MS, Session, Then
from statushub.hub.viewers.viewer import CATCH_UP_BYTES, State
from tests.support.frames import Frames
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

RETRIES = range(RETRY_MS[0], RETRY_MS[1] + 1)


class Hosting:
    """A host whose replicas are all live or all not, as a test sets."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.scheduler = Scheduler()
        self.encodings = Encodings()
        self.draining = False
        self.drain_ms = (500, 500)
        self.heartbeat_interval = 15.0
        self.is_live = True
        self.verified: list[Replica] = []
        self.attached: set[Session] = set()

    def live(self, replicas: Sequence[Replica]) -> bool:
        return self.is_live

    def readable(self, replicas: Sequence[Replica]) -> bool:
        return self.is_live

    def verify(self, replica: Replica) -> None:
        self.verified.append(replica)

    def expect(self, replica: Replica, epoch: str) -> bool:
        return False

    def attach(self, session: Session, *, lasting: bool = True) -> None:
        session.join()
        self.attached.add(session)

    def detach(self, session: Session) -> None:
        session.leave()
        self.attached.discard(session)

    def follow(self, session: Session, channel: str) -> Replica:
        raise NotImplementedError

    def unfollow(self, session: Session, channel: str) -> None:
        raise NotImplementedError

    def match(self, session: Session, patterns: Patterns, then: Then, *, resumes: bool, stats: bool) -> None:
        raise NotImplementedError

    def filtered(self, scope: Channels | Selection, content_ids: frozenset[str] | None) -> Scope:
        raise NotImplementedError

    def check_filter(self, channel: str, content_ids: frozenset[str] | None) -> None:
        raise NotImplementedError

    def select(self, session: Session, selection: Selection) -> Selection:
        raise NotImplementedError

    def deselect(self, session: Session, selection: Selection) -> None:
        raise NotImplementedError


class RecordingTransport(asyncio.Transport):
    """Records the bytes written, and whether it was closed or aborted; calls `full` after each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = False
        self.full: Callable[[], None] = lambda: None

    def write(self, data: Any) -> None:
        self.written += data
        self.full()

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@pytest.fixture
def host() -> Hosting:
    return Hosting()


@pytest.fixture
async def replica() -> Replica:
    replica = Replica("t", "c", {})
    replica.load(Snapshot(cursor=Cursor(epoch="e", offset=4), events=[event(4)]))
    replica.live = True
    return replica


def event(offset: int, data: bytes = b"{}") -> Event:
    return Event(channel="c", content_id=f"x{offset}", offset=offset, type="t", data=data)


def connected(
    host: Hosting, replica: Replica, since: Cursor | None = None, *, stalled: bool = False
) -> tuple[PushViewer, RecordingTransport]:
    """A viewer and its connection."""
    viewer = PushViewer(host, (replica,), since, connections=set(), stalled=stalled)
    transport = RecordingTransport()
    viewer.connection_made(transport)
    return viewer, transport


def state(viewer: PushViewer) -> State:
    """The current state; a call, since mypy narrows an attribute that was compared."""
    return viewer.state


async def test_a_viewer_is_live_after_its_catch_up(host: Hosting, replica: Replica) -> None:
    """A live viewer is sent each event as it is applied."""
    viewer, transport = connected(host, replica)
    assert state(viewer) is State.LIVE
    assert b"event: ready" in transport.written
    fan_out(replica, [replica.apply(event(5))])
    assert b"id: e-5" in transport.written


async def test_a_viewer_is_behind_while_its_replica_is_not_live(host: Hosting, replica: Replica) -> None:
    """A viewer that is behind is sent nothing, and catches up once its replica is live."""
    viewer, transport = connected(host, replica)
    viewer.pause()
    assert state(viewer) is State.BEHIND
    fan_out(replica, [replica.apply(event(5))])
    assert b"id: e-5" not in transport.written
    viewer.catch_up()
    assert state(viewer) is State.LIVE
    assert transport.written.count(b"id: e-5") == 1


async def test_a_viewer_is_sent_no_event_twice(host: Hosting, replica: Replica) -> None:
    """A catch-up begins after what the viewer was sent while it was live."""
    viewer, transport = connected(host, replica)
    fan_out(replica, [replica.apply(event(5))])
    viewer.pause_writing()
    viewer.resume_writing()
    assert transport.written.count(b"id: e-5") == 1


async def test_a_catch_up_stops_at_a_full_socket(host: Hosting, replica: Replica) -> None:
    """Once the socket is full, no further part of the backlog is written."""
    viewer, transport = connected(host, replica)
    viewer.pause_writing()
    for offset in range(5, 9):
        replica.apply(event(offset, b'{"filler":"%b"}' % (b"x" * CATCH_UP_BYTES)))
    transport.full = viewer.pause_writing
    viewer.resume_writing()
    assert (state(viewer), viewer.offset) == (State.STALLED, 5)
    assert b"id: e-6" not in transport.written


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
async def test_a_stalled_viewer_is_aborted_after_its_time(host: Hosting, replica: Replica, late: bool) -> None:
    """A heartbeat closes a connection that has taken nothing since the given moment, and only that one."""
    viewer, transport = connected(host, replica, stalled=True)
    written = transport.written
    viewer.beat(b"beat", time.monotonic() + (60 if late else -60))
    assert transport.aborted is late
    assert transport.written == written


async def test_a_viewer_that_comes_while_the_hub_stops_is_told_to_leave(host: Hosting, replica: Replica) -> None:
    """A connection whose head was on its way gets `drain`."""
    host.draining = True
    viewer, transport = connected(host, replica)
    assert state(viewer) is State.CLOSED
    assert b"event: drain" in transport.written


@pytest.mark.parametrize("first", ["heartbeat", "drain", "t"])
async def test_the_retry_waits_for_the_first_frame(host: Hosting, replica: Replica, first: str) -> None:
    """While the replica is read, `retry` is no frame of its own, but the first line of what comes then."""
    host.is_live = False
    viewer, transport = connected(host, replica)
    frames = Frames(chunked=True)
    assert frames.feed(transport.written) == []
    written = len(transport.written)
    if first == "heartbeat":
        viewer.beat(viewer.format.heartbeat(), 0.0)
    elif first == "drain":
        viewer.close((500, 500))
    else:
        host.is_live = True
        viewer.catch_up()
    frame = frames.feed(transport.written[written:])[0]
    assert frame.event == first
    assert frame.retry == 500 if first == "drain" else frame.retry in RETRIES


async def test_a_farewell_that_is_not_read_is_given_up(
    host: Hosting, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed connection whose client reads nothing is aborted after a while."""
    monkeypatch.setattr(push, "FAREWELL_SECONDS", 0.0)
    viewer, transport = connected(host, replica)
    viewer.close((500, 500))
    assert not transport.aborted
    async with asyncio.timeout(WAIT_SECONDS):
        while not transport.aborted:
            await asyncio.sleep(0)


async def test_the_server_can_abort_a_viewers_connection(host: Hosting, replica: Replica) -> None:
    """It does so with each connection that is left at the end of the grace period, by its `transport`."""
    viewer, transport = connected(host, replica)
    assert viewer.transport is transport
    viewer.connection_lost(None)
    assert viewer.transport is None


async def test_a_half_closed_connection_is_aborted(host: Hosting, replica: Replica) -> None:
    """A client that has ended its side reads nothing more."""
    viewer, transport = connected(host, replica)
    viewer.eof_received()
    assert transport.aborted


async def test_a_viewer_is_stalled_while_its_socket_is_full(host: Hosting, replica: Replica) -> None:
    """A catch-up does not end the stall; a drained socket does."""
    viewer, transport = connected(host, replica)
    viewer.pause_writing()
    fan_out(replica, [replica.apply(event(5))])
    viewer.catch_up()
    assert state(viewer) is State.STALLED
    assert b"id: e-5" not in transport.written
    viewer.resume_writing()
    assert state(viewer) is State.LIVE
    assert transport.written.count(b"id: e-5") == 1


async def test_a_viewer_handed_over_with_a_full_socket_is_stalled(host: Hosting, replica: Replica) -> None:
    """The viewer is live once the socket has drained."""
    viewer, _ = connected(host, replica, stalled=True)
    assert state(viewer) is State.STALLED
    viewer.resume_writing()
    assert state(viewer) is State.LIVE


async def test_a_pause_does_not_move_a_stalled_viewer(host: Hosting, replica: Replica) -> None:
    """A stalled viewer's offset stays where its socket filled, whatever happens to its replica."""
    viewer, _ = connected(host, replica)
    viewer.pause_writing()
    replica.apply(event(5))
    viewer.pause()
    assert (viewer.state, viewer.offset) == (State.STALLED, 4)


@pytest.mark.parametrize("stalled", [False, True], ids=["open", "stalled"])
async def test_a_closed_viewer_is_sent_nothing(host: Hosting, replica: Replica, stalled: bool) -> None:
    """Fan-out, drained socket, catch-up and heartbeat write nothing; a stalled viewer is aborted without `drain`."""
    viewer, transport = connected(host, replica, stalled=stalled)
    viewer.close((500, 500))
    assert state(viewer) is State.CLOSED
    assert (b"event: drain" in transport.written) is not stalled
    assert (transport.closed, transport.aborted) == (not stalled, stalled)
    written = transport.written
    fan_out(replica, [replica.apply(event(5))])
    viewer.resume_writing()
    viewer.catch_up()
    viewer.beat(b"beat", 0.0)
    assert transport.written == written
    assert state(viewer) is State.CLOSED


async def test_a_void_cursor_is_reset_first(host: Hosting, replica: Replica) -> None:
    """`reset` precedes the state, and `ready` is sent again."""
    viewer, transport = connected(host, replica)
    viewer.pause()
    viewer.invalidate()
    viewer.catch_up()
    rest = transport.written[transport.written.index(b"event: reset") :]
    assert rest.index(b"id: e-4") < rest.index(b"event: ready")
    assert host.counts.resets == 1


async def test_a_cursor_ahead_of_the_replica_is_verified_first(host: Hosting, replica: Replica) -> None:
    """The cursor is neither accepted nor reset until the broker's clock has been read."""
    viewer, transport = connected(host, replica, Cursor(epoch="e", offset=9))
    assert state(viewer) is State.BEHIND
    assert host.verified == [replica]
    assert b"event: " not in transport.written


async def test_a_disconnected_viewer_leaves_its_replica(host: Hosting, replica: Replica) -> None:
    """A viewer is removed from its replica in whatever state it was."""
    for prepare in (PushViewer.pause, PushViewer.pause_writing, PushViewer.catch_up):
        viewer, _ = connected(host, replica)
        prepare(viewer)
        viewer.connection_lost(None)
        assert state(viewer) is State.CLOSED
        assert not replica.subscribers
        assert not any(replica.writers.values())
    assert not host.attached


async def test_a_long_catch_up_leaves_the_loop_to_others(host: Hosting, replica: Replica) -> None:
    """It is written in parts, and ids grow though contents change between them."""
    for offset in range(5, 505):
        replica.apply(event(offset, b'{"filler":"%b"}' % (b"x" * 8_000)))
    viewer, transport = connected(host, replica)
    assert state(viewer) is State.BEHIND
    assert len(transport.written) < 2 * CATCH_UP_BYTES
    last = 504
    async with asyncio.timeout(WAIT_SECONDS):
        while state(viewer) is State.BEHIND:
            last += 1
            replica.apply(Event(channel="c", content_id=f"x{last - 400}", offset=last, type="t", data=b"{}"))
            # A catch-up that is asked for meanwhile does not run twice.
            viewer.catch_up()
            await asyncio.sleep(0)
    ids = [int(offset) for offset in re.findall(rb"id: e-(\d+)", transport.written)]
    assert ids == sorted(set(ids))
    assert ids[-1] == last
    assert transport.written.count(b"event: ready") == 1


async def test_a_viewer_that_leaves_in_its_catch_up_costs_nothing_more(host: Hosting, replica: Replica) -> None:
    """The scheduled step writes nothing."""
    for offset in range(5, 505):
        replica.apply(event(offset, b'{"filler":"%b"}' % (b"x" * 2_000)))
    viewer, transport = connected(host, replica)
    viewer.connection_lost(None)
    written = transport.written
    async with asyncio.timeout(WAIT_SECONDS):
        later = asyncio.Event()
        host.scheduler.later(later.set)
        await later.wait()
    assert transport.written == written
