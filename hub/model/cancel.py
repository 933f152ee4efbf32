"""Requests to cancel a work. The broker keeps one beside the data of its content, and readers see both together."""

from __future__ import annotations

from typing import Final

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.hub.model.line import one_line

REASON_CHARACTERS: Final = 500
"""Longest reason: some sentences. Beside the largest data it still fits into a frame of 64 KiB."""

CANCEL_REQUESTED: Final = "cancel_requested"
"""The field of a state that has the request."""


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked for a work to be cancelled (a token's subject, or None), when (ISO 8601), and why."""

    by: str | None
    at: str
    reason: str | None


class _State(msgspec.Struct):
    cancel_requested: CancelRequest | None = None


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(CancelRequest)
_state_decoder = msgspec.json.Decoder(_State)


def encode(request: CancelRequest) -> bytes:
    """The request as the broker keeps it: JSON without control characters."""
    return one_line(_encode(request))


def decode(data: bytes) -> CancelRequest | None:
    """The request in `data`; None where they are none."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def composed(data: bytes, request: bytes) -> bytes:
    """The state of a content whose cancellation was requested: its data, which are not parsed, with the request as
    their last field. Data that are no JSON object are left as they are."""
    body = data.rstrip()
    if not body.endswith(b"}"):
        return data
    fields = body[:-1].rstrip()
    comma = b"" if fields.endswith(b"{") else b","
    return b'%b%b"%b":%b}' % (fields, comma, CANCEL_REQUESTED.encode(), request)


def requested(data: bytes) -> CancelRequest | None:
    """The request in a state of `composed`; None where there is none."""
    try:
        return _state_decoder.decode(data).cancel_requested
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def check_reason(value: str | None) -> str | None:
    """Raise `Invalid` where it is too long, or has other than printable characters."""
    if value is not None and not (len(value) <= REASON_CHARACTERS and value.isprintable()):
        raise Invalid(f"reason may have at most {REASON_CHARACTERS} printable characters", field="reason")
    return value or None
