"""Rotation and deinterlacing: frames as a player shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Final

from av.filter import Graph
from av.video.frame import VideoFrame

_Filters = tuple[tuple[str, str], ...]
"""ffmpeg filters: their names and arguments."""

_ROTATIONS: Final[Mapping[int, _Filters]] = {
    0: (),
    90: (("transpose", "cclock"),),
    180: (("hflip", ""), ("vflip", "")),
    270: (("transpose", "clock"),),
}


class OrientationFilter:
    """Rotates frames by `rotation` degrees counter-clockwise (0, 90, 180, 270), and deinterlaces on request."""

    def __init__(self, rotation: int, interlaced: bool) -> None:
        deinterlace = (("yadif", "deint=interlaced"),) if interlaced else ()
        self._filters: _Filters = deinterlace + _ROTATIONS[rotation]
        self._graph: Graph | None = None
        self._format: tuple[int, int, str] | None = None

    def apply(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Take the source's next frame, or None at its end; yields the filtered frames.

        Deinterlacing looks ahead: a frame may be yielded by the next call.
        """
        if not self._filters and frame is not None:
            yield frame
            return
        graph = self._graph if frame is None else self._graph_for(frame)
        if graph is None:
            return
        graph.push(frame)
        with suppress(BlockingIOError, EOFError):
            while True:
                yield graph.vpull()

    def _graph_for(self, frame: VideoFrame) -> Graph:
        frame_format = (frame.width, frame.height, frame.format.name)
        if self._graph is None or frame_format != self._format:
            self._format, self._graph = frame_format, self._build(frame)
        return self._graph

    def _build(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        nodes = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base or Fraction(1, 90_000),
            ),
            *(graph.add(name, arguments or None) for name, arguments in self._filters),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph
