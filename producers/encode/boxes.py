"""The boxes of an MP4 file (ISO/IEC 14496-12): whether it is several files, one after the other."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from statushub.producers.encode.errors import ContentLost

BOXES_MAX: Final = 1_000_000
"""Boxes that are looked at: a recording in fragments has one or two a second."""

_HEADER: Final = struct.Struct(">I4s")
_LARGE_HEADER: Final = struct.Struct(">Q")


def check_single(path: Path) -> None:
    """Raise `ContentLost` where the MP4 file at `path` has a second index, of which players and libav know nothing.

    Files in fragments may be joined: each fragment has an index of its own.
    """
    found = list(_kinds(path))
    if found.count(b"moov") > 1 and b"moof" not in found:
        text = "The source is several MP4 files one after the other, of which all but the first would be lost."
        raise ContentLost(text, field="source")


def _kinds(path: Path) -> Iterator[bytes]:
    """The types of the outermost boxes, up to one that is damaged."""
    with path.open("rb") as file:
        for _ in range(BOXES_MAX):
            start = file.tell()
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            size, kind = _HEADER.unpack(header)
            yield kind
            if size == 1:
                large = file.read(_LARGE_HEADER.size)
                size = _LARGE_HEADER.unpack(large)[0] if len(large) == _LARGE_HEADER.size else 0
            if size < _HEADER.size:
                # 0: up to the end of the file.
                return
            file.seek(start + size)
