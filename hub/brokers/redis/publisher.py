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
from statushub.hub.brokers.redis.commands import Settings, Spent
from statushub.hub.brokers.redis.topology import Topology
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.limits import PublishRate
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt

PUBLISH_EVENTS: Final = 100
"""Most events in one function call: bounds how long it holds the server, a few milliseconds, and its size."""

REMEMBERED_SECONDS: Final = 30.0
"""How long the settings that were read and the tenant that was registered are trusted. A server that lost its data
without an error is told again after that; one round trip in half a minute costs nothing."""

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes with the functions of the library."""

    def __init__(self, client: Client, settings: Settings | None = None) -> None:
        """`settings` are a hub's own. None: those that the hubs of this Redis have written into it."""
        self._client = client
        self._follows_hubs = settings is None
        self._settings = settings or Settings()
        self._read_at = -math.inf
        self._registered: dict[str, float] = {}
        self._losses = 0
        self._warned: set[str] = set()

    async def publish(
        self,
        tenant: str,
        publications: Sequence[Publication],
        *,
        retention: float | None = None,
        rate: PublishRate | None = None,
    ) -> list[Receipt]:
        """As `Broker.publish`; the publications of one function call are atomic together.

        Raises `BrokerUnavailable`, of which `BrokerDenied` says that trying again does not help.
        """
        receipts: list[Receipt] = []
        size = sum(len(publication.data) for publication in publications)
        spent = None if rate is None else Spent(rate=rate, events=len(publications), bytes=size)
        for start in range(0, len(publications), PUBLISH_EVENTS):
            batch = publications[start : start + PUBLISH_EVENTS]
            answer = await self._client.ask(partial(self._store, tenant, batch, retention, None if start else spent))
            receipts += self._receipts(answer, len(batch))
        return receipts

    async def _store(
        self,
        tenant: str,
        batch: Sequence[Publication],
        retention: float | None,
        spent: Spent | None,
        topology: Topology,
    ) -> Any:
        if self._losses != self._client.losses:
            self._losses = self._client.losses
            self._registered.clear()
            self._read_at = -math.inf
        # Before anything is stored: a tenant swept in vain costs less than one that is never swept.
        await self.register(topology, tenant)
        if self._follows_hubs:
            await self._read_settings(topology)
        prefix = commands.prefix(topology.root, tenant)
        call = commands.publish_call(prefix, batch, self._settings, retention=retention, spent=spent)
        return await topology.execute(call.keys[0], call.command)

    async def register(self, topology: Topology, tenant: str) -> None:
        """Let hubs sweep the tenant."""
        now = time.monotonic()
        if self._registered.get(tenant, -math.inf) + REMEMBERED_SECONDS <= now:
            key = commands.tenants(topology.root)
            try:
                await topology.execute(key, ("SADD", key, tenant))
            except NoPermissionError:
                self._warn_once(topology, key, "which tenants hubs sweep")
            self._registered[tenant] = now

    async def _read_settings(self, topology: Topology) -> None:
        now = time.monotonic()
        if self._read_at + REMEMBERED_SECONDS > now:
            return
        key = commands.settings(topology.root)
        try:
            answer = await topology.execute(key, ("HMGET", key, *commands.TOLD))
        except NoPermissionError:
            self._warn_once(topology, key, "the hubs' retention and default lease")
        else:
            self._settings = commands.heard(answer, self._settings)
        self._read_at = now

    def _warn_once(self, topology: Topology, key: str, meaning: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            logger.warning("%s does not permit this user to use %s: %s", topology.where, key, meaning)

    def _receipts(self, answer: Any, expected: int) -> list[Receipt]:
        try:
            receipts = commands.receipts(answer)
        except (Invalid, TypeError, ValueError) as error:
            raise BrokerUnavailable(f"{self._client.where} holds functions of another version: {error}") from error
        if len(receipts) != expected:
            raise BrokerUnavailable(f"{self._client.where} answered {len(receipts)} of {expected} events")
        return receipts
