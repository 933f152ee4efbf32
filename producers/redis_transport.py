"""The transport straight into Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from redis.exceptions import RedisError

from statushub.hub.brokers.contract import Cancel, Cancels
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import DEADLINE_SECONDS, Client
from statushub.hub.brokers.redis.publisher import Publisher
from statushub.hub.brokers.redis.removal import remove
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.feeds.contract import Written
from statushub.hub.feeds.redis.writer import FeedWriter, load_functions
from statushub.hub.feeds.writes import AnyWrite
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerDenied, ConfigError
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.removal import Removed, removed
from statushub.producers.transports import Denied, Transport

LOOK_SECONDS: Final = 1.0
"""Between two looks for requests to cancel."""

LOOK_CONTENTS: Final = 100
"""Contents of one look: a fraction of a millisecond of the server's time."""


class RedisTransport:
    """Publishes straight into Redis, as a hub does."""

    def __init__(self, url: str, *, tenant: str) -> None:
        """Raises `ConfigError` where `url` is malformed."""
        address = parse_redis_url(url, field="url")
        self.name = address.where
        try:
            topology = open_topology(address, DEADLINE_SECONDS)
        except (RedisError, TypeError, ValueError):
            # Without the cause, which may quote a password.
            raise ConfigError(f"the client of Redis does not take the options of {self.name}", field="url") from None
        self._root = topology.root
        self._client = Client(topology)
        self._publisher = Publisher(self._client)
        # Of the same connections.
        self._feed = FeedWriter(Client(topology, load=load_functions))
        self._tenant = tenant

    async def send(self, publications: Sequence[Publication]) -> list[Receipt]:
        try:
            return await self._publisher.publish(self._tenant, publications)
        except BrokerDenied as error:
            raise Denied(error.message) from error

    async def remove(self, channel: str, content_ids: Sequence[str] | None) -> Removed:
        prefix = commands.prefix(self._root, self._tenant)
        try:
            removal = await remove(self._client, prefix, channel, content_ids)
        except BrokerDenied as error:
            raise Denied(error.message) from error
        return removed(content_ids or (), removal.removed)

    async def feed(self, writes: Sequence[AnyWrite]) -> list[Written]:
        try:
            return await self._feed.write(self._tenant, writes)
        except BrokerDenied as error:
            raise Denied(error.message) from error

    async def cancels(self, content_ids: Sequence[str], since: Cursor | None) -> Cancels:
        if since is not None:
            await asyncio.sleep(LOOK_SECONDS)
        prefix, found = commands.prefix(self._root, self._tenant), list[Cancel]()
        for start in range(0, len(content_ids), LOOK_CONTENTS):
            batch = content_ids[start : start + LOOK_CONTENTS]
            answer = await self._client.call(commands.requests_call(prefix, batch))
            found += commands.requests(batch, answer)
        return Cancels(cursor=since or Cursor(epoch="", offset=0), cancels=found)

    async def aclose(self) -> None:
        await self._client.aclose()


_fits: Callable[..., Transport] = RedisTransport
