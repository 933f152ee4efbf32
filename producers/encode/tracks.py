"""The tracks of a source that are encoded: one picture and one sound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from statushub.producers.encode.errors import ContentLost

S = TypeVar("S", VideoStream, AudioStream)


def video_track(container: InputContainer) -> VideoStream | None:
    """The video track that a player would show; of a song with a cover image, that image."""
    tracks = [track for track in container.streams.video if _decodable(track)]
    return _preferred(track for track in tracks if not is_cover(track)) or next(iter(tracks), None)


def audio_track(container: InputContainer) -> AudioStream | None:
    """The audio track that a player would play.

    Raises `ContentLost` where there are some of which none can be decoded: the result would be silent.
    """
    tracks = container.streams.audio
    found = _preferred(track for track in tracks if _decodable(track))
    if tracks and found is None:
        raise ContentLost("The source's sound is lost: none of its audio tracks has a known codec.", field="source")
    return found


def is_cover(track: VideoStream) -> bool:
    """Whether `track` is the cover image of a song or film."""
    return bool(track.disposition & Disposition.attached_pic)


def _decodable(track: VideoStream | AudioStream) -> bool:
    # PyAV has no context for a codec that it does not know, contrary to its types.
    context: object = track.codec_context
    return context is not None


def _preferred(tracks: Iterable[S]) -> S | None:
    """The first track that the file calls its default, otherwise the first."""
    found = list(tracks)
    defaults = (track for track in found if track.disposition & Disposition.default)
    return next(defaults, None) or next(iter(found), None)
