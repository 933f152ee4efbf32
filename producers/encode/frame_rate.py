"""Conversion of any timing to a constant frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from av.video.frame import VideoFrame

from statushub.producers.encode.errors import TranscodeFailed

GAP_SECONDS: Final = 600.0
"""Longest time one frame is repeated. A screen recording can rest for minutes; a jump of hours is a broken
clock, and filling it would take hours."""

NumberedFrame = tuple[int, VideoFrame]
"""A frame and its number in the output, from 0 on; it is shown at number / fps seconds."""


class FrameRateConverter:
    """Outputs, for each frame of a constant rate, the latest frame of the source.

    Variable rates, pauses, missing timestamps and late starts all become what segments need: a frame for every
    number from 0 on.
    """

    def __init__(self, fps: Fraction, start: float) -> None:
        """`start` is the source's timestamp, in seconds, that becomes 0."""
        self._fps = fps
        self._start = start
        self._latest: VideoFrame | None = None
        self._latest_number = 0
        self._end = 1
        self._next = 0

    @property
    def seconds(self) -> float:
        """Duration of the output so far."""
        return float(self._next / self._fps)

    def feed(self, frame: VideoFrame) -> Iterator[NumberedFrame]:
        """Take the source's next frame; yields the output before it. Raises `TranscodeFailed` where time jumps."""
        number = self._number(frame)
        check_gap((number - self._next) / self._fps)
        if self._latest is not None:
            yield from self._repeat_until(number)
        self._latest, self._latest_number = frame, max(number, self._latest_number)
        self._end = max(self._end, self._latest_number + self._length(frame))

    def finish(self, seconds: float) -> Iterator[NumberedFrame]:
        """End the source: the last frame is repeated for its own duration, and on until `seconds`."""
        check_gap(seconds - self.seconds)
        yield from self._repeat_until(max(self._end, round(seconds * self._fps)))

    def _repeat_until(self, number: int) -> Iterator[NumberedFrame]:
        while self._latest is not None and self._next < number:
            yield self._next, self._latest
            self._next += 1

    def _number(self, frame: VideoFrame) -> int:
        if frame.pts is None or frame.time_base is None:
            return self._latest_number + 1
        return max(0, round((float(frame.pts * frame.time_base) - self._start) * self._fps))

    def _length(self, frame: VideoFrame) -> int:
        """The stated duration of `frame` in frames of the output; 1 where it is missing or implausible."""
        seconds = frame.duration * frame.time_base if frame.time_base else 0
        return round(seconds * self._fps) if 0 < seconds <= GAP_SECONDS else 1


def check_gap(seconds: float | Fraction) -> None:
    """Raise `TranscodeFailed` where `seconds`, a distance between timestamps, exceeds `GAP_SECONDS`."""
    if seconds > GAP_SECONDS:
        raise TranscodeFailed(f"The source's timestamps jump by {float(seconds):.0f} s.", field="source")
