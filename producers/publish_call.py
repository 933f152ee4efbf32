"""The call `POST /api/publish`: its headers, its body, and its answer as receipts. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from statushub.hub import __version__
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, ConfigError, Invalid
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal

PATH: Final = "/api/publish"

ANSWER_SECONDS: Final = 5.0
"""How long a hub's answer may take before it counts as lost. A repeat does no harm, so that it need not be long."""

CALL_SECONDS: Final = 15.0
"""How long a call may take whole, from the lookup of the name to the last byte, which may come one by one."""

HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json", "User-Agent": f"statushub/{__version__}"}


class _Result(msgspec.Struct, frozen=True):
    accepted: bool
    cursor: str | None = None
    attempt: int | None = None
    reason: Refusal | None = None
    channel: str | None = None
    seq: int | None = None
    cancel_requested: CancelRequest | None = None


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Answer)


def bearer(token: str) -> dict[str, str]:
    """The header with a token. Raises `ConfigError` where no header can hold it."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError("the token may contain only printable ASCII characters", field="token")
    return {"Authorization": f"Bearer {token}"}


def body(publications: Sequence[Publication]) -> bytes:
    """The body that publishes these."""
    return _encoder.encode({"events": [_event(it) for it in publications]})


def receipts(answer: bytes, expected: int, hub: str) -> list[Receipt]:
    """The receipts in the answer of `hub` to so many publications, in their order. Raises `BrokerUnavailable` where
    the answer has others."""
    try:
        found = [_receipt(result) for result in _decoder.decode(answer).results]
    except (msgspec.DecodeError, UnicodeDecodeError, Invalid) as error:
        raise BrokerUnavailable(f"{hub} is not a hub, or of another version: {error}") from error
    if len(found) != expected:
        raise BrokerUnavailable(f"{hub} answered {len(found)} of {expected} events")
    return found


def _event(publication: Publication) -> dict[str, Any]:
    optional = {
        "attempt": publication.attempt,
        "seq": publication.seq,
        "lease": publication.lease,
        "run": publication.run,
        "age_ms": publication.age_ms or None,
        "restart": publication.restart or None,
    }
    return {
        "channel": publication.channel,
        "content_id": publication.content_id,
        **_said(publication),
        **{key: value for key, value in optional.items() if value is not None},
    }


def _said(publication: Publication) -> dict[str, Any]:
    delta = publication.delta
    if delta is None:
        return {"type": publication.type, "data": msgspec.Raw(publication.data)}
    sets = {name: msgspec.Raw(value) for name, value in delta.sets.items()}
    appends = {name: msgspec.Raw(it.value) for name, it in delta.appends.items()}
    return {"delta": {"follows": delta.follows, "set": sets, "append": appends}}


def _receipt(result: _Result) -> Receipt:
    if result.accepted:
        cursor = Cursor.parse(result.cursor or "", field="cursor")
        return Receipt(cursor=cursor, attempt=result.attempt, cancel=result.cancel_requested)
    if result.reason is None:
        raise Invalid("a refusal without a reason", field="reason")
    return Receipt(reason=result.reason, channel=result.channel, seq=result.seq)
