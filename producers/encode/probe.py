"""The properties of a source, read before any work is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import msgspec
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from statushub.producers.encode.errors import NotAVideo, SourceTooLarge, reason

FORMATS: Final = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,gif,h264,hevc,ivf,dv,nut,yuv4mpegpipe,mp3,wav,flac"
)
"""Formats that are opened. Playlists (HLS, DASH, concat) are excluded: a source could name local files or servers
of the worker's network in one (SSRF), and show them in the result."""

SOURCE_OPTIONS: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}

PIXELS_MAX: Final = 8192 * 8192
"""Largest frame: more than 8K. Decoded, it takes 100 MB, and 270 MB with four bytes a pixel."""

FPS_MIN: Final = 10
"""Lowest frame rate of the result; frames of a slower source are repeated, so that segments can be cut in time."""

FPS_MAX: Final = 60
"""Highest frame rate of the result. A higher one is a time base mistaken for a rate, or more than screens show."""

PROBE_PACKETS: Final = 2000
"""Packets read in search of a first frame: several seconds of any format."""


class Colour(msgspec.Struct, frozen=True):
    """The colour space: matrix, primaries and transfer, as the codes of ITU-T H.273."""

    matrix: int
    primaries: int
    transfer: int


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a source. Width and height are in square pixels, after rotation; times are in seconds."""

    path: Path
    bytes: int
    duration: float | None
    """None where the file does not state it, as recordings made by browsers do not."""
    start: float
    width: int
    height: int
    fps: Fraction
    """The constant frame rate of the result, near the source's own."""
    rotation: int
    """Degrees by which to rotate frames counter-clockwise: 0, 90, 180 or 270."""
    interlaced: bool
    rgb: bool
    colour: Colour
    video_codec: str
    audio_codec: str | None

    @property
    def facts(self) -> dict[str, object]:
        """The properties that are published."""
        return {
            "duration": None if self.duration is None else round(self.duration, 3),
            "width": self.width,
            "height": self.height,
            "fps": round(float(self.fps), 3),
            "video_codec": self.video_codec,
            "audio_codec": self.audio_codec,
        }


def probe(path: Path, seconds: float, pixels: int = PIXELS_MAX) -> Video:
    """Read the properties of the file at `path`, which may last `seconds` and have frames of `pixels` at most.

    Raises `NotAVideo` where it has no video track that can be decoded, and `SourceTooLarge`.
    """
    try:
        with open_source(path, pixels) as container:
            return _describe(path, container, seconds, pixels)
    except MemoryError:
        raise
    except FFmpegError as error:
        raise NotAVideo(f"The source is not a video that can be read: {reason(error)}.", field="source") from error


def open_source(path: Path, pixels: int) -> InputContainer:
    """Open the file at `path`, of which no frame with more than `pixels` is decoded, neither now nor later.

    libav decodes frames as it opens a file, in search of their properties. It refuses larger ones before it allocates
    memory, as it does damaged ones, and says why only in its log. Raises libav's errors.
    """
    limit = {"max_pixels": str(pixels)}
    container = av.open(str(path), "r", options={**SOURCE_OPTIONS, **limit})
    for track in container.streams.video:
        if track.codec_context is not None:
            track.codec_context.options = limit
    return container


def video_track(container: InputContainer) -> VideoStream | None:
    """The track to encode: the first that is not the cover image of a song."""
    tracks = (track for track in container.streams.video if not track.disposition & Disposition.attached_pic)
    return next(tracks, None)


def _describe(path: Path, container: InputContainer, seconds: float, pixels: int) -> Video:
    track = video_track(container)
    if track is None:
        raise NotAVideo("The source has no video track.", field="source")
    start, duration = (container.start_time or 0) / av.time_base, _duration(container)
    if duration is not None and duration > seconds:
        raise SourceTooLarge(f"The source lasts {duration:.0f} s; the limit is {seconds:.0f} s.", field="source")
    frame = next(_frames(container, track), None)
    if frame is None:
        raise NotAVideo("The source's video track cannot be decoded.", field="source")
    width, height = _size(frame, track)
    if max(width * height, frame.width * frame.height) > pixels:
        raise SourceTooLarge(f"A frame has more than {pixels} pixels, which is the limit.", field="source")
    return Video(
        path=path,
        bytes=path.stat().st_size,
        duration=duration,
        start=start,
        width=width,
        height=height,
        fps=_frame_rate(track),
        rotation=_rotation(frame),
        interlaced=frame.interlaced_frame,
        rgb=frame.format.is_rgb,
        colour=Colour(int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)),
        video_codec=track.codec_context.name,
        audio_codec=next((audio.codec_context.name for audio in container.streams.audio), None),
    )


def _duration(container: InputContainer) -> float | None:
    if not container.duration:
        return None
    # Matroska counts the duration from 0, even where the first frame comes later.
    late = max(0, container.start_time or 0) if "matroska" in container.format.name else 0
    return max(0, container.duration - late) / av.time_base or None


def _frames(container: InputContainer, track: VideoStream) -> Iterator[VideoFrame]:
    for count, packet in enumerate(container.demux(track)):
        if count > PROBE_PACKETS:
            return
        try:
            yield from packet.decode()
        except MemoryError:
            raise
        except FFmpegError:
            # A recording may begin in the middle of a group of pictures; the next key frame decodes.
            continue


def _rotation(frame: VideoFrame) -> int:
    return round(frame.rotation / 90) * 90 % 360


def _size(frame: VideoFrame, track: VideoStream) -> tuple[int, int]:
    """Width and height in square pixels, after rotation."""
    aspect = track.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * aspect)) if aspect > 0 else frame.width
    return (frame.height, width) if _rotation(frame) in (90, 270) else (width, frame.height)


def _frame_rate(track: VideoStream) -> Fraction:
    rates = [Fraction(rate) for rate in (track.guessed_rate, track.average_rate) if rate]
    rate = next((rate for rate in rates if rate <= FPS_MAX), Fraction(FPS_MAX if rates else 30))
    # A rate such as 14213/947 makes unwieldy time bases; a denominator of 1001 keeps those of television exact.
    return max(Fraction(FPS_MIN), rate).limit_denominator(1001)
