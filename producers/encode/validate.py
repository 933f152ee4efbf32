"""Validation of a result: every playlist is opened again, and the first frame of every segment decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
from av.error import FFmpegError
from av.video.frame import VideoFrame

from statushub.producers.encode.errors import ValidationFailed, reason
from statushub.producers.encode.ladder import Rendition
from statushub.producers.encode.playback import frames
from statushub.producers.encode.playlist import MEDIA, Media, Segment, Variant, codecs, read
from statushub.producers.encode.probe import Video
from statushub.producers.encode.progress import OnProgress

DURATION_TOLERANCE: Final = 0.5
"""Seconds by which a playlist may differ from what was encoded: audio ends between two frames."""

SOURCE_TOLERANCE: Final = 0.05
"""Part of its stated duration that a source may lack. More is missing where a file was truncated."""

SOURCE_TOLERANCE_SECONDS: Final = 1.0
"""The same in seconds, for short sources: their headers round."""

GAP_TOLERANCE: Final = 0.1
"""Seconds between two segments; players bridge as much without a visible pause."""


def validate(
    video: Video, renditions: Sequence[Rendition], folder: Path, seconds: float, on_progress: OnProgress
) -> list[Variant]:
    """Check every rendition in `folder`, of which `seconds` were encoded; returns them for the master playlist.

    Raises `ValidationFailed`.
    """
    check_whole(video, seconds)
    variants = []
    for index, rendition in enumerate(renditions):
        media = read(folder / rendition.name / MEDIA)
        _check_playlist(media, seconds)
        for done in _checked_segments(media):
            on_progress((index + done) / len(renditions))
        variants.append(_variant(video, rendition, media))
    for one, other in pairwise(variants):
        _check_aligned(one.media, other.media)
    return variants


def check_whole(video: Video, seconds: float) -> None:
    """Raise `ValidationFailed` where `seconds` is clearly less than the stated duration of the source."""
    if video.duration is None:
        return
    missing = video.duration - seconds
    if missing > max(SOURCE_TOLERANCE_SECONDS, SOURCE_TOLERANCE * video.duration):
        raise ValidationFailed(
            f"Only {seconds:.1f} s of the source's {video.duration:.1f} s can be played: it seems to be truncated.",
            field="source",
        )


def _check_playlist(media: Media, seconds: float) -> None:
    name = media.path.parent.name
    if not media.segments or not media.ended:
        raise ValidationFailed(f"The playlist of {name} is incomplete.")
    if abs(media.duration - seconds) > DURATION_TOLERANCE:
        raise ValidationFailed(f"{name} lasts {media.duration:.1f} s instead of {seconds:.1f} s.")
    if any(round(segment.duration) > media.target for segment in media.segments):
        raise ValidationFailed(f"A segment of {name} is longer than the playlist's target duration.")
    try:
        with av.open(str(media.path), "r") as container:
            playable = (container.duration or 0) / av.time_base
    except FFmpegError as error:
        raise ValidationFailed(f"The playlist of {name} cannot be opened: {reason(error)}.") from error
    if abs(playable - seconds) > DURATION_TOLERANCE:
        raise ValidationFailed(f"{name} plays for {playable:.1f} s instead of {seconds:.1f} s.")


def _checked_segments(media: Media) -> Iterator[float]:
    """Yields the part of the segments that has been checked, after each."""
    shift: float | None = None
    for number, segment in enumerate(media.segments, 1):
        start = _first_frame(media, segment).time
        # B-frames delay the whole stream by a few frames; what counts is that nothing moves within it.
        shift = start if shift is None else shift
        if abs(start - shift - segment.start) > GAP_TOLERANCE:
            raise ValidationFailed(f"{segment.path.name} of {media.path.parent.name} does not follow the one before.")
        yield number / len(media.segments)


def _first_frame(media: Media, segment: Segment) -> VideoFrame:
    try:
        return next(frames(media, segment))
    except (FFmpegError, OSError, StopIteration, IndexError) as error:
        raise ValidationFailed(f"{segment.path.name} of {media.path.parent.name} cannot be decoded.") from error


def _check_aligned(one: Media, other: Media) -> None:
    starts = zip(one.segments, other.segments, strict=False)
    if len(one.segments) != len(other.segments) or any(abs(a.start - b.start) > GAP_TOLERANCE for a, b in starts):
        raise ValidationFailed("The renditions are not cut at the same times.")


def _variant(video: Video, rendition: Rendition, media: Media) -> Variant:
    return Variant(
        rendition=rendition,
        media=media,
        fps=video.fps,
        codecs=codecs(media.init.read_bytes(), video.audio_codec is not None),
    )
