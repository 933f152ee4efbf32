"""The poster: the image that stands for a video before it plays."""

from __future__ import annotations

import statistics
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from statushub.producers.encode.errors import TranscodeFailed
from statushub.producers.encode.playback import frames
from statushub.producers.encode.playlist import Media
from statushub.producers.encode.progress import OnProgress

POSTER: Final = "poster.jpg"

SAMPLES: Final = 8
"""Frames compared, evenly over the video: enough to get past titles, fades and black."""

GRAY_SIZE: Final = (32, 18)
"""Width and height at which a sample is compared: light and dark areas remain, details do not count."""

QUALITY: Final = "3"
"""JPEG's quantiser, 2 to 31: at 3 the loss is invisible."""

FULL_RANGE: Final = 2
"""libav's code for luma of 0 to 255, as JPEG has it."""


def poster(small: Media, large: Media, folder: Path, on_progress: OnProgress) -> Path:
    """Write `folder/poster.jpg`: of `SAMPLES` moments the one with the most contrast, in `large`'s size.

    The samples are taken from `small`, the cheapest rendition to decode. Raises `TranscodeFailed`.
    """
    moments = [(index + 0.5) / SAMPLES * small.duration for index in range(SAMPLES)]
    best, highest = moments[0], -1.0
    for number, moment in enumerate(moments, 1):
        found = contrast(frame_at(small, moment))
        if found > highest:
            best, highest = moment, found
        on_progress(number / (SAMPLES + 1))
    path = folder / POSTER
    path.write_bytes(jpeg(frame_at(large, best)))
    return path


def contrast(frame: VideoFrame) -> float:
    """The standard deviation of brightness, 0 to 127.5. A black, white or faded frame has little."""
    gray = frame.reformat(*GRAY_SIZE, "gray")
    plane = gray.planes[0]
    pixels, width = bytes(plane), plane.line_size
    rows = (pixels[row * width : row * width + gray.width] for row in range(gray.height))
    return statistics.pstdev(b"".join(rows))


def frame_at(media: Media, moment: float) -> VideoFrame:
    """The frame shown `moment` seconds into the rendition. Raises `TranscodeFailed` where there is none."""
    segment = [each for each in media.segments if each.start <= moment][-1]
    shown, began = None, None
    for frame in frames(media, segment):
        began = frame.time if began is None else began
        if shown is not None and frame.time - began > moment - segment.start:
            break
        shown = frame
    if shown is None:
        raise TranscodeFailed("The video has no frame for its poster.")
    return shown


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
