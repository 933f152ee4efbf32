"""Publishes into Redis: the one way for hubs and for producers that connect to Redis themselves."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from redis.exceptions import NoPermissionError

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import Client
from statushub.hub.brokers.redis.topology import Topology
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt

PUBLISH_EVENTS: Final = 100
"""Most events in one function call: bounds how long it holds the server, a few milliseconds, and its size."""

REMEMBERED_SECONDS: Final = 30.0
"""How long the retention that was read and the tenant that was registered are trusted. A server that lost its data
without an error is told again after that; one round trip in half a minute costs nothing."""

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes with the functions of the library."""

    def __init__(self, client: Client, *, retention: float | None = None) -> None:
        """`retention` is in seconds. None: the one that the hubs of this Redis have written to its settings."""
        self._client = client
        self._retention = retention
        self._follows_hubs = retention is None
        self._read_at = -math.inf
        self._registered: dict[str, float] = {}
        self._losses = 0
        self._warned = False

    async def publish(
        self, tenant: str, publications: Sequence[Publication], *, retention: float | None = None
    ) -> list[Receipt]:
        """As `Broker.publish`; the publications of one function call are atomic together.

        Raises `BrokerUnavailable`, of which `BrokerDenied` says that trying again does not help.
        """
        receipts: list[Receipt] = []
        for start in range(0, len(publications), PUBLISH_EVENTS):
            batch = publications[start : start + PUBLISH_EVENTS]
            answer = await self._client.ask(partial(self._store, tenant, batch, retention))
            receipts += self._receipts(answer, len(batch))
        return receipts

    async def _store(
        self, tenant: str, batch: Sequence[Publication], retention: float | None, topology: Topology
    ) -> Any:
        if self._losses != self._client.losses:
            self._losses = self._client.losses
            self._registered.clear()
            self._read_at = -math.inf
        if any(publication.lease is not None and not publication.terminal for publication in batch):
            # Before the lease is set: a tenant swept in vain costs less than a lease that is never swept.
            await self._register(topology, tenant)
        if retention is None and self._follows_hubs:
            await self._read_retention(topology)
        key = commands.prefix(topology.root, tenant)
        args = commands.publish_args(batch, self._retention if retention is None else retention)
        return await topology.execute(key, ("FCALL", "statushub_publish", 1, key, *args))

    async def _register(self, topology: Topology, tenant: str) -> None:
        now = time.monotonic()
        if self._registered.get(tenant, -math.inf) + REMEMBERED_SECONDS <= now:
            key = commands.tenants(topology.root)
            await topology.execute(key, ("SADD", key, tenant))
            self._registered[tenant] = now

    async def _read_retention(self, topology: Topology) -> None:
        now = time.monotonic()
        if self._read_at + REMEMBERED_SECONDS > now:
            return
        key = commands.settings(topology.root)
        try:
            answer = await topology.execute(key, ("HGET", key, commands.RETENTION))
        except NoPermissionError:
            if not self._warned:
                self._warned = True
                logger.warning("%s does not permit this user to read %s, the hubs' retention", topology.where, key)
        else:
            # A server that lost its data has no settings until a hub sweeps; what was read before holds until then.
            self._retention = commands.seconds(answer) or self._retention
        self._read_at = now

    def _receipts(self, answer: Any, expected: int) -> list[Receipt]:
        try:
            receipts = commands.receipts(answer)
        except (Invalid, TypeError, ValueError) as error:
            raise BrokerUnavailable(f"{self._client.where} holds functions of another version: {error}") from error
        if len(receipts) != expected:
            raise BrokerUnavailable(f"{self._client.where} answered {len(receipts)} of {expected} events")
        return receipts
