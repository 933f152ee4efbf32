"""Batches of document counts, as the hub's routes start and read them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.document_batch import Batch, Busy, Documents, KeywordCounts, Uncounted
from statushub.hub.model.errors import Forbidden, Invalid, StatushubError, TooManyRequests
from statushub.hub.model.event import Event, decode
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.vocabulary import CANCELLED, Phase, phase_of
from statushub.producers.documents import words
from statushub.producers.documents.counter import CountFailed, RateLimited
from statushub.producers.documents.lookups import Lookups
from statushub.producers.jobs.definition import Job
from statushub.producers.jobs.item import PermanentFailure
from statushub.producers.jobs.names import items_channel, new_job_id
from statushub.producers.jobs.start import batches, new_job
from statushub.producers.jobs.state import JobState, read_job
from statushub.producers.jobs.store import Store
from statushub.producers.jobs.turns import take_turn, was_ended
from statushub.producers.jobs.worker import RUNNING_RETENTION

PREFIX: Final = "batch"
"""What the ids of batches begin with, as their pages know them."""

VIEWS: Final = 32
"""Batches whose items are kept for the next poll: a few hundred kilobytes each at most."""

COUNT_SECONDS: Final = 20.0
"""How long a request waits for the count of one keyword."""

COUNT_AGAIN: Final = 5.0
"""Seconds after which to ask again where that was too short."""

FULL_SECONDS: Final = 60.0
"""Seconds after which to try again where a tenant stores as much as it may."""

BUSY_WORDS: Final = "이미 처리 중인 작업이 있습니다"
CANCELLED_WORDS: Final = "작업이 취소되었습니다"
FAILED_WORDS: Final = "모든 키워드의 조회에 실패했습니다"


class _Item(msgspec.Struct):
    input: str = ""
    result: KeywordCounts | None = None


class _View:
    """The items of a batch as they were read last."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.cursor: Cursor | None = None
        self.items: dict[int, tuple[_Item, Phase, str]] = {}


class Batches:
    """Starts batches of the job, and reads of them what is new at each poll. `queue` lets a batch wait for its turn
    that would otherwise be refused; `tenants` are those whose jobs are run."""

    def __init__(self, store: Store, lookups: Lookups, job: Job, *, tenants: Sequence[str], queue: bool) -> None:
        self._store = store
        self._lookups = lookups
        self._job = job
        self._tenants = frozenset(tenants)
        self._queue = queue
        self._views: LRUCache[tuple[str, str], _View] = LRUCache(VIEWS)

    async def start(self, tenant: str, keywords: Sequence[str], priority: str) -> str:
        if tenant not in self._tenants:
            raise Forbidden(f"no jobs of the tenant {tenant!r} are run here")
        job_id, publications = new_job(self._job, keywords, priority=priority, job_id=new_job_id(PREFIX))
        group = self._job.group or self._job.name
        if not (self._queue or await take_turn(self._store, tenant, self._job.name, group, job_id)):
            raise Busy(BUSY_WORDS)
        for batch in batches(publications):
            receipts = await self._store.publish(tenant, batch, retention=self._job.keep + RUNNING_RETENTION)
            refusal = next((receipt.reason for receipt in receipts if not receipt.accepted), None)
            if refusal is Refusal.QUOTA_EXCEEDED:
                raise TooManyRequests("the tenant stores as much as it may", retry_after=FULL_SECONDS, limit="contents")
            if refusal is not None:
                raise Busy(BUSY_WORDS)
        if not self._queue and await was_ended(self._store, tenant, job_id):
            # It took so long that another batch was let begin.
            raise Busy(BUSY_WORDS)
        words.created(job_id, len(keywords))
        return job_id

    async def read(self, tenant: str, job_id: str) -> Batch | None:
        (event,) = (await self._store.lookup(tenant, [job_id])).events
        state = None if event is None or event.removed else read_job(event)
        if state is None or state.job != self._job.name or _forgotten(state, self._job.keep):
            return None
        # Read after the job: once that has ended, all of its items have.
        items = await self._items(tenant, job_id)
        return _batch(state, items)

    async def count(self, tenant: str, keyword: str) -> Mapping[str, int]:
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                return (await self._lookups.find(tenant, keyword)).counts
        except TimeoutError as error:
            raise Uncounted("조회가 지연되고 있습니다. 잠시 후 다시 시도해 주세요", after=COUNT_AGAIN) from error
        except RateLimited as error:
            raise Uncounted(error.message, after=error.after) from error
        except CountFailed as error:
            raise Uncounted(error.message) from error
        except StatushubError:
            raise
        except PermanentFailure as error:
            raise Uncounted(str(error)) from error
        except Exception as error:
            raise Uncounted(f"조회에 실패했습니다: {error}") from error

    async def _items(self, tenant: str, job_id: str) -> Mapping[int, tuple[_Item, Phase, str]]:
        view = self._views.setdefault((tenant, job_id), _View())
        async with view.turn:
            read = await self._store.changes(tenant, items_channel(job_id), view.cursor)
            if view.cursor is None or read.whole or read.cursor.epoch != view.cursor.epoch:
                view.items.clear()
            view.cursor = read.cursor
            for event in read.events:
                number = _number(event)
                view.items.pop(number, None)
                if not event.removed and (item := _item(event)) is not None:
                    view.items[number] = item
            return dict(sorted(view.items.items()))


def _batch(state: JobState, items: Mapping[int, tuple[_Item, Phase, str]]) -> Batch:
    error = None
    if state.phase is Phase.FAILED:
        error = _error(state, [reason for _, phase, reason in items.values() if phase is Phase.FAILED and reason])
    return Batch(
        id=state.id,
        phase=state.phase,
        current=sum(phase.terminal for _, phase, _ in items.values()),
        total=len(items) if state.total is None else state.total,
        results=[item.result for item, _, _ in items.values() if item.result is not None],
        keywords=[item.input for item, _, _ in items.values()],
        started_at=_milliseconds(state.data.get("started_at")) or _milliseconds(state.created_at) or 0,
        ended_at=_milliseconds(state.ended_at) if state.phase.terminal else None,
        error=error,
    )


def _error(state: JobState, reasons: Sequence[str]) -> str:
    if state.data.get("error_code") == CANCELLED:
        # As `cancel_message` has put it behind its own words.
        reason = str(state.data.get("error_message") or "").partition(": ")[2]
        return f"{CANCELLED_WORDS}: {reason}" if reason else CANCELLED_WORDS
    if reasons:
        return f"{FAILED_WORDS}: {reasons[0]}"
    return str(state.data.get("error_message") or FAILED_WORDS)


def _item(event: Event) -> tuple[_Item, Phase, str] | None:
    try:
        data: dict[str, Any] = decode(event.data)
        return msgspec.convert(data, _Item), phase_of(data), str(data.get("error_message") or "")
    except (Invalid, msgspec.ValidationError):
        return None


def _number(event: Event) -> int:
    number = event.content_id.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdecimal() else 0


def _milliseconds(moment: object) -> int | None:
    try:
        return round(datetime.fromisoformat(str(moment)).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _forgotten(state: JobState, keep: float) -> bool:
    """Whether the time for which it is kept is over, and a worker has not removed it yet."""
    ended = _milliseconds(state.ended_at) if state.phase.terminal else None
    return ended is not None and datetime.now().timestamp() * 1000 - ended > keep * 1000


def _fits(batches: Batches) -> Documents:
    return batches
