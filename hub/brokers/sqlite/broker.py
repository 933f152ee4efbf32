"""The embedded broker: the contract kept in process, on one SQLite file or in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from statushub.hub.brokers.contract import (
    REMOVE_BATCH,
    Broker,
    Cancels,
    ChannelPage,
    Endings,
    Found,
    Listener,
    Offsets,
    Removal,
    Snapshot,
)
from statushub.hub.brokers.listing import Listing
from statushub.hub.brokers.sqlite.owner import GROUP_WRITES, Owner
from statushub.hub.brokers.sqlite.rates import Rates
from statushub.hub.brokers.sqlite.store import Store
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Announcement
from statushub.hub.model.limits import PublishRate, StorageLimits
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import CancelReceipt, Receipt
from statushub.hub.model.retention import RETENTION_SECONDS

Written = tuple[Any, list[Announcement]]
"""What a write tells its caller, and what it announces."""


class EmbeddedBroker:
    """The broker without a server, for one hub process. `path` is its file, None for memory; `retention` and
    `default_lease` (0: none) are in seconds.

    Entering raises `BrokerInUse` where another process holds the file, and `ConfigError` where the file cannot be
    used: its folder is missing, it is not a database of ours, or a newer version wrote it.
    """

    commands_max = GROUP_WRITES

    def __init__(
        self,
        path: Path | None,
        *,
        retention: float = RETENTION_SECONDS,
        default_lease: float = 0.0,
        limits: StorageLimits = StorageLimits(),
    ) -> None:
        self.durable = path is not None
        self.shared = False
        self.moves = False
        self.skipped = 0
        self.endings = Endings()
        self.trouble: str | None = None
        self._rates = Rates()
        self._file = Owner(
            lambda: Store(path, retention, limits, default_lease),
            name="statushub-broker",
            file="the broker's file",
            committed=self._announce,
        )
        self._listener: Listener | None = None
        self._subscribed: set[tuple[str, str]] = set()
        self._followed: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._file.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._file.__aexit__(kind, error, trace)

    @property
    def commands(self) -> int:
        return self._file.waiting

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    async def publish(
        self,
        tenant: str,
        publications: Sequence[Publication],
        *,
        retention: float | None = None,
        rate: PublishRate | None = None,
    ) -> list[Receipt]:
        if rate is not None:
            self._rates.spend(tenant, rate, len(publications), sum(len(it.data) for it in publications))
        receipts: list[Receipt] = await self._file.write(lambda store: store.publish(tenant, publications, retention))
        return receipts

    async def subscribe(self, tenant: str, channels: Sequence[str]) -> None:
        self._subscribed.update((tenant, channel) for channel in channels)

    async def unsubscribe(self, tenant: str, channels: Sequence[str]) -> None:
        self._subscribed.difference_update((tenant, channel) for channel in channels)

    async def follow(self, tenant: str) -> Offsets:
        self._followed.add(tenant)
        return await self.offsets(tenant, [])

    async def unfollow(self, tenant: str) -> None:
        self._followed.discard(tenant)

    async def changes(self, tenant: str, channel: str, since: Cursor | None = None) -> Snapshot:
        snapshot: Snapshot = await self._file.read(lambda store: store.changes(tenant, channel, since))
        return snapshot

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        found: Found = await self._file.read(lambda store: store.lookup(tenant, content_ids))
        return found

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        offsets: Offsets = await self._file.read(lambda store: store.offsets(tenant, channels))
        return offsets

    async def channels(
        self,
        tenant: str,
        *,
        prefix: str = "",
        by_name: bool = False,
        after: str | None = None,
        since: int = 0,
        limit: int,
    ) -> ChannelPage:
        listing = Listing.of(prefix=prefix, by_name=by_name, after=after, since=since, limit=limit)
        page: ChannelPage = await self._file.read(lambda store: store.channels(tenant, listing))
        return page

    async def remove(self, tenant: str, channel: str, content_ids: Sequence[str] | None = None) -> Removal:
        wanted = await self._listed(tenant, channel) if content_ids is None else [*dict.fromkeys(content_ids)]
        first = await self._remove(tenant, channel, wanted[:REMOVE_BATCH])
        cursor, removed = first.cursor, [*first.removed]
        for start in range(REMOVE_BATCH, len(wanted), REMOVE_BATCH):
            step = await self._remove(tenant, channel, wanted[start : start + REMOVE_BATCH])
            cursor, removed = step.cursor, removed + step.removed
        return Removal(cursor=cursor, removed=removed)

    async def cancel(self, tenant: str, channel: str, content_id: str, request: CancelRequest) -> CancelReceipt:
        receipt: CancelReceipt = await self._file.write(
            lambda store: store.cancel(tenant, channel, content_id, request)
        )
        return receipt

    async def cancels(self, tenant: str) -> Cancels:
        found: Cancels = await self._file.read(lambda store: store.cancels(tenant))
        return found

    async def tenants(self) -> list[str]:
        found: list[str] = await self._file.read(Store.tenants)
        return found

    async def expire(self, now: float | None = None) -> int:
        ended: Endings = await self._file.write(lambda store: store.expire(now))
        self.endings.stalled += ended.stalled
        self.endings.cancelled += ended.cancelled
        return ended.stalled + ended.cancelled

    async def ping(self) -> None:
        await self._file.read(lambda _: None)

    async def _remove(self, tenant: str, channel: str, content_ids: Sequence[str]) -> Removal:
        step: Removal = await self._file.write(lambda store: store.remove(tenant, channel, content_ids))
        return step

    async def _listed(self, tenant: str, channel: str) -> list[str]:
        """The contents of a channel. One that changes during the read comes again, behind what is read yet."""
        listed: dict[str, None] = {}
        after = 0
        while True:
            page = await self._file.read(partial(Store.listed, tenant=tenant, channel=channel, after=after))
            listed.update((content_id, None) for content_id, _ in page)
            if not page:
                return [*listed]
            after = page[-1][1]

    def _announce(self, written: Sequence[Written]) -> list[Any]:
        """Announce what was written together; returns what its callers are told."""
        wanted = [
            it
            for _, announcements in written
            for it in announcements
            if (it.tenant, it.event.channel) in self._subscribed or it.tenant in self._followed
        ]
        if wanted and self._listener is not None:
            self._listener.announced(wanted)
        return [told for told, _ in written]


_fits: type[Broker] = EmbeddedBroker
