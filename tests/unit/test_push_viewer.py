"""A viewer that is pushed to: its state says what it is given, and no other object does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.metrics import Counts
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.replicas.replica import Replica
from statushub.hub.viewers.fanout import fan_out
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.viewer import State, Viewer

pytestmark = pytest.mark.anyio


class Hosting:
    """A hub whose replicas are live or not, as it is told."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.draining = False
        self.drain_ms = (500, 500)
        self.heartbeat_interval = 15.0
        self.is_live = True
        self.verified: list[Replica] = []
        self.attached: set[Viewer] = set()

    def live(self, replicas: Sequence[Replica]) -> bool:
        return self.is_live

    def readable(self, replicas: Sequence[Replica]) -> bool:
        return self.is_live

    def verify(self, replica: Replica) -> None:
        self.verified.append(replica)

    def attach(self, viewer: Viewer) -> None:
        viewer.join()
        self.attached.add(viewer)

    def detach(self, viewer: Viewer) -> None:
        viewer.leave()
        self.attached.discard(viewer)


class RecordingTransport(asyncio.Transport):
    """Keeps what is written; it closes when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

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


def event(offset: int) -> Event:
    return Event(channel="c", content_id=f"x{offset}", offset=offset, type="t", data=b"{}")


def connected(
    host: Hosting, replica: Replica, since: Cursor | None = None, *, stalled: bool = False
) -> tuple[PushViewer, RecordingTransport]:
    """A viewer and its connection."""
    viewer = PushViewer(host, (replica,), since, connections=set(), stalled=stalled)
    transport = RecordingTransport()
    viewer.connection_made(transport)
    return viewer, transport


def state(viewer: PushViewer) -> State:
    """Its state at this moment; mypy believes that an attribute stays as it was compared."""
    return viewer.state


async def test_it_is_live_after_its_catch_up(host: Hosting, replica: Replica) -> None:
    """From then on it is written each event as it is applied."""
    viewer, transport = connected(host, replica)
    assert state(viewer) is State.LIVE
    assert b"event: ready" in transport.written
    fan_out(replica, [replica.apply(event(5))])
    assert b"id: e-5" in transport.written


async def test_it_is_behind_while_its_replica_is_not_live(host: Hosting, replica: Replica) -> None:
    """And gets nothing, then what it missed, once."""
    viewer, transport = connected(host, replica)
    viewer.pause()
    assert state(viewer) is State.BEHIND
    fan_out(replica, [replica.apply(event(5))])
    assert b"id: e-5" not in transport.written
    viewer.catch_up()
    assert state(viewer) is State.LIVE
    assert transport.written.count(b"id: e-5") == 1


async def test_it_is_stalled_while_its_socket_is_full(host: Hosting, replica: Replica) -> None:
    """No catch-up changes that; the socket does, when it has drained."""
    viewer, transport = connected(host, replica)
    viewer.pause_writing()
    fan_out(replica, [replica.apply(event(5))])
    viewer.catch_up()
    assert state(viewer) is State.STALLED
    assert b"id: e-5" not in transport.written
    viewer.resume_writing()
    assert state(viewer) is State.LIVE
    assert transport.written.count(b"id: e-5") == 1


async def test_one_that_is_handed_over_with_a_full_socket_waits(host: Hosting, replica: Replica) -> None:
    """It is live when that has drained."""
    viewer, _ = connected(host, replica, stalled=True)
    assert state(viewer) is State.STALLED
    viewer.resume_writing()
    assert state(viewer) is State.LIVE


async def test_a_pause_of_one_that_is_stalled_moves_nothing(host: Hosting, replica: Replica) -> None:
    """Its place is where its socket filled, whatever happens to its replica."""
    viewer, _ = connected(host, replica)
    viewer.pause_writing()
    replica.apply(event(5))
    viewer.pause()
    assert (viewer.state, viewer.offset) == (State.STALLED, 4)


@pytest.mark.parametrize("stalled", [False, True], ids=["open", "stalled"])
async def test_a_closed_one_is_given_nothing(host: Hosting, replica: Replica, stalled: bool) -> None:
    """Neither by its replica nor by a socket that drains late; one whose socket is full is aborted unheard."""
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


async def test_a_void_cursor_is_reset_before_anything_is_sent(host: Hosting, replica: Replica) -> None:
    """And `ready` is said anew."""
    viewer, transport = connected(host, replica)
    viewer.pause()
    viewer.invalidate()
    viewer.catch_up()
    rest = transport.written[transport.written.index(b"event: reset") :]
    assert rest.index(b"id: e-4") < rest.index(b"event: ready")
    assert host.counts.resets == 1


async def test_a_cursor_ahead_of_what_is_known_is_verified_first(host: Hosting, replica: Replica) -> None:
    """It is neither believed nor reset until the clock was asked."""
    viewer, transport = connected(host, replica, Cursor(epoch="e", offset=9))
    assert state(viewer) is State.BEHIND
    assert host.verified == [replica]
    assert b"event: " not in transport.written


async def test_one_that_leaves_is_forgotten_by_its_replica(host: Hosting, replica: Replica) -> None:
    """Whatever state it was in."""
    for prepare in (PushViewer.pause, PushViewer.pause_writing, PushViewer.catch_up):
        viewer, _ = connected(host, replica)
        prepare(viewer)
        viewer.connection_lost(None)
        assert state(viewer) is State.CLOSED
        assert not replica.subscribers
        assert not any(replica.writers.values())
    assert not host.attached
