"""The picture that stands for a video before it plays."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from statushub.producers.encode.errors import TranscodeFailed
from statushub.producers.encode.playlist import Media, Segment
from statushub.producers.encode.progress import Tick

POSTER: Final = "poster.jpg"

SAMPLES: Final = 8
"""Pictures looked at, evenly over the video: enough to get past titles, fades and black."""

GRAY: Final = (32, 18)
"""Size a sample is judged at; smaller than any detail, larger than any mood."""

QUALITY: Final = "3"
"""JPEG's quantiser, 2 to 31: at 3 nobody sees it."""

FULL_RANGE: Final = 2
"""libav's code for luma of 0 to 255, which JPEG has."""


def poster(small: Media, large: Media, folder: Path, tick: Tick) -> Path:
    """Write `folder/poster.jpg`: of `SAMPLES` moments the one with the richest picture, in `large`'s size.

    The choice is made on `small`, the cheapest rendition. Raises `TranscodeFailed`.
    """
    moments = [(place + 0.5) / SAMPLES * small.duration for place in range(SAMPLES)]
    best, richest = moments[0], -1.0
    for number, moment in enumerate(moments, 1):
        found = richness(picture_at(small, moment))
        if found > richest:
            best, richest = moment, found
        tick(number / (SAMPLES + 1))
    path = folder / POSTER
    path.write_bytes(jpeg(picture_at(large, best)))
    return path


def richness(frame: VideoFrame) -> float:
    """How much there is to see: the spread of brightness. A black, white or faded picture has little."""
    gray = frame.reformat(*GRAY, "gray")
    plane = gray.planes[0]
    pixels, width = bytes(plane), plane.line_size
    return statistics.pstdev(b"".join(pixels[row * width : row * width + GRAY[0]] for row in range(GRAY[1])))


def picture_at(media: Media, moment: float) -> VideoFrame:
    """The picture shown `moment` seconds into the rendition. Raises `TranscodeFailed` where there is none."""
    segment = [each for each in media.segments if each.start <= moment][-1]
    picture, began = None, None
    for frame in _pictures(media, segment):
        began = frame.time if began is None else began
        if picture is not None and frame.time - began > moment - segment.start:
            break
        picture = frame
    if picture is None:
        raise TranscodeFailed("No picture could be taken from the video.")
    return picture


def jpeg(frame: VideoFrame) -> bytes:
    """`frame` as a JPEG file."""
    fitted = frame.reformat(format="yuvj420p", dst_color_range=FULL_RANGE)
    fitted.pts, fitted.time_base = 0, Fraction(1)
    encoder: VideoCodecContext = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = fitted.width, fitted.height, "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.color_range = FULL_RANGE
    encoder.options = {"qmin": QUALITY, "qmax": QUALITY}
    return b"".join(bytes(packet) for packet in [*encoder.encode(fitted), *encoder.encode(None)])


def _pictures(media: Media, segment: Segment) -> Iterator[VideoFrame]:
    data = BytesIO(media.init.read_bytes() + segment.path.read_bytes())
    with av.open(data, "r", format="mp4") as container:
        yield from container.decode(video=0)
