"""Validation of a result: every playlist is opened again, and the first frame of every segment decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
from av.error import FFmpegError

from statushub.producers.encode.audio import FRAME_SAMPLES, RATE
from statushub.producers.encode.errors import ValidationFailed
from statushub.producers.encode.ladder import Rendition
from statushub.producers.encode.playback import Held, held
from statushub.producers.encode.playlist import MEDIA, Media, Segment, Variant, codecs, read
from statushub.producers.encode.probe import Video
from statushub.producers.encode.progress import OnProgress
from statushub.producers.encode.result import Written
from statushub.producers.sources.errors import reason

DURATION_TOLERANCE: Final = 0.5
"""Seconds by which a playlist may differ from what was encoded: audio ends between two frames."""

AUDIO_TOLERANCE: Final = 4 * FRAME_SAMPLES
"""Samples by which a rendition's sound may differ from what was encoded: AAC begins with a frame or two of silence, and
its last frame is filled up."""

GAP_TOLERANCE: Final = 0.1
"""Seconds between two segments; players bridge as much without a visible pause."""


def validate(
    video: Video, renditions: Sequence[Rendition], folder: Path, written: Written, on_progress: OnProgress
) -> list[Variant]:
    """Check every rendition in `folder`, which holds `written`; returns them for the master playlist.

    Raises `ValidationFailed`.
    """
    variants = []
    for index, rendition in enumerate(renditions):
        media = read(folder / rendition.name / MEDIA)
        _check_playlist(media, written.seconds)
        found = []
        for each in _checked_segments(media):
            found.append(each)
            on_progress((index + len(found) / len(media.segments)) / len(renditions))
        _check_count(media, found, written)
        variants.append(_variant(video, rendition, media))
    for one, other in pairwise(variants):
        _check_aligned(one.media, other.media)
    return variants


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


def _checked_segments(media: Media) -> Iterator[Held]:
    """Yields what each segment holds, once it has been checked."""
    shift: float | None = None
    for segment in media.segments:
        found = _held(media, segment)
        # B-frames delay the whole stream by a few frames; what counts is that nothing moves within it.
        shift = found.start if shift is None else shift
        if abs(found.start - shift - segment.start) > GAP_TOLERANCE:
            raise ValidationFailed(f"{segment.path.name} of {media.path.parent.name} does not follow the one before.")
        yield found


def _check_count(media: Media, found: Sequence[Held], written: Written) -> None:
    video, audio = sum(each.video for each in found), sum(each.audio for each in found) * FRAME_SAMPLES
    name = media.path.parent.name
    if video != written.frames:
        raise ValidationFailed(f"{name} has {video} frames instead of {written.frames}.")
    if abs(audio - written.samples) > AUDIO_TOLERANCE:
        raise ValidationFailed(f"{name} has {audio / RATE:.1f} s of sound instead of {written.samples / RATE:.1f} s.")


def _held(media: Media, segment: Segment) -> Held:
    try:
        return held(media, segment)
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
