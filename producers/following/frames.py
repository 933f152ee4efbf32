"""A parser of Server-Sent Events (HTML standard, section 9.2.6). It does no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

FRAME_BYTES: Final = 16 * 1024 * 1024
"""Longest frame that is read: a hub's has under 64 KiB, straight publishers may store more; beyond it is no stream."""

# A CR at the end of what has arrived may be the first half of a CR LF.
_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?!\Z)")
_decoder: Final = msgspec.json.Decoder(dict[str, Any])
_BOM: Final = b"\xef\xbb\xbf"


class TooLong(ValueError):
    """Raised where a frame exceeds `FRAME_BYTES`."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has arrived whole, its blank line included. `id` is None where it has none, `retry` in seconds."""

    event: str = ""
    data: str = ""
    id: str | None = None
    retry: float | None = None

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object in the data, as `json_object`."""
        return json_object(self.data)


class Frames:
    """The frames of one response body, however it is cut into parts."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._began = False

    def feed(self, portion: bytes) -> Iterator[Frame]:
        """The frames that this part of the body completes. Raises `TooLong`."""
        *lines, self._rest = _LINE_END.split(self._rest + portion)
        for line in lines:
            if not self._began:
                line, self._began = line.removeprefix(_BOM), True
            if line:
                self._lines.append(line)
                self._size += len(line)
            elif self._lines:
                yield _frame(self._lines)
                self._lines, self._size = [], 0
        if self._size + len(self._rest) > FRAME_BYTES:
            raise TooLong(f"a frame has more than {FRAME_BYTES} bytes")


def _frame(lines: list[bytes]) -> Frame:
    event, data, id, retry = "", [], None, None
    for line in lines:
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 12:
            retry = int(value) / 1000
    return Frame(event=event, data="\n".join(data), id=id, retry=retry)


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in `text`, which any producer or server may have written; empty where it is not one."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
