"""A parser of event streams from a socket: HTTP chunks, then frames. It does no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec


class Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One frame, with its fields as sent."""

    event: str | None = None
    id: str | None = None
    data: str = ""
    retry: int | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def offset(self) -> int:
        return int((self.id or "").rpartition("-")[2])


class Frames:
    """The frames of one response body; `ended` is true once the last chunk has arrived."""

    def __init__(self, *, chunked: bool) -> None:
        self.ended = False
        self._chunked = chunked
        self._raw = b""
        self._text = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete.

        Raises `ValueError` where the bytes are malformed, or a frame is one that clients take differently.
        """
        if self._chunked:
            self._raw += data
            self._text += b"".join(self._chunks())
        else:
            self._text += data
        *frames, self._text = self._text.split(b"\n\n")
        return [_frame(frame.decode(errors="replace")) for frame in frames]

    def _chunks(self) -> Iterator[bytes]:
        start = 0
        while not self.ended and (line_end := self._raw.find(b"\r\n", start)) >= 0:
            size = int(self._raw[start:line_end], 16)
            end = line_end + 2 + size
            if len(self._raw) < end + 2:
                break
            if self._raw[end : end + 2] != b"\r\n":
                raise ValueError(f"a chunk ends with {self._raw[end : end + 2]!r}")
            self.ended = not size
            yield self._raw[line_end + 2 : end]
            start = end + 2
        self._raw = self._raw[start:]


def _frame(text: str) -> Frame:
    fields: dict[str, Any] = {}
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        fields[name] = value.removeprefix(" ")
    if text.splitlines() != text.split("\n"):
        raise ValueError(f"some clients end a line where no LF is: {text!r}")
    if "data" not in fields:
        raise ValueError(f"some clients dispatch a frame without data, and others drop its fields: {text!r}")
    if "id" in [*fields][:-1]:
        raise ValueError(f"an id before other fields is taken although the frame may be cut: {text!r}")
    if "retry" in fields:
        fields["retry"] = int(fields["retry"])
    return Frame(**fields)
