"""The bitrate ladder: the renditions that a source gets, its own resolution at most and smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

RENDITIONS_MIN: Final = 2
"""With one rendition a player cannot adapt to its connection, so a small source gets one below its own size."""

SIDE_MIN: Final = 32
"""Shortest side, in pixels, of a source that gets a smaller rendition; half of it would show nothing."""

BITRATE_MIN: Final = 100_000
"""Bits a second. Scaling by area would leave a very small rendition with too few to show anything."""


class Rung(msgspec.Struct, frozen=True):
    """A step of the ladder: the shorter side in pixels, and the maximum bit rate in bits a second."""

    side: int
    bitrate: int


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """One quality to encode; width and height are even, as 4:2:0 requires; `bitrate` is in bits a second."""

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
"""Sizes and rates in common use for H.264 (Apple's HLS authoring specification, section 1, has similar ones)."""


def renditions(width: int, height: int, ladder: Sequence[Rung] = LADDER) -> list[Rendition]:
    """The renditions of a source of `width` x `height` square pixels, after rotation; largest first.

    None is larger than the source. A rung counts the shorter side, so that a portrait video of 1080 x 1920 gets
    the 1080p rung.
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
    return Rung(side, max(BITRATE_MIN, int(nearest.bitrate * (side / nearest.side) ** 2)))


def _rendition(rung: Rung, width: int, height: int) -> Rendition:
    scale = rung.side / min(width, height)
    return Rendition(
        name=f"{rung.side}p",
        width=_even(width * scale, width),
        height=_even(height * scale, height),
        bitrate=rung.bitrate,
    )


def _even(length: float, limit: int) -> int:
    """The nearest even length that does not exceed `limit`; at least 2."""
    even = round(length / 2) * 2
    return max(2, even if even <= limit else even - 2)
