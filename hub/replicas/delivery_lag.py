"""Delivery lag: the time from an event's time stamp to its write to viewers, of a sample of events."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import anyio
import msgspec

from statushub.hub.histogram import Histogram
from statushub.hub.model.event import Event

SAMPLE_SECONDS: Final = 0.25
"""Between two samples: a thousand events in five minutes say enough, and cost nothing that could be measured."""

PAST_SECONDS: Final = 3600.0
"""A status that is older reports of the past: its publisher gave the time stamp, which says nothing of the way."""


class _Stamped(msgspec.Struct):
    timestamp: datetime | None = None
    cancel_requested: msgspec.Raw | None = None


_decoder = msgspec.json.Decoder(_Stamped)


class DeliveryLag:
    """Samples the events of a hub into a histogram. `clock` is in Unix seconds."""

    due: bool
    """Whether the next event that is delivered is to be sampled. It is looked at for each batch of announcements: a
    clock would cost as much as applying one."""

    def __init__(self, lag: Histogram, clock: Callable[[], float] = time.time) -> None:
        self._lag = lag
        self._clock = clock
        self.due = True

    async def run(self) -> None:
        """Have an event sampled each `SAMPLE_SECONDS`, until cancelled."""
        while True:
            await anyio.sleep(SAMPLE_SECONDS)
            self.due = True

    def delivered(self, event: Event) -> None:
        """Count how long the event took, which was written to viewers just now."""
        self.due = False
        try:
            state = _decoder.decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        # With a request to cancel, a state is announced that was written before.
        if state.timestamp is None or state.timestamp.tzinfo is None or state.cancel_requested is not None:
            return
        seconds = self._clock() - state.timestamp.timestamp()
        if seconds <= PAST_SECONDS:
            self._lag.observe(seconds)
