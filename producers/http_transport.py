"""The transport over a hub's HTTP address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from statushub.hub import __version__
from statushub.hub.brokers.contract import Cancel, Cancels
from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.writes import AnyWrite
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, ConfigError, Invalid, StatushubError, TooLarge
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.redaction import censored
from statushub.producers.connections import open_connections, reason
from statushub.producers.hub_address import hub_address
from statushub.producers.removal import Removed, removed
from statushub.producers.retry_after import RETRIED, retry_after
from statushub.producers.transports import Busy, Denied, Transport

ANSWER_SECONDS: Final = 5.0
"""How long a hub's answer may take before it counts as lost. A repeat does no harm, so that it need not be long."""

CALL_SECONDS: Final = 15.0
"""How long a call may take whole, from the lookup of the name to the last byte, which may come one by one."""

ALL_SECONDS: Final = 120.0
"""How long removing all of a channel may take: a hundred thousand contents take some seconds on a busy hub."""

WAIT_SECONDS: Final = 25.0
"""How long a poll for requests to cancel waits: under the 30 seconds after which common proxies give an answer up."""

REMOVED_IDS: Final = 100
"""Most contents that one request names."""


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


class _Removed(msgspec.Struct, frozen=True):
    removed: int
    content_ids: list[str] = []


class _Cancel(msgspec.Struct, frozen=True):
    channel: str
    content_id: str
    attempt: int
    cancel_requested: CancelRequest


class _Cancels(msgspec.Struct, frozen=True):
    cursor: str
    cancels: list[_Cancel]


class _FeedAnswer(msgspec.Struct, frozen=True):
    results: list[Written]


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    field: str | None = None


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: _Error = _Error()


_encoder = msgspec.json.Encoder()
_answer_decoder = msgspec.json.Decoder(_Answer)
_removed_decoder = msgspec.json.Decoder(_Removed)
_cancels_decoder = msgspec.json.Decoder(_Cancels)
_feed_decoder = msgspec.json.Decoder(_FeedAnswer)
_error_decoder = msgspec.json.Decoder(_ErrorAnswer)


