"""Where `statushub bridge` publishes: a hub, or straight into the Redis of the hubs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import httpx
import msgspec

from statushub.hub.brokers.contract import Found
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.publisher import Publisher
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, StatushubError
from statushub.hub.model.event import Event
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.connections import reason
from statushub.producers.http_transport import HttpTransport

DEADLINE_SECONDS: Final = 5.0
"""For an answer, as of any client of a hub or a broker."""

BATCH_IDS: Final = 100
"""Most contents of one batch poll of a hub."""

NOWHERE: Final = Cursor(epoch="", offset=0)


class _Line(msgspec.Struct):
    id: str
    status: str
    channel_id: str = ""


class _Batch(msgspec.Struct):
    statuses: list[msgspec.Raw]


_batch_decoder = msgspec.json.Decoder(_Batch)
_line_decoder = msgspec.json.Decoder(_Line)


class RedisTarget:
    """The Redis of the hubs at `url`, with the settings that these have written there."""

    def __init__(self, url: str) -> None:
        """Raises `ConfigError` for a malformed URL."""
        self._client = Client(open_topology(parse_redis_url(url), DEADLINE_SECONDS), deadline=DEADLINE_SECONDS)
        self._publisher = Publisher(self._client)

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        call = commands.states_call(commands.prefix(self._client.root, tenant), content_ids)
        read = commands.states(content_ids, await self._client.call(call))
        return Found(cursor=read.clock, events=read.events)

    async def publish(self, tenant: str, publications: Sequence[Publication]) -> list[Receipt]:
        return await self._publisher.publish(tenant, publications)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class HubTarget:
    """The hub at `url`, for the tenant of its token."""

    def __init__(self, url: str, token: str | None) -> None:
        """Raises `ConfigError` for an address that can never be used."""
        self._transport = HttpTransport(url, token=token)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=DEADLINE_SECONDS)

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        events: list[Event | None] = []
        for start in range(0, len(content_ids), BATCH_IDS):
            events += await self._read(content_ids[start : start + BATCH_IDS])
        return Found(cursor=NOWHERE, events=events)

    async def publish(self, tenant: str, publications: Sequence[Publication]) -> list[Receipt]:
        try:
            return await self._transport.send(publications)
        except StatushubError as error:
            raise BrokerUnavailable(error.message) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        await self._transport.aclose()

    async def _read(self, content_ids: Sequence[str]) -> list[Event | None]:
        try:
            answer = await self._client.post("/api/contents/status/batch", json={"content_ids": [*content_ids]})
        except (httpx.HTTPError, OSError) as error:
            raise BrokerUnavailable(f"{self._transport.name} {reason(error)}") from None
        if answer.status_code != httpx.codes.OK:
            raise BrokerUnavailable(f"{self._transport.name} answers {answer.status_code} to a poll")
        try:
            lines = _batch_decoder.decode(answer.content).statuses
            return [_event(line) for line in lines]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokerUnavailable(f"{self._transport.name} is not a hub: {error}") from error


def _event(line: Any) -> Event | None:
    said = _line_decoder.decode(line)
    if said.status == "not_found":
        return None
    return Event(channel=said.channel_id, content_id=said.id, offset=0, type="", data=bytes(line))
