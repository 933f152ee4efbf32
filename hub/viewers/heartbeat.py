"""Heartbeats: every viewer gets one each interval, spread over slots so that no loop turn writes to all."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from typing import Final

import anyio

from statushub.hub.viewers.viewer import Viewer
from statushub.hub.wire.format import WireFormat

SLOTS: Final = 60
"""Into how many slots an interval is divided: at 15 s and 10,000 viewers, 167 writes every 250 ms."""


class Heartbeat:
    """The open viewers, each in one slot of the interval. Intervals and timeouts are in seconds."""

    def __init__(self, interval: float, stall_timeout: float) -> None:
        self.interval = interval
        self.stall_timeout = stall_timeout
        self._slots: list[set[Viewer]] = [set() for _ in range(SLOTS)]

    def add(self, viewer: Viewer) -> None:
        """Give the viewer a slot."""
        viewer.heartbeat_slot = random.randrange(SLOTS)
        self._slots[viewer.heartbeat_slot].add(viewer)

    def discard(self, viewer: Viewer) -> None:
        """Take its slot back."""
        self._slots[viewer.heartbeat_slot].discard(viewer)

    def __iter__(self) -> Iterator[Viewer]:
        return itertools.chain.from_iterable(self._slots)

    async def run(self) -> None:
        """Beat until cancelled; close the connections that have taken nothing for `stall_timeout`."""
        due = anyio.current_time()
        for slot in itertools.cycle(self._slots):
            due += self.interval / SLOTS
            await anyio.sleep_until(due)
            frames: dict[WireFormat, bytes] = {}
            stalled_before = time.monotonic() - self.stall_timeout
            for viewer in tuple(slot):
                if viewer.format not in frames:
                    frames[viewer.format] = viewer.format.heartbeat()
                viewer.beat(frames[viewer.format], stalled_before)
