"""The columns of a watch's table, for any width."""

from __future__ import annotations

from typing import Final

import msgspec

from statushub.hub.cli.duration import CHARACTERS

NARROW: Final = 60
"""Narrower than this there is no room for a bar beside the name and the step; the percentage says the same."""

PERCENT_CELLS: Final = 4


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """How many cells each column has; 0 is none. Between two is a blank."""

    channel: int
    title: int
    bar: int
    detail: int
    """The step; where this is negative there is no room for it."""
    left: int

    @property
    def names(self) -> int:
        """The cells up to the bar, blanks included."""
        return self.title + 1 + (self.channel + 1 if self.channel else 0)


def columns(width: int, *, channels: bool) -> Columns:
    """The columns of a terminal of `width` cells, with one for the channel where `channels`."""
    narrow = width < NARROW
    channel = min(max(width * 3 // 20, 8), 24) if channels else 0
    title = min(max(width * 3 // 10, 10), 40)
    bar = 0 if narrow else min(width // 8, 40)
    left = 0 if narrow and channels else CHARACTERS
    taken = sum(cells + 1 for cells in (channel, title, bar, PERCENT_CELLS, left) if cells)
    return Columns(channel=channel, title=title, bar=bar, detail=width - taken, left=left)
