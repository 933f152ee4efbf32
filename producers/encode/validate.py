"""Does what was encoded play? Every playlist is opened again, every segment's first picture decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
from av.error import FFmpegError

from statushub.producers.encode.errors import ValidationFailed, reason
from statushub.producers.encode.ladder import Rendition
from statushub.producers.encode.playlist import MEDIA, Media, Segment, Variant, codecs, read
from statushub.producers.encode.probe import Video
from statushub.producers.encode.progress import Tick

LENGTH_TOLERANCE: Final = 0.5
"""Seconds a playlist may differ from what was encoded: sound ends between two pictures."""

SOURCE_TOLERANCE: Final = 0.05
"""Part of its stated length that a source may lack. More is missing where a file was cut off."""

SOURCE_TOLERANCE_SECONDS: Final = 1.0
"""The same in seconds, for short sources: headers round."""

GAP_TOLERANCE: Final = 0.1
"""Seconds by which segments may fail to meet; players bridge as much unseen."""


def validate(video: Video, renditions: Sequence[Rendition], folder: Path, seconds: float, tick: Tick) -> list[Variant]:
    """Check every rendition in `folder`, of which `seconds` were encoded; returns them for the master playlist.

    Raises `ValidationFailed`.
    """
    check_whole(video, seconds)
    variants = []
    for index, rendition in enumerate(renditions):
        media = read(folder / rendition.name / MEDIA)
        _check_playlist(media, seconds)
        for done in _checked_segments(media):
            tick((index + done) / len(renditions))
        variants.append(_variant(video, rendition, media))
    for one, other in pairwise(variants):
        _check_aligned(one.media, other.media)
    return variants


def check_whole(video: Video, seconds: float) -> None:
    """Raise `ValidationFailed` where `seconds` is clearly less than the source says it lasts."""
    if video.duration is None:
        return
    missing = video.duration - seconds
    if missing > max(SOURCE_TOLERANCE_SECONDS, SOURCE_TOLERANCE * video.duration):
        raise ValidationFailed(
            f"Only {seconds:.1f} s of the source's {video.duration:.1f} s can be played: it seems to be cut off.",
            field="source",
        )


def first_picture(media: Media, segment: Segment) -> av.VideoFrame:
    """The first picture of a segment, which begins with a key frame. Raises `ValidationFailed`."""
    try:
        data = BytesIO(media.init.read_bytes() + segment.path.read_bytes())
        with av.open(data, "r", format="mp4") as container:
            return next(container.decode(video=0))
    except (FFmpegError, OSError, StopIteration, IndexError) as error:
        raise ValidationFailed(f"{segment.path.name} of {media.path.parent.name} cannot be decoded.") from error


def _check_playlist(media: Media, seconds: float) -> None:
    name = media.path.parent.name
    if not media.segments or not media.ended:
        raise ValidationFailed(f"The playlist of {name} is incomplete.")
    if abs(media.duration - seconds) > LENGTH_TOLERANCE:
        raise ValidationFailed(f"{name} lasts {media.duration:.1f} s instead of {seconds:.1f} s.")
    if any(round(segment.duration) > media.target for segment in media.segments):
        raise ValidationFailed(f"A segment of {name} is longer than the playlist's target duration.")
    try:
        with av.open(str(media.path), "r") as container:
            length = (container.duration or 0) / av.time_base
    except FFmpegError as error:
        raise ValidationFailed(f"The playlist of {name} cannot be opened: {reason(error)}.") from error
    if abs(length - seconds) > LENGTH_TOLERANCE:
        raise ValidationFailed(f"{name} plays for {length:.1f} s instead of {seconds:.1f} s.")


def _checked_segments(media: Media) -> Iterator[float]:
    """Yields the part of the segments that is found to play."""
    shift: float | None = None
    for number, segment in enumerate(media.segments, 1):
        start = first_picture(media, segment).time
        # B-frames make the whole stream begin a little after 0: what counts is that nothing moves within it.
        shift = start if shift is None else shift
        if abs(start - shift - segment.start) > GAP_TOLERANCE:
            raise ValidationFailed(f"{segment.path.name} of {media.path.parent.name} does not follow the one before.")
        yield number / len(media.segments)


def _check_aligned(one: Media, other: Media) -> None:
    starts = zip(one.segments, other.segments, strict=False)
    if len(one.segments) != len(other.segments) or any(abs(a.start - b.start) > GAP_TOLERANCE for a, b in starts):
        raise ValidationFailed("The renditions are not cut at the same places.")


def _variant(video: Video, rendition: Rendition, media: Media) -> Variant:
    return Variant(
        rendition=rendition,
        media=media,
        fps=video.fps,
        codecs=codecs(media.init.read_bytes(), video.audio_codec is not None),
    )
