"""The place in a trace of what publishes a status, carried in its data (W3C Trace Context, level 1). No I/O."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from statushub.hub.model.line import one_line

TRACEPARENT: Final = "traceparent"
"""The field of a status, and the header of a request."""

_KEY: Final = f'"{TRACEPARENT}"'.encode()
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.ASCII)
_INVALID: Final = "ff"
"""A version that there never is; of later ones than 00 the first four parts are read, as the specification demands."""

_SAMPLED: Final = 0x01


class _Carrier(msgspec.Struct):
    traceparent: Any = None


_decoder = msgspec.json.Decoder(_Carrier)
_whole_decoder = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


class TraceParent(msgspec.Struct, frozen=True, kw_only=True):
    """A span of a trace; `sampled` tells whether it is recorded, and what follows it should be."""

    trace_id: int
    span_id: int
    sampled: bool

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"


def parse(text: object) -> TraceParent | None:
    """The span that a header or a field names; None where it names none."""
    form = _FORM.fullmatch(text) if isinstance(text, str) else None
    if form is None or form[1] == _INVALID or (form[1] == "00" and form.end(4) != len(form[0])):
        return None
    trace_id, span_id = int(form[2], 16), int(form[3], 16)
    if not trace_id or not span_id:
        return None
    return TraceParent(trace_id=trace_id, span_id=span_id, sampled=bool(int(form[4], 16) & _SAMPLED))


def carried(data: bytes) -> TraceParent | None:
    """The span that a status was published in; None where its data name none."""
    if _KEY not in data:
        return None
    try:
        return parse(_decoder.decode(data).traceparent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def carrying(data: bytes, parent: TraceParent) -> bytes:
    """The data of a checked status, with this span as the one that it was published in."""
    return one_line(_encode({**_whole_decoder.decode(data), TRACEPARENT: str(parent)}))
