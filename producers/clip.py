"""A clip to try an encoder on: drifting colours, a bouncing ball, a time code and a tone. All of it made here.

Needs the optional extra: `pip install 'statushub[encode]'`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

try:
    import av
    from av.audio.frame import AudioFrame
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane
except ImportError as error:
    raise ImportError("producers.clip needs PyAV, which is not installed: pip install 'statushub[encode]'") from error

SOUND_RATE: Final = 48_000
"""Samples a second."""

PORTION: Final = 1024
"""Samples written at a time: a frame of AAC."""

CHORD: Final = (220.0, 277.18, 329.63)
"""The notes of the tone, in hertz: A major."""

BEEP: Final = 880.0
"""The note that begins each second, in hertz: with the time code, it shows whether sound and picture agree."""

DIGITS: Final = {
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    ":": (0, 4, 4, 0, 4, 4, 0),
}
"""Each character as seven rows of five dots, the leftmost the highest bit."""

WHITE: Final = 235
BLACK: Final = 16
"""The ends of the brightness that video uses (ITU-R BT.709)."""


def write_clip(
    path: Path, *, seconds: float = 10.0, width: int = 1280, height: int = 720, fps: int = 30, sound: bool = True
) -> Path:
    """Write a clip of H.264 and AAC to `path`, whose ending names the container, and return the path.

    `width` and `height` are even, and at least 64.
    """
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "20"})
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=SOUND_RATE) if sound else None
        sounds = _sounds(seconds)
        for number, frame in enumerate(pictures(seconds, width, height, fps), 1):
            container.mux(picture.encode(frame))
            if audio is not None:
                for portion in _until(sounds, number / fps):
                    container.mux(audio.encode(portion))
        container.mux(picture.encode(None))
        if audio is not None:
            for portion in sounds:
                container.mux(audio.encode(portion))
            container.mux(audio.encode(None))
    return path


def pictures(seconds: float, width: int, height: int, fps: int) -> Iterator[VideoFrame]:
    """The pictures of a clip, one each 1/`fps` s."""
    painter = _Painter(width, height)
    for number in range(max(1, round(seconds * fps))):
        frame = painter.paint(number, fps)
        frame.pts, frame.time_base = number, Fraction(1, fps)
        yield frame


class _Painter:
    """Paints by slices of rows: a row is a piece of a long wave, and moving is starting elsewhere on it."""

    def __init__(self, width: int, height: int) -> None:
        self._width = width
        self._height = height
        self._light = _wave(4 * width, width * 1.5, 70, 40)
        self._colour = _wave(4 * width, width, 128, 64)
        self._dot = max(1, width // 160)

    def paint(self, number: int, fps: int) -> VideoFrame:
        frame = VideoFrame(self._width, self._height, "yuv420p")
        light = self._rows(frame.planes[0], self._light, number * self._width // 240, 1)
        self._ball(light, frame.planes[0].line_size, number / fps)
        self._write(light, frame.planes[0].line_size, _time_code(number, fps))
        frame.planes[0].update(bytes(light))
        for plane, speed in zip(frame.planes[1:], (1, -2), strict=True):
            plane.update(bytes(self._rows(plane, self._colour, number * speed * self._width // 300, speed)))
        return frame

    def _rows(self, plane: VideoPlane, wave: bytes, shift: int, slant: int) -> bytearray:
        period, line = len(wave) // 2, plane.line_size
        starts = ((shift + row * slant) % period for row in range(plane.height))
        rows = bytearray().join((wave[at : at + line]).ljust(line, b"\x80") for at in starts)
        return rows.ljust(plane.buffer_size, b"\x80")

    def _ball(self, light: bytearray, line: int, time: float) -> None:
        radius = self._height // 12
        across = _bounce(time * 0.23, radius, self._width - radius)
        down = _bounce(time * 0.37, radius, self._height - radius)
        for row in range(-radius, radius):
            half = int(math.sqrt(radius * radius - row * row))
            self._bar(light, line, across - half, down + row, 2 * half, WHITE - abs(row) * 90 // radius)

    def _write(self, light: bytearray, line: int, text: str) -> None:
        dot = self._dot
        left, top = (self._width - len(text) * 6 * dot) // 2, self._height - 12 * dot
        for row in range(11 * dot):
            self._bar(light, line, left - 2 * dot, top - 2 * dot + row, len(text) * 6 * dot + 3 * dot, BLACK)
        for place, character in enumerate(text):
            self._digit(light, line, left + place * 6 * dot, top, DIGITS[character])

    def _digit(self, light: bytearray, line: int, left: int, top: int, rows: Sequence[int]) -> None:
        dot = self._dot
        for row, bits in enumerate(rows):
            for column in (column for column in range(5) if bits & 16 >> column):
                for inner in range(dot):
                    self._bar(light, line, left + column * dot, top + row * dot + inner, dot, WHITE)

    def _bar(self, light: bytearray, line: int, left: int, row: int, length: int, value: int) -> None:
        left, right = max(0, left), min(self._width, left + length)
        if 0 <= row < self._height and left < right:
            light[row * line + left : row * line + right] = bytes((value,)) * (right - left)


def _wave(length: int, period: float, middle: int, swing: int) -> bytes:
    """A sine of whole periods over `length`, twice, so that a slice may start anywhere in the first half."""
    cycles = max(1, round(length / period))
    once = bytes(round(middle + swing * math.sin(2 * math.pi * cycles * at / length)) for at in range(length))
    return once * 2


def _bounce(phase: float, low: int, high: int) -> int:
    return low + round(abs(phase % 2 - 1) * (high - low))


def _time_code(number: int, fps: int) -> str:
    seconds, frame = divmod(number, fps)
    return f"{seconds // 60:02d}:{seconds % 60:02d}:{frame:02d}"


def _sounds(seconds: float) -> Iterator[AudioFrame]:
    second = _second()
    samples = round(seconds * SOUND_RATE)
    for start in range(0, samples, PORTION):
        at, length = start % SOUND_RATE, min(PORTION, samples - start)
        yield _portion((second + second)[at : at + length], start)


def _portion(samples: array[float], start: int) -> AudioFrame:
    frame = AudioFrame(format="fltp", layout="stereo", samples=len(samples))
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
    for plane in frame.planes:
        plane.update(samples.tobytes().ljust(plane.buffer_size, b"\0"))
    return frame


def _second() -> array[float]:
    """One second of sound, which is repeated: every note is rounded to whole hertz, so the ends meet."""
    return array("f", (_loudness(at / SOUND_RATE) for at in range(SOUND_RATE)))


def _loudness(time: float) -> float:
    chord = sum(math.sin(2 * math.pi * round(note) * time) for note in CHORD) / len(CHORD)
    return 0.12 * chord + 0.25 * math.sin(2 * math.pi * BEEP * time) * max(0.0, 1 - time * 12)


def _until(sounds: Iterator[AudioFrame], seconds: float) -> Iterator[AudioFrame]:
    """Those of `sounds` that are due by `seconds`, so that both tracks grow together in the file."""
    for portion in sounds:
        yield portion
        if (portion.pts or 0) + portion.samples >= seconds * SOUND_RATE:
            return
