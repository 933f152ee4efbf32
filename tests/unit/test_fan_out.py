"""Announcements of one batch reach each viewer in the clock's order, in as few writes as possible."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from statushub.hub.auth.identity import Identity
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import next_epoch
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.publication import publication
from statushub.hub.replicas.replica import Replica
from statushub.hub.viewers.push import PushViewer
from statushub.hub.wire.format import StreamFormat
from statushub.hub.wire.sse import CHUNKED_MESSAGE_SSE, CHUNKED_SSE
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.anyio

TENANT = "t"


class RecordingTransport(asyncio.Transport):
    """Records each write; after `room` writes its socket is full. Offsets count from `start`."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        self.writes: list[bytes] = []
        self.room = 1_000
        self.viewer: PushViewer | None = None

    def write(self, data: Any) -> None:
        self.writes.append(data)
        if len(self.writes) == self.room and self.viewer:
            self.viewer.pause_writing()

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    @property
    def offsets(self) -> list[int]:
        """The offsets of the ids written."""
        return [
            int(offset) - self.start for offset in re.findall(rb"^id: \w+-(\d+)", b"".join(self.writes), re.MULTILINE)
        ]


@asynccontextmanager
async def running_hub() -> AsyncIterator[Hub]:
    """A hub over a broker in memory; its channels `a` and `b` have one content each, 1 and 2 above its start."""
    broker = EmbeddedBroker(None)
    hub = Hub(broker)
    async with broker, hub:
        for channel in ("a", "b"):
            await broker.publish(TENANT, [publication(channel=channel, content_id=channel, data={"status": "idle"})])
        yield hub


async def viewing(hub: Hub, *channels: str, format: StreamFormat = CHUNKED_SSE) -> RecordingTransport:
    """A transport whose viewer has received the current state; the record of it is cleared."""
    viewer = hub.push_viewer(
        Identity(tenant=TENANT), "", channels, None, connections=set(), stalled=False, format=format
    )
    await settled(*(replica(hub, channel) for channel in channels))
    transport = RecordingTransport(start(hub))
    viewer.connection_made(transport)
    transport.viewer = viewer
    transport.writes.clear()
    return transport


async def settled(*replicas: Replica) -> None:
    """Return when these replicas are in sync."""
    async with asyncio.timeout(WAIT_SECONDS):
        for replica in replicas:
            await replica.settled.wait()


def replica(hub: Hub, channel: str) -> Replica:
    """The channel's replica, which exists."""
    found = hub.registry.find(TENANT, channel)
    assert found is not None
    return found


def start(hub: Hub) -> int:
    """The offset at which the clock began: that before the content of `a`."""
    return replica(hub, "a").events["a"].offset - 1


def announcements(hub: Hub, *places: tuple[str, int, int], epoch: str | None = None) -> Sequence[Announcement]:
    """Announcements, each given as (channel, offset, previous offset of the channel), above the clock's start."""
    known, zero = replica(hub, "a").epoch or "", start(hub)
    return [
        Announcement(
            tenant=TENANT,
            epoch=epoch or known,
            prev=zero + prev,
            event=Event(channel=channel, content_id=f"c{offset}", offset=zero + offset, type="t", data=b"{}"),
        )
        for channel, offset, prev in places
    ]


async def test_events_of_one_channel_leave_in_one_write() -> None:
    """Each viewer costs one system call, however many events it is sent."""
    async with running_hub() as hub:
        one, other = await viewing(hub, "a"), await viewing(hub, "a")
        hub.ingest.announced(announcements(hub, ("a", 3, 1), ("a", 4, 3), ("a", 5, 4)))
        for transport in (one, other):
            assert (len(transport.writes), transport.offsets) == (1, [3, 4, 5])
        assert hub.counts.deliveries == 6


