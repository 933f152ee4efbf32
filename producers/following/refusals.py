"""Answers that are not what was asked for, as errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from statushub.hub.model import errors
from statushub.hub.model.errors import StatushubError
from statushub.hub.model.redaction import censored
from statushub.producers.following.link import Answer, Refused
from statushub.producers.retry_after import RETRIED, retry_after
from statushub.producers.transports import Busy, Denied

BODY_BYTES: Final = 64 * 1024
"""How much of an error's body is read: a hub's has a few hundred bytes, and a server may send on for ever."""

FINAL: Final[Mapping[str, type[StatushubError]]] = {
    kind.code: kind
    for kind in (
        errors.Invalid,
        errors.Malformed,
        errors.TooLarge,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.UpgradeRequired,
        errors.HeadTooLarge,
    )
}
"""The codes of a hub after which the same request is never answered otherwise. A proxy's refusal has no code."""


class Unrecognized(Denied):
    """Raised where a proxy refuses the token: a fresh one may help."""


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""
    field: str | None = None


class _Body(msgspec.Struct, frozen=True):
    error: _Error = _Error()


_decoder = msgspec.json.Decoder(_Body)


async def refusal(answer: Answer, name: str) -> StatushubError:
    """The error that the hub, called `name`, answers: one of `FINAL`; `Busy` and `Refused` for what passes; `Denied`
    for what does not by itself, such as the page of a proxy. Raises `BrokerUnavailable`."""
    error, status = _decoded(await _beginning(answer)), answer.status
    message = f"{name} answers {status}: {censored(error.message or answer.reason)}"
    if status >= 500 or status in RETRIED:
        seconds = retry_after(answer.header("retry-after"))
        return Refused(message) if seconds is None else Busy(message, retry_after=seconds)
    if (kind := FINAL.get(error.code)) is not None:
        return kind(message, field=error.field)
    return Unrecognized(message) if status == 401 else Denied(message)


async def _beginning(answer: Answer) -> bytes:
    body = b""
    while len(body) < BODY_BYTES and (portion := await answer.read()):
        body += portion
    return body


def _decoded(body: bytes) -> _Error:
    try:
        return _decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Error()
