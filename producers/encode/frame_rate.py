"""Conversion of any timing to a constant frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from av.video.frame import VideoFrame

LAST_SECONDS: Final = 3600.0
"""Longest duration that is believed of the last frame: none follows that would confirm it."""

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
        self._frame_seconds = float(1 / fps)
        self._start = start
        self._latest: VideoFrame | None = None
        self._latest_number = 0
        self._end = 1
        self._next = 0
        self._lost = 0.0

    @property
    def seconds(self) -> float:
        """Duration of the output so far."""
        return self._next * self._frame_seconds

    @property
    def count(self) -> int:
        """Number of frames of the output so far."""
        return self._next

    @property
    def lost(self) -> float:
        """Seconds of the source that are not in the output, because later frames came before them."""
        return self._lost

    def feed(self, frame: VideoFrame) -> Iterator[NumberedFrame]:
        """Take the source's next frame; yields the output before it."""
        number = self._number(frame)
        if self._latest is not None and number < self._latest_number:
            self._lost += self._duration(frame)
            return
        number = max(0, number)
        yield from self._repeat_until(number)
        self._latest, self._latest_number = frame, number
        self._end = max(self._end, number + round(self._duration(frame) * self._fps))

    def finish(self) -> Iterator[NumberedFrame]:
        """End the source: the last frame is repeated for its own duration."""
        yield from self._repeat_until(self._end)

    def fill(self, seconds: float) -> Iterator[NumberedFrame]:
        """Repeat the last frame until `seconds`."""
        yield from self._repeat_until(round(seconds * self._fps))

    def _repeat_until(self, number: int) -> Iterator[NumberedFrame]:
        while self._latest is not None and self._next < number:
            yield self._next, self._latest
            self._next += 1

    def _number(self, frame: VideoFrame) -> int:
        if frame.pts is None or frame.time_base is None:
            return self._latest_number + 1
        return round((float(frame.pts * frame.time_base) - self._start) * self._fps)

    def _duration(self, frame: VideoFrame) -> float:
        """The stated duration of `frame` in seconds; that of a frame of the output where it is implausible."""
        seconds = float(frame.duration * frame.time_base) if frame.time_base else 0.0
        return seconds if 0 < seconds <= LAST_SECONDS else self._frame_seconds