class HttpTransport:
    """Publishes with `POST /api/publish`; the token says the tenant."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """`url` is the hub's address, with the path prefix of a proxy, if there is one. Raises `ConfigError` where it
        can never be used."""
        address = hub_address(url)
        self.name = address.name
        self._address = address
        self._headers = {"Content-Type": "application/json", "User-Agent": f"statushub/{__version__}"}
        if token is not None:
            if not (token.isascii() and token.isprintable()) or " " in token:
                raise ConfigError("the token may contain only printable ASCII characters", field="token")
            self._headers["Authorization"] = f"Bearer {token}"
        elif (basic := address.basic) is not None:
            self._headers["Authorization"] = basic
        self._connections: httpx.AsyncBaseTransport | None = None

    async def send(self, publications: Sequence[Publication]) -> list[Receipt]:
        body = _encoder.encode({"events": [_event(p) for p in publications]})
        url = self._address.at("/api/publish")
        response = await self._answer(httpx.Request("POST", url, headers=self._headers, content=body))
        try:
            results = _answer_decoder.decode(response.content).results
            receipts = [_receipt(result) for result in results]
        except (msgspec.DecodeError, UnicodeDecodeError, Invalid) as error:
            raise BrokerUnavailable(f"{self.name} is not a hub, or of another version: {error}") from error
        return _complete(receipts, len(publications), self.name)

    async def remove(self, channel: str, content_ids: Sequence[str] | None) -> Removed:
        if content_ids is None:
            return Removed(count=(await self._remove(channel, {"all": True}, ALL_SECONDS)).removed)
        gone: list[str] = []
        for start in range(0, len(content_ids), REMOVED_IDS):
            named = content_ids[start : start + REMOVED_IDS]
            gone += (await self._remove(channel, {"content_ids": named}, ANSWER_SECONDS)).content_ids
        return removed(content_ids, gone)

    async def feed(self, writes: Sequence[AnyWrite]) -> list[Written]:
        request = httpx.Request(
            "POST",
            self._address.at("/v1/feed/writes"),
            headers=self._headers,
            content=_encoder.encode({"writes": writes}),
        )
        response = await self._answer(request)
        try:
            results = _feed_decoder.decode(response.content).results
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokerUnavailable(f"{self.name} is not a hub, or of another version: {error}") from error
        if len(results) != len(writes):
            raise BrokerUnavailable(f"{self.name} answered {len(results)} of {len(writes)} writes")
        return results

    async def cancels(self, content_ids: Sequence[str], since: Cursor | None) -> Cancels:
        query = [("wait", f"{WAIT_SECONDS:g}"), *([] if since is None else [("since", str(since))])]
        url = self._address.at("/api/cancels", query)
        response = await self._answer(httpx.Request("GET", url, headers=self._headers), WAIT_SECONDS + ANSWER_SECONDS)
        try:
            found = _cancels_decoder.decode(response.content)
            return Cancels(cursor=Cursor.parse(found.cursor), cancels=[_cancel(it) for it in found.cancels])
        except (msgspec.DecodeError, UnicodeDecodeError, Invalid) as error:
            raise BrokerUnavailable(f"{self.name} is not a hub, or of another version: {error}") from error

    async def aclose(self) -> None:
        if self._connections is not None:
            await self._connections.aclose()

    async def _remove(self, channel: str, asked: dict[str, Any], seconds: float) -> _Removed:
        url = self._address.at(f"/api/contents/{quote(channel, safe='/')}/remove")
        request = httpx.Request("POST", url, headers=self._headers, content=_encoder.encode(asked))
        response = await self._answer(request, seconds)
        try:
            return _removed_decoder.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokerUnavailable(f"{self.name} is not a hub, or of another version: {error}") from error

    async def _answer(self, request: httpx.Request, seconds: float = ANSWER_SECONDS) -> httpx.Response:
        """The hub's successful answer, which may take so many seconds."""
        try:
            async with asyncio.timeout(seconds + CALL_SECONDS - ANSWER_SECONDS):
                response = await self._send(request, seconds)
        except (httpx.HTTPError, httpx.StreamError, OSError, UnicodeError) as error:
            # Without the cause: what a library says of a request may hold a secret of it.
            raise BrokerUnavailable(f"{self.name} {reason(error)}") from None
        if response.status_code != httpx.codes.OK:
            raise self._failure(response)
        return response

    async def _send(self, request: httpx.Request, seconds: float) -> httpx.Response:
        if self._connections is None:
            self._connections = open_connections(self._address.at(""), self.name)
        request.extensions["timeout"] = httpx.Timeout(seconds).as_dict()
        # Not by a client, which logs a line for each request, and takes proxies from the environment for loopback, too.
        response = await self._connections.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response

    def _failure(self, response: httpx.Response) -> StatushubError:
        error, status = _error(response), response.status_code
        message = f"{self.name} answers {status}: {censored(error.message or response.reason_phrase)}"
        if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(message, field=error.field)
        if status in (400, 422):
            return Invalid(message, field=error.field)
        if status >= 500 or status in RETRIED:
            seconds = retry_after(response.headers.get("Retry-After"))
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


def _cancel(it: _Cancel) -> Cancel:
    return Cancel(
        channel=it.channel, content_id=it.content_id, attempt=it.attempt, offset=0, request=it.cancel_requested
    )


def _complete(receipts: list[Receipt], expected: int, name: str) -> list[Receipt]:
    if len(receipts) != expected:
        raise BrokerUnavailable(f"{name} answered {len(receipts)} of {expected} events")
    return receipts


def _error(response: httpx.Response) -> _Error:
    try:
        return _error_decoder.decode(response.content).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Error()  # a proxy's page


_fits: Callable[..., Transport] = HttpTransport
