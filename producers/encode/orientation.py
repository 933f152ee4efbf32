"""Rotation, mirroring and deinterlacing: frames as a player shows them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any, Final

import msgspec
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

_Filters = tuple[tuple[str, str], ...]
"""ffmpeg filters: their names and arguments."""

_TRANSPOSITIONS: Final[Mapping[tuple[bool, bool], str]] = {
    (False, False): "cclock_flip",
    (True, False): "clock",
    (False, True): "cclock",
    (True, True): "clock_flip",
}
"""The arguments of the filter `transpose`, which rotates by a quarter: by whether the result is mirrored, flipped."""


class Orientation(msgspec.Struct, frozen=True):
    """How to turn a frame: rows become columns where it is transposed, then left and right or top and bottom swap."""

    transposed: bool = False
    mirrored: bool = False
    """Left and right swap."""
    flipped: bool = False
    """Top and bottom swap."""


def orientation(frame: VideoFrame) -> Orientation:
    """The orientation that the display matrix of `frame` asks for, to the nearest quarter of a turn."""
    matrix: Any = frame.side_data.get(Type.DISPLAYMATRIX.name)
    if matrix is None:
        return Orientation()
    # x' = a x + c y, y' = b x + d y
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def _filters(turn: Orientation) -> _Filters:
    if turn.transposed:
        return (("transpose", _TRANSPOSITIONS[turn.mirrored, turn.flipped]),)
    return ((("hflip", ""),) if turn.mirrored else ()) + ((("vflip", ""),) if turn.flipped else ())


class OrientationFilter:
    """Turns frames upright, and deinterlaces on request."""

    def __init__(self, turn: Orientation, interlaced: bool) -> None:
        deinterlace = (("yadif", "deint=interlaced"),) if interlaced else ()
        self._filters: _Filters = deinterlace + _filters(turn)
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
