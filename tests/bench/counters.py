"""Reproducible counters: the interpreter's work for one delivery, without a socket, a clock or other processes."""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.hub import Hub
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.replicas.registry import Registry
from statushub.hub.replicas.replica import Replica
from statushub.hub.viewers.push import PushViewer

CHANNEL: Final = "ch"
EPOCH: Final = "e"


class CountingTransport(asyncio.Transport):
    """Counts writes, and discards them."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, data: Any) -> None:
        self.writes += 1

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


async def count(viewers: int, events: int) -> dict[str, float]:
    """Per delivery: function calls and bytecodes; per viewer: the peak of bytes allocated beyond the state."""
    hub = Hub(EmbeddedBroker(None))
    replica = _live_replica(hub.registry)
    transports = [CountingTransport() for _ in range(viewers)]
    for transport in transports:
        viewer = PushViewer(hub.viewers, (replica,), None, connections=set())
        viewer.connection_made(transport)
    ready = sum(transport.writes for transport in transports)
    announcements = [_announcement(number) for number in range(1, 2 * events + 2)]
    hub.ingest.announced(announcements[:1])
    with calls_counted() as calls:
        for announcement in announcements[1 : events + 1]:
            hub.ingest.announced([announcement])
    tracemalloc.start()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for announcement in announcements[events + 1 :]:
        hub.ingest.announced([announcement])
    peak = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()
    deliveries = viewers * events
    written = sum(transport.writes for transport in transports) - ready
    if written != viewers * len(announcements):
        raise RuntimeError(f"{written} writes for {viewers * len(announcements)} deliveries")
    return {
        "calls": (calls["call"] + calls["c_call"]) / deliveries,
        "bytecodes": calls["opcode"] / deliveries,
        "peak_bytes": peak / viewers,
    }


@contextmanager
def calls_counted() -> Iterator[dict[str, int]]:
    """Counts the calls and bytecodes of this thread within the block."""
    counts = {"call": 0, "c_call": 0, "opcode": 0}

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event in counts:
            counts[event] += 1

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counts["opcode"] += event == "opcode"
        return trace

    # A coverage measurement may have set them.
    before = sys.getprofile(), sys.gettrace()
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        yield counts
    finally:
        sys.settrace(before[1])
        sys.setprofile(before[0])


def _live_replica(registry: Registry) -> Replica:
    replica = registry.add(DEFAULT_TENANT, CHANNEL)
    replica.load(Snapshot(cursor=Cursor(epoch=EPOCH, offset=0), events=[]))
    replica.live = True
    return replica


def _announcement(number: int) -> Announcement:
    data = b'{"content_id":"c","channel_id":"ch","status":"generating","progress":45}'
    event = Event(channel=CHANNEL, content_id="c", offset=number, type="content_status_update", data=data)
    return Announcement(tenant=DEFAULT_TENANT, epoch=EPOCH, prev=number - 1, event=event)
