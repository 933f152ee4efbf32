"""Heartbeats: every viewer gets one each interval, and no loop turn writes to everybody."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from typing import Final

import anyio

from statushub.hub.viewers.viewer import PushViewer
from statushub.hub.wire import sse

TURNS: Final = 60
"""Into how many turns an interval is divided: at 15 s and 10,000 viewers, 167 writes every 250 ms."""


class Heartbeat:
    """The viewers that push, each in one turn of the interval. Intervals and timeouts are in seconds."""

    def __init__(self, interval: float, stall_timeout: float) -> None:
        self.interval = interval
        self.stall_timeout = stall_timeout
        self._turns: list[set[PushViewer]] = [set() for _ in range(TURNS)]

    def add(self, viewer: PushViewer) -> None:
        """Give the viewer a turn."""
        viewer.turn = random.randrange(TURNS)
        self._turns[viewer.turn].add(viewer)

    def discard(self, viewer: PushViewer) -> None:
        """Take its turn back."""
        self._turns[viewer.turn].discard(viewer)

    def __len__(self) -> int:
        return sum(map(len, self._turns))

    def __iter__(self) -> Iterator[PushViewer]:
        return itertools.chain.from_iterable(self._turns)

    async def run(self) -> None:
        """Beat until cancelled; close the connections that have taken nothing for `stall_timeout`."""
        due = anyio.current_time()
        for turn in itertools.cycle(self._turns):
            due += self.interval / TURNS
            await anyio.sleep_until(due)
            if turn:
                chunk = sse.chunk(sse.heartbeat())
                stalled_before = time.monotonic() - self.stall_timeout
                for viewer in tuple(turn):
                    viewer.beat(chunk, stalled_before)
