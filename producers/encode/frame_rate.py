"""Pictures at a constant rate, whatever the timing of the source."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from av.video.frame import VideoFrame

from statushub.producers.encode.errors import TranscodeFailed

GAP_SECONDS: Final = 600.0
"""Longest time one picture may stand. A screen recording can rest for minutes; a leap of hours is a broken
clock, and filling it would take for ever."""

Shown = tuple[int, VideoFrame]
"""A picture and the tick it is shown at."""


class FrameRateConverter:
    """Shows at each tick of a constant rate the latest picture of the source.

    So variable rates, pauses, missing time stamps and late starts all become what segments need: a picture
    at every tick from 0 on.
    """

    def __init__(self, fps: Fraction, start: float) -> None:
        self._fps = fps
        self._start = start
        self._latest: VideoFrame | None = None
        self._latest_tick = 0
        self._end = 1
        self._next = 0

    @property
    def seconds(self) -> float:
        """Length of what was shown."""
        return float(self._next / self._fps)

    def feed(self, frame: VideoFrame) -> Iterator[Shown]:
        """Take the next picture; yields what is shown before it. Raises `TranscodeFailed` on a time leap."""
        tick = self._tick(frame)
        check_gap((tick - self._next) / self._fps)
        if self._latest is not None:
            yield from self._until(tick)
        self._latest, self._latest_tick = frame, max(tick, self._latest_tick)
        self._end = max(self._end, self._latest_tick + self._ticks(frame))

    def finish(self, seconds: float) -> Iterator[Shown]:
        """The source is over: the last picture stands for as long as it says, and on until `seconds`."""
        check_gap(seconds - self.seconds)
        yield from self._until(max(self._end, round(seconds * self._fps)))

    def _until(self, tick: int) -> Iterator[Shown]:
        while self._latest is not None and self._next < tick:
            yield self._next, self._latest
            self._next += 1

    def _tick(self, frame: VideoFrame) -> int:
        if frame.pts is None or frame.time_base is None:
            return self._latest_tick + 1
        return max(0, round((float(frame.pts * frame.time_base) - self._start) * self._fps))

    def _ticks(self, frame: VideoFrame) -> int:
        """How long a picture says it stands; one tick where it does not say, or says nonsense."""
        seconds = frame.duration * frame.time_base if frame.time_base else 0
        return round(seconds * self._fps) if 0 < seconds <= GAP_SECONDS else 1


def check_gap(seconds: float | Fraction) -> None:
    """Raise `TranscodeFailed` where time leaps by more than `GAP_SECONDS`."""
    if seconds > GAP_SECONDS:
        raise TranscodeFailed(f"The source's clock leaps by {float(seconds):.0f} s.", field="source")
