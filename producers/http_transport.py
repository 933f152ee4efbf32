"""The transport over a hub's HTTP address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, ConfigError, Invalid, StatushubError
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.redaction import redacted
from statushub.producers.transports import Busy, Denied, Transport

ANSWER_SECONDS: Final = 5.0
"""How long a hub's answer may take before it counts as lost. A repeat does no harm, so that it need not be long."""

RETRY_AFTER_SECONDS: Final = 300.0
"""Longest `Retry-After` that is obeyed: a hub that is back in five minutes should not be taken for gone."""

RETRIED: Final = frozenset({408, 425, 429})
"""The statuses under 500 after which the same request may succeed later (RFC 9110, 15.5.9; 8470; 6585)."""


class _Result(msgspec.Struct, frozen=True):
    accepted: bool
    cursor: str | None = None
    attempt: int | None = None
    reason: Refusal | None = None


class _Answer(msgspec.Struct, frozen=True):
    results: list[_Result]


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    field: str | None = None


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: _Error = _Error()


_encoder = msgspec.json.Encoder()
_answer_decoder = msgspec.json.Decoder(_Answer)
_error_decoder = msgspec.json.Decoder(_ErrorAnswer)


class HttpTransport:
    """Publishes with `POST /api/publish`; the token says the tenant."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """`url` is the hub's address, with the path prefix of a proxy, if there is one."""
        self.name = redacted(url)
        self._url = f"{url.rstrip('/')}/api/publish"
        headers = {"Content-Type": "application/json"}
        if token is not None:
            if not (token.isascii() and token.isprintable()):
                raise ConfigError("the token may contain only printable ASCII characters", field="token")
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.AsyncClient(headers=headers, timeout=ANSWER_SECONDS)
        try:
            self._client.build_request("POST", self._url)
        except httpx.InvalidURL:
            # Without the cause, which may quote a password.
            raise ConfigError(
                f"the address {self.name!r} is malformed: expected http://host:port", field="url"
            ) from None

    async def send(self, publications: Sequence[Publication]) -> list[Receipt]:
        body = _encoder.encode({"events": [_event(p) for p in publications]})
        try:
            response = await self._client.post(self._url, content=body)
        except httpx.HTTPError as error:
            raise BrokerUnavailable(f"{self.name}: {str(error) or type(error).__name__}") from error
        if response.status_code != httpx.codes.OK:
            raise self._failure(response)
        try:
            results = _answer_decoder.decode(response.content).results
            receipts = [_receipt(result) for result in results]
        except (msgspec.DecodeError, UnicodeDecodeError, Invalid) as error:
            raise BrokerUnavailable(f"{self.name} is not a hub, or of another version: {error}") from error
        return _complete(receipts, len(publications), self.name)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _failure(self, response: httpx.Response) -> StatushubError:
        error, status = _error(response), response.status_code
        message = f"{self.name} answers {status}: {error.message or response.reason_phrase}"
        if status in (400, 413, 422):
            return Invalid(message, field=error.field)
        if status >= 500 or status in RETRIED:
            seconds = _retry_after(response.headers.get("Retry-After"))
            return BrokerUnavailable(message) if seconds is None else Busy(message, retry_after=seconds)
        return Denied(message)


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
        "type": publication.type,
        "data": msgspec.Raw(publication.data),
        **{key: value for key, value in optional.items() if value is not None},
    }


def _receipt(result: _Result) -> Receipt:
    if result.accepted:
        return Receipt(cursor=Cursor.parse(result.cursor or "", field="cursor"), attempt=result.attempt)
    if result.reason is None:
        raise Invalid("a refusal without a reason", field="reason")
    return Receipt(reason=result.reason)


def _complete(receipts: list[Receipt], expected: int, name: str) -> list[Receipt]:
    if len(receipts) != expected:
        raise BrokerUnavailable(f"{name} answered {len(receipts)} of {expected} events")
    return receipts


def _error(response: httpx.Response) -> _Error:
    try:
        return _error_decoder.decode(response.content).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Error()  # a proxy's page


def _retry_after(value: str | None) -> float | None:
    """The seconds of a `Retry-After` (RFC 9110, 10.2.3): a number, or a date."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.isdigit() else _until(value)
    except ValueError:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS)


def _until(value: str) -> float:
    date = parsedate_to_datetime(value)
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


_fits: Callable[..., Transport] = HttpTransport
