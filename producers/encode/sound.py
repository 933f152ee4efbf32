"""Stereo sound without holes, in the portions that AAC takes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from statushub.producers.encode.frame_rate import check_gap

RATE: Final = 48_000
"""Samples a second of the result: what every device plays."""

PORTION: Final = 1024
"""Samples in a frame of AAC."""

TOLERANCE: Final = RATE // 10
"""Samples the source's clock may be off before silence is put in or sound left out: less is jitter."""


class Sound:
    """Resamples whatever comes to stereo, downmixing where there are more channels, and fills holes with silence."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._fifo = AudioFifo()
        self._resampler: AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None
        self._position = 0
        self._read = 0

    @property
    def seconds(self) -> float:
        """Length of what came so far."""
        return self._position / RATE

    def feed(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Take the source's next sound; yields whole portions. Raises `TranscodeFailed` on a broken clock."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            # Broadcasts switch between stereo and surround in the middle; a resampler takes one kind alone.
            self._flush()
            self._kind, self._resampler = kind, AudioResampler(format="fltp", layout="stereo", rate=RATE)
        for resampled in self._resample(frame):
            self._append(resampled)
        yield from self._portions(PORTION)

    def pad(self, seconds: float) -> Iterator[AudioFrame]:
        """Fill up to `seconds` with silence; yields whole portions."""
        self._silence(round(seconds * RATE) - self._position)
        yield from self._portions(PORTION)

    def finish(self, seconds: float) -> Iterator[AudioFrame]:
        """The source is over: fill up to `seconds`, and yield all that is left."""
        self._flush()
        yield from self.pad(seconds)
        rest = self._fifo.read(0, partial=True) if self._fifo.samples else None
        if rest is not None:
            yield self._stamped(rest)

    def _resample(self, frame: AudioFrame | None) -> list[AudioFrame]:
        return self._resampler.resample(frame) if self._resampler else []

    def _flush(self) -> None:
        for resampled in self._resample(None):
            self._append(resampled)
        self._resampler = None
        self._kind = None

    def _append(self, frame: AudioFrame) -> None:
        if frame.pts is not None and frame.time_base is not None:
            ahead = round((float(frame.pts * frame.time_base) - self._start) * RATE) - self._position
            if ahead < -TOLERANCE:
                return
            if ahead > TOLERANCE:
                self._silence(ahead)
        self._write(frame)

    def _silence(self, samples: int) -> None:
        check_gap(samples / RATE)
        while samples > 0:
            frame = AudioFrame(format="fltp", layout="stereo", samples=min(samples, RATE))
            frame.sample_rate = RATE
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            samples -= frame.samples
            self._write(frame)

    def _write(self, frame: AudioFrame) -> None:
        frame.pts = None
        self._fifo.write(frame)
        self._position += frame.samples

    def _portions(self, samples: int) -> Iterator[AudioFrame]:
        while (frame := self._fifo.read(samples)) is not None:
            yield self._stamped(frame)

    def _stamped(self, frame: AudioFrame) -> AudioFrame:
        frame.pts, frame.time_base = self._read, Fraction(1, RATE)
        self._read += frame.samples
        return frame
