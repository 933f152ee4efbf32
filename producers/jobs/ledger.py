"""What the holder of a job writes and reads."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from statushub.hub.model.backoff import Backoff
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.producers.jobs.claims import first_seq
from statushub.producers.jobs.names import item_id, items_channel
from statushub.producers.jobs.state import (
    ItemState,
    JobState,
    item_publication,
    job_publication,
    kept,
    new_item,
    read_item,
    runner,
)
from statushub.producers.jobs.store import Store

RETRY_FIRST: Final = 0.1
RETRY_LONGEST: Final = 2.0
"""Seconds between tries while the broker is away: it is asked soon after it is back."""

BATCH_ITEMS: Final = 500
"""Items of one publish of a new job's items."""

LISTED: Final = 10
"""Channels of one look at the index: names that begin with another job's are improbable."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Lost(Exception):
    """Raised where this worker no longer has the job: another one took it over, or it has ended or was removed."""


class Counts(msgspec.Struct, frozen=True):
    """How many items of a job have ended, by the index."""

    completed: int
    failed: int

    @property
    def over(self) -> int:
        return self.completed + self.failed


class Ledger:
    """The events of one claimed job and its items, fenced by its claim. What is written is written again until the
    broker answers; the same event is stored once."""

    def __init__(self, store: Store, tenant: str, job: JobState, *, retention: float) -> None:
        self._store = store
        self._tenant = tenant
        self._id = job.id
        self._claim = job.claim
        self._holder = job.holder
        self._retention = retention
        self._seqs = itertools.count(first_seq(job.claim) + 1)
        self._data = kept(job.data)
        self.attempt = job.attempt

    async def report(self, **fields: Any) -> Receipt:
        """Publish the job with these fields replaced. Raises `Lost`."""
        return await self._report(self._holder, fields)

    async def release(self) -> None:
        """Let any worker take the job over, immediately. Raises `Lost`."""
        await self._report(None, {})

    async def put(self, number: int, data: Mapping[str, Any]) -> bool:
        """Publish an item; False where it has ended or was removed. Raises `Lost`, and `Invalid` where `data` cannot be
        stored."""
        said = item_publication(self._id, number, data, attempt=self.attempt, seq=next(self._seqs))
        (receipt,) = await self._send([said])
        if receipt.reason is Refusal.SUPERSEDED:
            raise Lost
        if receipt.reason is Refusal.QUOTA_EXCEEDED:
            # An ending is stored in any case.
            logger.warning("%s/%d: the tenant stores as much as it may; it goes on unreported", self._id, number)
            return True
        if not receipt.accepted:
            logger.info("%s/%d: %s", self._id, number, receipt.reason)
        return receipt.accepted

    async def create(self, inputs: Sequence[Any]) -> None:
        """Store these as the items of the job, instead of those that an earlier holder may have begun to store. They
        are there once `report(total=…)` has returned. Raises `Lost`, `Invalid`."""
        self.attempt = self._claim
        publications = [
            item_publication(self._id, number, new_item(it), attempt=self.attempt, seq=next(self._seqs))
            for number, it in enumerate(inputs, 1)
        ]
        for start in range(0, len(publications), BATCH_ITEMS):
            receipts = await self._send(publications[start : start + BATCH_ITEMS])
            if any(not receipt.accepted for receipt in receipts):
                refusal = next(receipt.reason for receipt in receipts if not receipt.accepted)
                logger.warning("%s: its items were refused: %s", self._id, refusal)
                raise Lost
        if self._claim > 1:
            left = [item.number for item in await self.items() if item.number > len(inputs)]
            await self._remove([item_id(self._id, number) for number in left])

    async def items(self) -> list[ItemState]:
        """The items as they are stored."""
        read = await self._until_answered(lambda: self._store.changes(self._tenant, items_channel(self._id)))
        found = (None if event.removed else read_item(event) for event in read.events)
        return [item for item in found if item is not None]

    async def counts(self) -> Counts:
        """How many items have ended."""
        channel = items_channel(self._id)
        page = await self._until_answered(lambda: self._store.channels(self._tenant, prefix=channel, limit=LISTED))
        entry = next((entry for entry in page.entries if entry.channel == channel), None)
        return Counts(0, 0) if entry is None else Counts(entry.completed, entry.failed)

    async def _report(self, holder: str | None, fields: Mapping[str, Any]) -> Receipt:
        self._data |= fields
        said = {**self._data, "runner": runner(claim=self._claim, holder=holder, attempt=self.attempt)}
        (receipt,) = await self._send([job_publication(self._id, said, seq=next(self._seqs))])
        if receipt.reason is Refusal.QUOTA_EXCEEDED:
            logger.warning("%s: the tenant stores as much as it may; progress is not reported", self._id)
        elif not receipt.accepted:
            raise Lost
        return receipt

    async def _send(self, publications: Sequence[Publication]) -> list[Receipt]:
        return await self._until_answered(
            lambda: self._store.publish(self._tenant, publications, retention=self._retention)
        )

    async def _remove(self, content_ids: Sequence[str]) -> None:
        if content_ids:
            channel = items_channel(self._id)
            await self._until_answered(lambda: self._store.remove(self._tenant, channel, content_ids))

    async def _until_answered(self, call: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(RETRY_FIRST, RETRY_LONGEST)
        while True:
            try:
                return await call()
            except BrokerUnavailable as error:
                logger.debug("%s: %s", self._id, error)
                await asyncio.sleep(backoff.next())