async def test_an_event_is_encoded_once_for_the_viewers_of_a_format() -> None:
    """Viewers with names, and those without, share their bytes."""
    async with running_hub() as hub:
        named = [await viewing(hub, "a") for _ in range(2)]
        unnamed = [await viewing(hub, "a", format=CHUNKED_MESSAGE_SSE) for _ in range(2)]
        hub.ingest.announced(announcements(hub, ("a", 3, 1)))
        for one, other in (named, unnamed):
            assert one.writes[0] is other.writes[0]
        assert b"event: t\n" in named[0].writes[0]
        assert b'\ndata: {"type":"t",' in unnamed[0].writes[0]


async def test_unwatched_channels_do_not_split_a_batch() -> None:
    """Announcements of other channels in between do not split a batch."""
    async with running_hub() as hub:
        transport = await viewing(hub, "a")
        hub.ingest.announced(announcements(hub, ("a", 3, 1), ("x", 4, 0), ("a", 5, 3)))
        assert (len(transport.writes), transport.offsets) == (1, [3, 5])


async def test_a_viewer_of_several_channels_sees_the_clocks_order() -> None:
    """Batching the events of one channel never lets them overtake those of another."""
    async with running_hub() as hub:
        transport = await viewing(hub, "a", "b")
        hub.ingest.announced(announcements(hub, ("a", 3, 1), ("a", 4, 3), ("b", 5, 2), ("a", 6, 4), ("b", 7, 5)))
        assert transport.offsets == [3, 4, 5, 6, 7]


async def test_a_repeated_announcement_is_not_written_again() -> None:
    """Late and duplicate announcements are dropped."""
    async with running_hub() as hub:
        transport = await viewing(hub, "a")
        hub.ingest.announced(announcements(hub, ("a", 3, 1), ("a", 3, 1), ("a", 1, 0), ("a", 4, 3)))
        assert transport.offsets == [3, 4]


async def test_events_before_a_gap_are_written_before_viewers_fall_behind() -> None:
    """Events before the gap are applied and not read again; the events in the gap are read once."""
    async with running_hub() as hub:
        transport = await viewing(hub, "a")
        # The clock goes on, or a read of the channel would show that it is behind these announcements.
        others = [publication(channel="x", content_id=str(n), data={"status": "idle"}) for n in range(10)]
        await hub.broker.publish(TENANT, others)
        hub.ingest.announced(announcements(hub, ("a", 3, 1), ("a", 9, 8)))
        assert transport.offsets == [3]
        await settled(replica(hub, "a"))
        assert transport.offsets == [3]


async def test_events_before_a_new_epoch_are_written_before_the_reset() -> None:
    """The last events of the old epoch are not lost."""
    async with running_hub() as hub:
        transport = await viewing(hub, "a")
        later = next_epoch(replica(hub, "a").epoch, 0)
        hub.ingest.announced([*announcements(hub, ("a", 3, 1)), *announcements(hub, ("a", 9, 0), epoch=later)])
        assert transport.offsets == [3]
        assert not replica(hub, "a").live


async def test_an_announcement_of_a_former_epoch_changes_nothing() -> None:
    """A delayed announcement of the clock's former life is dropped, and viewers stay live."""
    async with running_hub() as hub:
        transport = await viewing(hub, "a")
        former = [*announcements(hub, ("a", 9, 8), epoch="1")]
        hub.ingest.announced([*announcements(hub, ("a", 3, 1)), *former, *announcements(hub, ("a", 4, 3))])
        assert transport.offsets == [3, 4]
        assert replica(hub, "a").live


async def test_a_socket_that_fills_within_a_batch_catches_up_after_it() -> None:
    """Its viewer is behind from the last event written, and catches up from there."""
    async with running_hub() as hub:
        transport = await viewing(hub, "a", "b")
        transport.room = 2
        hub.ingest.announced(announcements(hub, ("a", 3, 1), ("b", 4, 2), ("a", 5, 3), ("b", 6, 4)))
        assert transport.offsets == [3, 4]
        assert transport.viewer is not None
        transport.viewer.resume_writing()
        assert transport.offsets == [3, 4, 5, 6]
