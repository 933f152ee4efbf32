"""HLS playlists (RFC 8216): reading a rendition's, writing the master."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import msgspec

from statushub.producers.encode.errors import ValidationFailed
from statushub.producers.encode.ladder import Rendition

MASTER: Final = "master.m3u8"
MEDIA: Final = "playlist.m3u8"
INIT: Final = "init.mp4"
SEGMENT: Final = "segment-%05d.m4s"

AAC_LC: Final = "mp4a.40.2"
"""RFC 6381's name of the audio codec of every rendition."""


class Segment(msgspec.Struct, frozen=True):
    """One segment: its file, its start and its duration, in seconds."""

    path: Path
    start: float
    duration: float

    @property
    def bits(self) -> int:
        """Size of the file, in bits."""
        return self.path.stat().st_size * 8


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition's playlist: its segments, and the initialisation segment that all of them need."""

    path: Path
    init: Path
    segments: tuple[Segment, ...]
    target: int
    """The target duration, in seconds."""
    ended: bool
    """Whether the playlist has its end tag, so that no further segment follows."""

    @property
    def duration(self) -> float:
        """Seconds of all segments together."""
        return sum(segment.duration for segment in self.segments)

    @property
    def bandwidth(self) -> int:
        """The peak bit rate: the highest of any run of segments that lasts at least half the target duration
        (RFC 8216, section 4.3.4.2)."""
        runs = (self._rate(first) for first in range(len(self.segments)))
        return max((rate for rate in runs if rate), default=self.average_bandwidth)

    @property
    def average_bandwidth(self) -> int:
        """Bits a second of all segments together."""
        return round(sum(segment.bits for segment in self.segments) / self.duration)

    def _rate(self, first: int) -> int:
        """The bit rate of the shortest run from segment `first` on that is long enough; 0 where there is none."""
        bits, seconds = 0, 0.0
        for segment in self.segments[first:]:
            bits += segment.bits
            seconds += segment.duration
            if seconds >= self.target / 2:
                return round(bits / seconds)
        return 0


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition as the master playlist lists it."""

    rendition: Rendition
    media: Media
    fps: Fraction
    codecs: str


def read(path: Path) -> Media:
    """Parse the rendition's playlist at `path`. Raises `ValidationFailed` where it is not one."""
    segments: list[Segment] = []
    init, target, start, duration, ended = path.parent / INIT, 0, 0.0, 0.0, False
    try:
        for line in path.read_text("utf-8").split("\n"):
            tag, _, value = line.partition(":")
            if tag == "#EXTINF":
                duration = float(value.rstrip(","))
            elif tag == "#EXT-X-TARGETDURATION":
                target = int(value)
            elif tag == "#EXT-X-MAP":
                init = path.parent / value.removeprefix('URI="').rstrip('"')
            elif tag == "#EXT-X-ENDLIST":
                ended = True
            elif line and not line.startswith("#"):
                segments.append(Segment(path.parent / line, start, duration))
                start += duration
    except (OSError, ValueError) as error:
        raise ValidationFailed(f"The playlist of {path.parent.name} cannot be read.") from error
    return Media(path=path, init=init, segments=tuple(segments), target=target, ended=ended)


def amend(path: Path) -> None:
    """Raise the target duration of the playlist at `path` from 0 to 1.

    libav rounds that of a very short video to 0; players then reload the playlist or refuse it.
    """
    text = path.read_text("utf-8")
    path.write_text(text.replace("#EXT-X-TARGETDURATION:0\n", "#EXT-X-TARGETDURATION:1\n"), "utf-8")


def master(variants: Sequence[Variant]) -> str:
    """The master playlist that lists `variants`, in their order."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for variant in variants:
        lines += [_stream_inf(variant), f"{variant.rendition.name}/{variant.media.path.name}"]
    return "\n".join(lines) + "\n"


def codecs(init: bytes, audio: bool) -> str:
    """The RFC 6381 names of the codecs in an initialisation segment: profile, constraints and level from its `avcC`.

    Raises `ValidationFailed` where it has none.
    """
    at = init.find(b"avcC")
    if at < 0 or len(init) < at + 8:
        raise ValidationFailed("The initialisation segment does not describe H.264.")
    profile, constraints, level = struct.unpack_from(">xBBB", init, at + 4)
    video = f"avc1.{profile:02x}{constraints:02x}{level:02x}"
    return f"{video},{AAC_LC}" if audio else video


def _stream_inf(variant: Variant) -> str:
    rendition, media = variant.rendition, variant.media
    attributes = (
        f"BANDWIDTH={media.bandwidth}",
        f"AVERAGE-BANDWIDTH={media.average_bandwidth}",
        f"RESOLUTION={rendition.width}x{rendition.height}",
        f"FRAME-RATE={float(variant.fps):.3f}",
        f'CODECS="{variant.codecs}"',
    )
    return "#EXT-X-STREAM-INF:" + ",".join(attributes)
