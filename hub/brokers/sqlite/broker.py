"""The embedded broker: the contract kept in process, on one SQLite file or in memory.

One thread owns the file. Calls are queued to it, and writes that wait together share a transaction (group commit), so
that one `fsync` serves many. Receipts and announcements reach the event loop after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import anyio

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
from statushub.hub.brokers.sqlite.rates import Rates
from statushub.hub.brokers.sqlite.store import Store
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.event import Announcement
from statushub.hub.model.limits import PublishRate, StorageLimits
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import CancelReceipt, Receipt
from statushub.hub.model.retention import RETENTION_SECONDS

GROUP_WRITES: Final = 64
"""Most writes in one transaction. A few dozen share the cost of an fsync well; with more, the first would only wait
longer for the last."""


class _Read(NamedTuple):
    future: asyncio.Future[Any]
    run: Callable[[Store], Any]


class _Write(NamedTuple):
    future: asyncio.Future[Any]
    run: Callable[[Store], tuple[Any, list[Announcement]]]


class _Outcome(NamedTuple):
    """The result of a call, or the error to raise at its caller."""

    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


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
        self._limits = limits
        self._rates = Rates()
        self._path = path
        self._retention = retention
        self._default_lease = default_lease
        self._listener: Listener | None = None
        self._subscribed: set[tuple[str, str]] = set()
        self._followed: set[str] = set()
        self._open = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[_Read | _Write | None] = queue.SimpleQueue()
        opened: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a hub that ends without leaving the broker must not hang, and what was acknowledged is on disk.
        self._thread = threading.Thread(target=self._work, args=(opened,), name="statushub-broker", daemon=True)
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._end()
            raise
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drained = self._submit(_Read, lambda _: None)
        try:
            with anyio.CancelScope(shield=True):
                await drained
        finally:
            self._end()

    @property
    def commands(self) -> int:
        return self._calls.qsize() if self._open else 0

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
        receipts: list[Receipt] = await self._submit(
            _Write, lambda store: store.publish(tenant, publications, retention)
        )
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
        snapshot: Snapshot = await self._submit(_Read, lambda store: store.changes(tenant, channel, since))
        return snapshot

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        found: Found = await self._submit(_Read, lambda store: store.lookup(tenant, content_ids))
        return found

    async def offsets(self, tenant: str, channels: Sequence[str]) -> Offsets:
        offsets: Offsets = await self._submit(_Read, lambda store: store.offsets(tenant, channels))
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
        page: ChannelPage = await self._submit(_Read, lambda store: store.channels(tenant, listing))
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
        receipt: CancelReceipt = await self._submit(
            _Write, lambda store: store.cancel(tenant, channel, content_id, request)
        )
        return receipt

    async def cancels(self, tenant: str) -> Cancels:
        found: Cancels = await self._submit(_Read, lambda store: store.cancels(tenant))
        return found

    async def tenants(self) -> list[str]:
        found: list[str] = await self._submit(_Read, Store.tenants)
        return found

    async def expire(self, now: float | None = None) -> int:
        ended: Endings = await self._submit(_Write, lambda store: store.expire(now))
        self.endings.stalled += ended.stalled
        self.endings.cancelled += ended.cancelled
        return ended.stalled + ended.cancelled

    async def ping(self) -> None:
        await self._submit(_Read, lambda _: None)

    async def _remove(self, tenant: str, channel: str, content_ids: Sequence[str]) -> Removal:
        step: Removal = await self._submit(_Write, lambda store: store.remove(tenant, channel, content_ids))
        return step

    async def _listed(self, tenant: str, channel: str) -> list[str]:
        """The contents of a channel. One that changes during the read comes again, behind what is read yet."""
        listed: dict[str, None] = {}
        after = 0
        while True:
            page = await self._submit(_Read, partial(Store.listed, tenant=tenant, channel=channel, after=after))
            listed.update((content_id, None) for content_id, _ in page)
            if not page:
                return [*listed]
            after = page[-1][1]

    def _submit(self, kind: type[_Read] | type[_Write], run: Callable[[Store], Any]) -> asyncio.Future[Any]:
        if not self._open:
            raise BrokerUnavailable("the broker is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._calls.put(kind(future, run))
        return future

    def _end(self) -> None:
        self._open = False
        self._calls.put(None)
        self._thread.join()

    def _deliver(self, outcomes: Sequence[_Outcome], announcements: Sequence[Announcement]) -> None:
        wanted = [
            it
            for it in announcements
            if (it.tenant, it.event.channel) in self._subscribed or it.tenant in self._followed
        ]
        if wanted and self._listener is not None:
            self._listener.announced(wanted)
        for future, result, error in outcomes:
            if future.done():  # its caller was cancelled
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    # The methods below run on the thread.

    def _work(self, opened: asyncio.Future[None]) -> None:
        try:
            store = Store(self._path, self._retention, self._limits, self._default_lease)
        except Exception as error:  # noqa: BLE001 - raised where the broker is entered
            self._tell([_Outcome(opened, error=error)])
            return
        with closing(store):
            self._tell([_Outcome(opened)])
            for call in self._take():
                if isinstance(call, _Read):
                    self._read(store, call)
                else:
                    self._write(store, call)

    def _take(self) -> Iterator[_Read | list[_Write]]:
        """The calls in their order; writes that wait together come as one list."""
        writes: list[_Write] = []
        while True:
            try:
                call = self._calls.get(block=not writes)
            except queue.Empty:
                yield writes
                writes = []
                continue
            if isinstance(call, _Write) and len(writes) < GROUP_WRITES:
                writes.append(call)
                continue
            if writes:
                yield writes
                writes = []
            if call is None:
                return
            if isinstance(call, _Write):
                writes.append(call)
            else:
                yield call

    def _read(self, store: Store, call: _Read) -> None:
        try:
            result = call.run(store)
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            self._tell([_Outcome(call.future, error=_explained(error))])
        else:
            self._tell([_Outcome(call.future, result)])

    def _write(self, store: Store, calls: Sequence[_Write]) -> None:
        try:
            with store.transaction():
                results = [call.run(store) for call in calls]
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            if len(calls) == 1:
                self._tell([_Outcome(calls[0].future, error=_explained(error))])
                return
            for call in calls:  # the others must not fail with the faulty one
                self._write(store, [call])
        else:
            outcomes = [_Outcome(call.future, result) for call, (result, _) in zip(calls, results, strict=True)]
            self._tell(outcomes, [it for _, announcements in results for it in announcements])

    def _tell(self, outcomes: Sequence[_Outcome], announcements: Sequence[Announcement] = ()) -> None:
        self._loop.call_soon_threadsafe(self._deliver, outcomes, announcements)


def _explained(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error):
        return error
    unavailable = BrokerUnavailable(f"the broker's file cannot be used: {error}")
    unavailable.__cause__ = error
    return unavailable


_fits: type[Broker] = EmbeddedBroker
