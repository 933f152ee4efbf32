"""Decoding of an encoded rendition, segment by segment as a player does it."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import av
import msgspec
from av.container import InputContainer
from av.video.frame import VideoFrame

from statushub.producers.encode.playlist import Media, Segment


class Held(msgspec.Struct, frozen=True):
    """What a segment holds: the time of its first frame, in seconds, and its numbers of packets."""

    start: float
    video: int
    audio: int


def held(media: Media, segment: Segment) -> Held:
    """What one segment of `media` holds. Raises what `frames` does, and `StopIteration` where it has no frame."""
    with _opened(media, segment) as container:
        start = next(container.decode(video=0)).time
    video, audio = 0, 0
    with _opened(media, segment) as container:
        for packet in container.demux():
            # The last packets are empty: they would flush a decoder.
            video += packet.size > 0 and packet.stream.type == "video"
            audio += packet.size > 0 and packet.stream.type == "audio"
    return Held(start, video, audio)


def frames(media: Media, segment: Segment) -> Iterator[VideoFrame]:
    """The video frames of one segment of `media`, the first of which is a key frame.

    Raises libav's errors, `OSError` where a file cannot be read, and `IndexError` where it has no video track.
    """
    with _opened(media, segment) as container:
        yield from container.decode(video=0)


def _opened(media: Media, segment: Segment) -> InputContainer:
    return av.open(BytesIO(media.init.read_bytes() + segment.path.read_bytes()), "r", format="mp4")
