"""Which renditions a source gets: its own quality at most, and smaller ones for smaller connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

RENDITIONS_MIN: Final = 2
"""With one rendition a player cannot adapt, so small sources get one below themselves."""

SIDE_MIN: Final = 32
"""Shortest side that is worth a smaller rendition; below it there is nothing left to see."""


class Rung(msgspec.Struct, frozen=True):
    """A step of the ladder: the picture's shorter side in pixels, and the most bits a second it may take."""

    side: int
    bitrate: int


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """One quality to encode; width and height are even, as 4:2:0 pictures must be."""

    name: str
    width: int
    height: int
    bitrate: int


LADDER: Final = (
    Rung(1080, 5_000_000),
    Rung(720, 2_800_000),
    Rung(480, 1_400_000),
    Rung(360, 800_000),
    Rung(240, 400_000),
)
"""Sizes and rates in common use for H.264 (Apple's HLS authoring specification, section 1, has the like)."""


def renditions(width: int, height: int, ladder: Sequence[Rung] = LADDER) -> list[Rendition]:
    """The renditions of a source of `width` x `height` upright, square pixels; largest first, none larger than it.

    A rung counts the shorter side, so that an upright phone video of 1080 x 1920 gets the 1080p rung.
    """
    side = min(width, height)
    rungs = sorted((rung for rung in ladder if rung.side <= side), key=lambda rung: -rung.side)
    if not rungs or (len(rungs) < RENDITIONS_MIN and rungs[0].side < side):
        rungs.insert(0, _scaled(max(2, side // 2 * 2), ladder))
    if len(rungs) < RENDITIONS_MIN and side >= SIDE_MIN:
        rungs.append(_scaled(rungs[-1].side // 4 * 2, ladder))
    return [_rendition(rung, width, height) for rung in rungs]


def _scaled(side: int, ladder: Sequence[Rung]) -> Rung:
    nearest = min(ladder, key=lambda rung: abs(rung.side - side))
    return Rung(side, max(100_000, int(nearest.bitrate * (side / nearest.side) ** 2)))


def _rendition(rung: Rung, width: int, height: int) -> Rendition:
    scale = rung.side / min(width, height)
    return Rendition(
        name=f"{rung.side}p",
        width=_even(width * scale, width),
        height=_even(height * scale, height),
        bitrate=rung.bitrate,
    )


def _even(length: float, limit: int) -> int:
    """The nearest even length that is not larger than the source's; at least 2."""
    even = round(length / 2) * 2
    return max(2, even if even <= limit else even - 2)
