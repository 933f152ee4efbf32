"""Pictures as they are meant to be seen: turned upright, and without the lines of interlacing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from av.filter import Graph
from av.video.frame import VideoFrame

_TURNS: Final[Mapping[int, tuple[tuple[str, str], ...]]] = {
    0: (),
    90: (("transpose", "cclock"),),
    180: (("hflip", ""), ("vflip", "")),
    270: (("transpose", "clock"),),
}


class OrientationFilter:
    """Turns frames by `rotation` degrees counter-clockwise (0, 90, 180, 270); deinterlaces where asked."""

    def __init__(self, rotation: int, interlaced: bool) -> None:
        deinterlace = (("yadif", "deint=interlaced"),) if interlaced else ()
        self._filters = deinterlace + _TURNS[rotation]
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None

    def turn(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """`frame`, upright. Deinterlacing looks ahead, so a picture may come out at the next call; None: the last."""
        if not self._filters and frame is not None:
            yield frame
            return
        graph = self._graph if frame is None else self._graph_for(frame)
        if graph is None:
            return
        graph.push(frame)
        yield from _pulled(graph)

    def _graph_for(self, frame: VideoFrame) -> Graph:
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None or kind != self._kind:
            self._kind, self._graph = kind, self._build(frame)
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


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, EOFError):
            return
        if isinstance(frame, VideoFrame):
            yield frame
