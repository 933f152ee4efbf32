"""A sample clip for an encoder: ffmpeg's test pattern with a time code, and a tone that beeps each second.

Needs the optional extra: `pip install 'statushub[encode]'`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from statushub.extras import required

with required("statushub.producers.clip"):
    import av
    from av.audio.frame import AudioFrame
    from av.filter import Graph
    from av.video.frame import VideoFrame

FPS: Final = 30
"""Video frames a second."""

SAMPLE_RATE: Final = 48_000
"""Samples a second."""


def write_clip(path: Path, *, seconds: float = 10.0, width: int = 1280, height: int = 720) -> Path:
    """Write a clip of H.264 and AAC to `path`, whose suffix names the container, and return the path.

    `width` and `height` are in pixels, and even. Raises libav's errors.
    """
    images = generate(f"testsrc2=size={width}x{height}:rate={FPS}:duration={seconds}", "format=yuv420p", "buffersink")
    sounds = generate(
        f"sine=frequency=220:beep_factor=4:sample_rate={SAMPLE_RATE}:duration={seconds}",
        "aformat=sample_fmts=fltp:channel_layouts=stereo",
        "abuffersink",
    )
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "20"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE)
        audio.layout = "stereo"
        # In order of time, so that the muxer interleaves the tracks.
        for frame in heapq.merge(images, sounds, key=lambda frame: frame.time or 0.0):
            container.mux(video.encode(frame) if isinstance(frame, VideoFrame) else audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def generate(*filters: str) -> Iterator[VideoFrame | AudioFrame]:
    """The frames that a chain of `filters` makes without an input.

    Each filter is `name=arguments` in ffmpeg's syntax; the last is the sink. Raises libav's errors.
    """
    graph = Graph()
    chain = [each.partition("=") for each in filters]
    graph.link_nodes(*(graph.add(name, arguments or None) for name, _, arguments in chain)).configure()
    with suppress(EOFError):
        while True:
            yield graph.pull()
