"""What jobs need of a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from statushub.hub.brokers.contract import Broker, ChannelPage, Found, Removal, Snapshot
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt


class Store(Protocol):
    """A broker, as far as jobs use it; `hub.brokers.contract` has its promises."""

    async def publish(
        self, tenant: str, publications: Sequence[Publication], *, retention: float | None = None
    ) -> list[Receipt]: ...

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot: ...

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found: ...

    async def channels(self, tenant: str, *, prefix: str = "", limit: int) -> ChannelPage: ...

    async def remove(self, tenant: str, channel: str, content_ids: Sequence[str] | None = None) -> Removal: ...


def _fits(broker: Broker) -> Store:
    return broker
