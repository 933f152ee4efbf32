"""Whether a loop was left on purpose: what a generator cannot see when it is closed."""

from __future__ import annotations

import opcode
from types import FrameType
from typing import Final

_PURPOSE: Final = frozenset(
    opcode.opmap[name]
    for name in ("POP_TOP", "POP_ITER", "RETURN_VALUE", "RETURN_CONST", "SWAP")
    if name in opcode.opmap
)
"""The instructions at which a frame drops a loop's iterator for `break` and `return`. An exception drops it at the
instruction that raised, which is none of these: they do not raise."""


def on_purpose(frame: FrameType | None) -> bool:
    """Whether `frame`, which has just dropped the iterator of its loop, did so by `break` or `return`."""
    return frame is not None and frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] in _PURPOSE
