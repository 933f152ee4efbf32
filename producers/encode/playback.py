"""Decoding of an encoded rendition, segment by segment as a player does it."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import av
from av.video.frame import VideoFrame

from statushub.producers.encode.playlist import Media, Segment


def frames(media: Media, segment: Segment) -> Iterator[VideoFrame]:
    """The video frames of one segment of `media`, the first of which is a key frame.

    Raises libav's errors, `OSError` where a file cannot be read, and `IndexError` where it has no video track.
    """
    data = BytesIO(media.init.read_bytes() + segment.path.read_bytes())
    with av.open(data, "r", format="mp4") as container:
        yield from container.decode(video=0)
