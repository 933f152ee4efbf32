"""The transport over a hub's HTTP address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from statushub.hub.brokers.contract import Cancel, Cancels
from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.writes import AnyWrite
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.connections import open_connections, reason
from statushub.producers.failed_call import failed
from statushub.producers.hub_address import hub_address
from statushub.producers.publish_call import ANSWER_SECONDS, CALL_SECONDS, HEADERS, PATH, bearer, body, receipts
from statushub.producers.removal import Removed, removed
from statushub.producers.transports import Transport

ALL_SECONDS: Final = 120.0
"""How long removing all of a channel may take: a hundred thousand contents take some seconds on a busy hub."""

WAIT_SECONDS: Final = 25.0
"""How long a poll for requests to cancel waits: under the 30 seconds after which common proxies give an answer up."""

REMOVED_IDS: Final = 100
"""Most contents that one request names."""


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


_encoder = msgspec.json.Encoder()
_removed_decoder = msgspec.json.Decoder(_Removed)
_cancels_decoder = msgspec.json.Decoder(_Cancels)
_feed_decoder = msgspec.json.Decoder(_FeedAnswer)


class HttpTransport:
    """Publishes with `POST /api/publish`; the token says the tenant."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """`url` is the hub's address, with the path prefix of a proxy, if there is one. Raises `ConfigError` where it
        can never be used."""
        address = hub_address(url)
        self.name = address.name
        self._address = address
        self._headers = {**HEADERS}
        if token is not None:
            self._headers |= bearer(token)
        elif (basic := address.basic) is not None:
            self._headers["Authorization"] = basic
        self._connections: httpx.AsyncBaseTransport | None = None

    async def send(self, publications: Sequence[Publication]) -> list[Receipt]:
        request = httpx.Request("POST", self._address.at(PATH), headers=self._headers, content=body(publications))
        response = await self._answer(request)
        return receipts(response.content, len(publications), self.name)

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
            pause = response.headers.get("Retry-After")
            raise failed(self.name, response.status_code, response.reason_phrase, response.content, pause)
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


def _cancel(it: _Cancel) -> Cancel:
    return Cancel(
        channel=it.channel, content_id=it.content_id, attempt=it.attempt, offset=0, request=it.cancel_requested
    )


_fits: Callable[..., Transport] = HttpTransport
