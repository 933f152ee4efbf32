"""Conversion of any audio to continuous stereo, in frames of the size that AAC takes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

RATE: Final = 48_000
"""Samples a second of the result: every device plays it."""

FRAME_SAMPLES: Final = 1024
"""Samples in a frame of AAC."""

TOLERANCE: Final = RATE // 10
"""Samples that the source's timestamps may be off before silence is inserted or samples are dropped: less is jitter."""


class AudioConverter:
    """Resamples audio to 48 kHz stereo, downmixes surround, and fills gaps with silence."""

    def __init__(self, start: float) -> None:
        """`start` is the source's timestamp, in seconds, that becomes 0."""
        self._start = start
        self._fifo = AudioFifo()
        self._resampler: AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None
        self._written = 0
        self._read = 0
        self._dropped = 0

    @property
    def seconds(self) -> float:
        """Duration of what was taken so far."""
        return self._written / RATE

    @property
    def count(self) -> int:
        """Number of samples taken so far."""
        return self._written

    @property
    def lost(self) -> float:
        """Seconds of the source that were dropped, because their time had passed."""
        return self._dropped / RATE

    def feed(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Take the source's next frame; yields whole AAC frames."""
        frame_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        if frame_format != self._format:
            # A broadcast may switch between stereo and surround; a resampler takes one format only.
            yield from self._flush()
            self._format, self._resampler = frame_format, AudioResampler(format="fltp", layout="stereo", rate=RATE)
        for resampled in self._resample(frame):
            yield from self._append(resampled)

    def finish(self) -> Iterator[AudioFrame]:
        """End the source; yields whole AAC frames."""
        yield from self._flush()

    def fill(self, seconds: float) -> Iterator[AudioFrame]:
        """Fill up to `seconds` with silence; yields whole AAC frames."""
        yield from self._silence(round(seconds * RATE) - self._written)

    def rest(self) -> Iterator[AudioFrame]:
        """Yield the last frame, which may be shorter."""
        rest = self._fifo.read(0, partial=True) if self._fifo.samples else None
        if rest is not None:
            yield self._stamped(rest)

    def _resample(self, frame: AudioFrame | None) -> list[AudioFrame]:
        return self._resampler.resample(frame) if self._resampler else []

    def _flush(self) -> Iterator[AudioFrame]:
        for resampled in self._resample(None):
            yield from self._append(resampled)
        self._resampler = None
        self._format = None

    def _append(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        if frame.pts is not None and frame.time_base is not None:
            ahead = round((float(frame.pts * frame.time_base) - self._start) * RATE) - self._written
            if ahead < -TOLERANCE:
                self._dropped += frame.samples
                return
            if ahead > TOLERANCE:
                yield from self._silence(ahead)
        yield from self._write(frame)

    def _silence(self, samples: int) -> Iterator[AudioFrame]:
        while samples > 0:
            frame = AudioFrame(format="fltp", layout="stereo", samples=min(samples, RATE))
            frame.sample_rate = RATE
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            samples -= frame.samples
            yield from self._write(frame)

    def _write(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        # The queue takes frames of one time base only; a source that is 48 kHz stereo already has its own.
        frame.pts, frame.time_base = None, Fraction(1, RATE)
        self._fifo.write(frame)
        self._written += frame.samples
        while (whole := self._fifo.read(FRAME_SAMPLES)) is not None:
            yield self._stamped(whole)

    def _stamped(self, frame: AudioFrame) -> AudioFrame:
        frame.pts, frame.time_base = self._read, Fraction(1, RATE)
        self._read += frame.samples
        return frame
