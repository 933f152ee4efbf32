"""Feeds as a hub has them: their store, and what announces what is written into it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from statushub.hub.brokers.contract import Broker
from statushub.hub.feeds.announcer import Announcer
from statushub.hub.feeds.contract import FeedStore, Written
from statushub.hub.feeds.writes import AnyWrite


class Feeds:
    """An async context manager, which opens the store; `run` announces."""

    def __init__(self, store: FeedStore, broker: Broker) -> None:
        self.store = store
        self._announcer = Announcer(store, broker)

    async def __aenter__(self) -> Self:
        await self.store.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.store.__aexit__(kind, error, trace)

    async def write(self, tenant: str, writes: Sequence[AnyWrite]) -> list[Written]:
        """As `FeedStore.write`; what changed is announced soon."""
        written = await self.store.write(tenant, writes)
        if any(it.applied for it in written):
            self._announcer.wake(tenant)
        return written

    async def run(self) -> None:
        """Announce until cancelled."""
        await self._announcer.run()
