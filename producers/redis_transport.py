"""The transport straight into Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from statushub.hub.brokers.redis.client import DEADLINE_SECONDS, Client
from statushub.hub.brokers.redis.publisher import Publisher
from statushub.hub.brokers.redis.topology import open_topology
from statushub.hub.brokers.redis.url import parse_redis_url
from statushub.hub.model.errors import BrokerDenied
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.producers.transports import Denied, Transport


class RedisTransport:
    """Publishes straight into Redis, as a hub does."""

    def __init__(self, url: str, *, tenant: str) -> None:
        """Raises `ConfigError` where `url` is malformed."""
        address = parse_redis_url(url, field="url")
        self.name = address.where
        self._client = Client(open_topology(address, DEADLINE_SECONDS))
        self._publisher = Publisher(self._client)
        self._tenant = tenant

    async def send(self, publications: Sequence[Publication]) -> list[Receipt]:
        try:
            return await self._publisher.publish(self._tenant, publications)
        except BrokerDenied as error:
            raise Denied(error.message) from error

    async def aclose(self) -> None:
        await self._client.aclose()


_fits: Callable[..., Transport] = RedisTransport
