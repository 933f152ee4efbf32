"""The properties of a source, read before any work is spent on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import msgspec
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from statushub.producers.encode.boxes import check_single
from statushub.producers.encode.errors import NotAVideo, SourceTooLarge
from statushub.producers.encode.orientation import Orientation, orientation
from statushub.producers.encode.tracks import audio_track, is_cover, video_track
from statushub.producers.sources.errors import reason

FORMATS: Final = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,gif,h264,hevc,ivf,dv,nut,yuv4mpegpipe,mp3,wav,flac"
)
"""Formats that are opened. Playlists (HLS, DASH, concat) are excluded: a source could name local files or servers
of the worker's network in one (SSRF), and show them in the result."""

GUESSING: Final = frozenset({"h264", "hevc", "mpegvideo", "ivf", "mp3"})
"""Formats whose duration libav guesses, from the size and the bit rate of the file's beginning."""

MEASURED: Final = frozenset({"mpegts", "mpeg"})
"""Formats whose duration libav measures between the first and the last timestamp, between which the clock may jump."""

SEQUENTIAL: Final = frozenset({"flv"})
"""Formats that end with their last packet, and that libav gives up where another file follows."""

_TIME: Final = re.compile(r"(\d{1,3}):(\d\d):(\d\d(?:\.\d{1,9})?)")

SOURCE_OPTIONS: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "correct_ts_overflow": "0"}
"""Timestamps as they are: libav takes a clock that starts again for one that wraps, and each track on its own."""

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
    stated: float | None
    """What the file states as its duration, which is that of its longest track; None also where it is guessed."""
    sequential: bool
    """Whether the file ends with its last packet."""
    start: float
    width: int
    height: int
    fps: Fraction
    """The constant frame rate of the result, near the source's own."""
    orientation: Orientation
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

    Raises `NotAVideo` where it has no video track that can be decoded, `ContentLost` where its sound or a joined file
    would be left out, and `SourceTooLarge`.
    """
    try:
        with open_source(path, pixels) as container:
            if "mp4" in container.format.name:
                check_single(path)
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
    # With its protocol, because libav takes what precedes a colon in a name for one.
    container = av.open(f"file:{path}", "r", options={**SOURCE_OPTIONS, **limit})
    for track in container.streams.video:
        if track.codec_context is not None:
            track.codec_context.options = limit
    return container


def _describe(path: Path, container: InputContainer, seconds: float, pixels: int) -> Video:
    track, sound = video_track(container), audio_track(container)
    if track is None or (is_cover(track) and sound is None):
        problem = "that can be decoded" if container.streams.video else "and no image"
        raise NotAVideo(f"The source has no video track {problem}.", field="source")
    stated = _stated(container)
    duration = _duration(container, [track, sound] if sound else [track], stated)
    if duration is not None and duration > seconds and container.format.name in MEASURED:
        duration = None
    if duration is not None and duration > seconds:
        raise SourceTooLarge(f"The source lasts {duration:.0f} s; the limit is {seconds:.0f} s.", field="source")
    frame = next(_frames(container, track), None)
    if frame is None:
        raise NotAVideo("The source's video track cannot be decoded.", field="source")
    turn = orientation(frame)
    width, height = _size(frame, track, turn)
    if max(width * height, frame.width * frame.height) > pixels:
        raise SourceTooLarge(f"A frame has more than {pixels} pixels, which is the limit.", field="source")
    return Video(
        path=path,
        bytes=path.stat().st_size,
        duration=duration,
        stated=stated,
        sequential=container.format.name in SEQUENTIAL,
        start=_start(container),
        width=width,
        height=height,
        fps=_frame_rate(track),
        orientation=turn,
        interlaced=frame.interlaced_frame,
        rgb=frame.format.is_rgb,
        colour=Colour(int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)),
        video_codec=track.codec_context.name,
        audio_codec=sound.codec_context.name if sound else None,
    )


def _start(container: InputContainer) -> float:
    return (container.start_time or 0) / av.time_base


def _duration(
    container: InputContainer, tracks: Sequence[VideoStream | AudioStream], stated: float | None
) -> float | None:
    """Seconds of the `tracks` that are encoded; None where only the duration of all tracks is known."""
    timed = [track for track in tracks if not (isinstance(track, VideoStream) and is_cover(track))]
    ends = [_end(track) for track in timed]
    if ends and None not in ends:
        return max(0.0, max(end for end in ends if end is not None) - _start(container)) or None
    return stated if len(container.streams) <= len(tracks) else None


def _end(track: VideoStream | AudioStream) -> float | None:
    """Where the file states that `track` ends, in seconds; None where it does not."""
    if track.duration and track.time_base:
        return float(((track.start_time or 0) + track.duration) * track.time_base)
    # Matroska's tag, 01:02:03.456789012, counts from 0.
    stated = _TIME.fullmatch(track.metadata.get("DURATION", ""))
    return int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3]) if stated else None


def _stated(container: InputContainer) -> float | None:
    """The duration that the file states, from its first timestamp on; None where it does not or libav guesses it."""
    if not container.duration or container.format.name in GUESSING:
        return None
    if container.format.name == "avi":
        # libav corrects the duration by the file's size.
        frames = [track.frames / track.average_rate for track in container.streams.video if track.average_rate]
        return float(max([*frames, Fraction(container.duration, av.time_base)]))
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


def _size(frame: VideoFrame, track: VideoStream, turn: Orientation) -> tuple[int, int]:
    """Width and height in square pixels, after rotation."""
    aspect = track.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * aspect)) if aspect > 0 else frame.width
    return (frame.height, width) if turn.transposed else (width, frame.height)


def _frame_rate(track: VideoStream) -> Fraction:
    if is_cover(track):
        return Fraction(FPS_MIN)
    rates = [Fraction(rate) for rate in (track.guessed_rate, track.average_rate) if rate]
    rate = next((rate for rate in rates if rate <= FPS_MAX), Fraction(FPS_MAX if rates else 30))
    # A rate such as 14213/947 makes unwieldy time bases; a denominator of 1001 keeps those of television exact.
    return max(Fraction(FPS_MIN), rate).limit_denominator(1001)
