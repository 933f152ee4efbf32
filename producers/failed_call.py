"""A hub's answer that is an error, as the exception that says what to do about it."""

from __future__ import annotations

from typing import Final

import msgspec

from statushub.hub.model.errors import BrokerUnavailable, Invalid, StatushubError, TooLarge
from statushub.hub.model.redaction import censored
from statushub.producers.retry_after import RETRIED, retry_after
from statushub.producers.transports import Busy, Denied

REQUEST_ENTITY_TOO_LARGE: Final = 413


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    field: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    error: _Error = _Error()


_decoder = msgspec.json.Decoder(_Answer)


def failed(hub: str, status: int, phrase: str, answer: bytes, pause: str | None) -> StatushubError:
    """The error for an answer of `hub` with this status, reason phrase and body; `pause` is its `Retry-After`."""
    try:
        error = _decoder.decode(answer).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = _Error()  # a proxy's page
    message = f"{hub} answers {status}: {censored(error.message or phrase)}"
    if status == REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(message, field=error.field)
    if status in (400, 422):
        return Invalid(message, field=error.field)
    if status >= 500 or status in RETRIED:
        seconds = retry_after(pause)
        return BrokerUnavailable(message) if seconds is None else Busy(message, retry_after=seconds)
    return Denied(message)
