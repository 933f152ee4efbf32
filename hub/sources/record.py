"""The record for polls: its rows by their ids, a channel's rows by pages, and how many of them are in each phase.

Each is read through the cache, once for all who ask for it at a time, and not at all for a while after the database
has failed. An event drops what is kept of its content and of its channel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import chain
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import msgspec

from statushub.hub.model.event import Announcement
from statushub.hub.model.vocabulary import Phase
from statushub.hub.sources.contract import Source
from statushub.hub.sources.read_through import ReadThrough, Start
from statushub.hub.sources.record_cache import SECONDS, UNKNOWN, Cache, Kind, cache_key
from statushub.hub.sources.row import Position, Row, RowPage, position_of, stored_row
from statushub.hub.sources.states import State

PAGE_ROWS: Final = 100
"""Most rows of a page: a record's row has any size, and 100 of 50 KB are 5 MB."""


def totals_of(counted: Mapping[Phase, int]) -> Totals:
    """Those of a channel with so many contents in each phase."""
    return Totals(
        total_processing=counted[Phase.PROCESSING] + counted[Phase.PENDING],
        total_completed=counted[Phase.COMPLETED],
        total_failed=counted[Phase.FAILED],
    )


Known = Callable[[str, str], Sequence[str]]
"""The contents of a tenant's channel that the hub has a state of."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """How many contents of a channel are in which phase."""

    total_processing: int
    """Pending ones included."""
    total_completed: int
    total_failed: int


class RecordSource(Source, Protocol):
    """The system of record. Each raises `SourceUnavailable` as `find` does."""

    async def find(self, tenant: str, content_ids: Sequence[str]) -> Sequence[Row | None]:
        """As `Source.find`."""

    async def page(self, tenant: str, channel: str, after: Position | None, limit: int) -> RowPage:
        """Up to `limit` of a channel's rows after a position, the latest first."""

    async def count(self, tenant: str, channel: str, without: Sequence[str]) -> Mapping[Phase, int]:
        """How many of a channel's rows are in each phase, but for these contents."""


class _Stored(msgspec.Struct):
    """A page as it is kept."""

    contents: list[dict[str, Any]]
    next: Position | None


class _Asked(msgspec.Struct, frozen=True):
    """A page that is asked for."""

    after: Position | None
    limit: int


class RecordReader:
    """What the record knows, for polls. An async context manager, which opens the source and the cache.

    Nothing raises. What a record that is away is asked for is unknown: None.
    """

    reads: Mapping[Kind, Counter[str]]
    """How often the cache of each kind had the answer: `hit`, or not: `miss`."""

    def __init__(self, source: RecordSource, cache: Cache, start: Start, known: Known) -> None:
        """`start` is as `ReadThrough` takes it."""
        self.name = source.name
        self.reads = {kind: Counter() for kind in Kind}
        self._source = source
        self._cache = cache
        self._keeper = _Keeper(cache)
        self._stack = AsyncExitStack()
        self._rows = ReadThrough[str, str, Row](_Rows(source, self._keeper), start)
        self._pages = ReadThrough[tuple[str, str], _Asked, RowPage](_Pages(source, self._keeper), start)
        self._totals = ReadThrough[tuple[str, str], Kind, Totals](_Counts(source, self._keeper, known), start)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._cache)
            await stack.enter_async_context(self._source)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def failures(self) -> int:
        """Reads that failed."""
        return self._rows.failures + self._pages.failures + self._totals.failures

    async def find(self, tenant: str, content_ids: Sequence[str]) -> list[Row | None]:
        """The row of each content, in the order asked."""
        asked = [*dict.fromkeys(content_ids)]
        kept = await self._cache.get([cache_key(tenant, Kind.CONTENT, content_id) for content_id in asked])
        found: dict[str, Row | None] = {}
        for content_id, value in zip(asked, kept, strict=True):
            if value is not None and ((row := _row(value, content_id)) is not None or value == UNKNOWN):
                found[content_id] = row
        left = [content_id for content_id in asked if content_id not in found]
        self._count(Kind.CONTENT, hits=len(found), misses=len(left))
        if left:
            found.update(zip(left, await self._rows.find(tenant, left), strict=True))
        return [found[content_id] for content_id in content_ids]

    async def page(self, tenant: str, channel: str, after: Position | None, limit: int) -> RowPage | None:
        """Up to `limit` of a channel's rows after a position, the latest first; at most `PAGE_ROWS`."""
        if after is not None:
            [found] = await self._pages.find((tenant, channel), [_Asked(after, limit)])
            return found
        [value] = await self._cache.get([cache_key(tenant, Kind.PAGE, channel)])
        first = None if value is None else _page(value)
        self._count(Kind.PAGE, hits=int(first is not None), misses=int(first is None))
        if first is None:
            [first] = await self._pages.find((tenant, channel), [_Asked(None, PAGE_ROWS)])
        if first is None or len(first.rows) <= limit:
            return first
        return RowPage(rows=first.rows[:limit], next=position_of(first.rows[limit - 1].status.data))

    async def totals(self, tenant: str, channel: str) -> Totals | None:
        """How many of a channel's rows, which the hub has no state of, are in which phase."""
        [value] = await self._cache.get([cache_key(tenant, Kind.TOTALS, channel)])
        found = None if value is None else _decoded(value, _totals_decoder)
        self._count(Kind.TOTALS, hits=int(found is not None), misses=int(found is None))
        if found is None:
            [found] = await self._totals.find((tenant, channel), [Kind.TOTALS])
        return found

    def announced(self, batch: Iterable[Announcement]) -> None:
        """Drop what is kept of these contents and of their channels."""
        places = ((it.tenant, it.event.channel, it.event.content_id) for it in batch)
        self._keeper.drop({*chain.from_iterable(_keys(*place) for place in places)})

    def written(self, tenant: str, states: Iterable[State]) -> None:
        """Drop what is kept of the contents whose rows were written, and of their channels."""
        places = ((state.channel, state.content_id) for state in states)
        self._keeper.drop({key for channel, content_id in places for key in _keys(tenant, channel, content_id)})

    def forget(self, tenant: str, channel: str) -> None:
        """Drop what is kept of a channel whose events were not heard until now."""
        self._keeper.drop({cache_key(tenant, kind, channel) for kind in (Kind.PAGE, Kind.TOTALS)})

    def _count(self, kind: Kind, *, hits: int, misses: int) -> None:
        self.reads[kind].update(hit=hits, miss=misses)


class _Keeper:
    """Puts what was read into the cache, unless an event dropped it since the read began."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._reads: list[set[str]] = []

    @contextmanager
    def reading(self) -> Iterator[set[str]]:
        """A read, for the block; yields what is dropped meanwhile."""
        dropped: set[str] = set()
        self._reads.append(dropped)
        try:
            yield dropped
        finally:
            self._reads.remove(dropped)

    async def keep(self, values: Mapping[str, bytes], dropped: set[str], kind: Kind) -> None:
        await self._cache.put({key: value for key, value in values.items() if key not in dropped}, SECONDS[kind])

    def drop(self, keys: set[str]) -> None:
        for dropped in self._reads:
            dropped |= keys
        self._cache.drop(keys)


class _Part:
    """A part of the record, as `ReadThrough` reads it."""

    def __init__(self, source: RecordSource, keeper: _Keeper) -> None:
        self.name, self.where, self.fresh = source.name, source.where, source.fresh
        self._source = source
        self._keeper = keeper


class _Rows(_Part):
    async def find(self, tenant: str, content_ids: Sequence[str], /) -> Sequence[Row | None]:
        with self._keeper.reading() as dropped:
            rows = await self._source.find(tenant, content_ids)
            found = zip(content_ids, rows, strict=True)
            values = {cache_key(tenant, Kind.CONTENT, content_id): _stored(row) for content_id, row in found}
            await self._keeper.keep(values, dropped, Kind.CONTENT)
        return rows


class _Pages(_Part):
    async def find(self, group: tuple[str, str], asked: Sequence[_Asked], /) -> Sequence[RowPage]:
        return [await self._page(*group, each) for each in asked]

    async def _page(self, tenant: str, channel: str, asked: _Asked) -> RowPage:
        with self._keeper.reading() as dropped:
            page = await self._source.page(tenant, channel, asked.after, asked.limit)
            if asked.after is None:
                stored = _Stored([row.status.data for row in page.rows], page.next)
                values = {cache_key(tenant, Kind.PAGE, channel): _encode(stored)}
                await self._keeper.keep(values, dropped, Kind.PAGE)
        return page


class _Counts(_Part):
    def __init__(self, source: RecordSource, keeper: _Keeper, known: Known) -> None:
        super().__init__(source, keeper)
        self._known = known

    async def find(self, group: tuple[str, str], asked: Sequence[Kind], /) -> Sequence[Totals]:
        with self._keeper.reading() as dropped:
            counts = await self._source.count(*group, self._known(*group))
            totals = totals_of(counts)
            values = {cache_key(group[0], Kind.TOTALS, group[1]): _encode(totals)}
            await self._keeper.keep(values, dropped, Kind.TOTALS)
        return [totals] * len(asked)


_encode = msgspec.json.Encoder().encode
_page_decoder = msgspec.json.Decoder(_Stored)
_row_decoder = msgspec.json.Decoder(dict[str, Any])
_totals_decoder = msgspec.json.Decoder(Totals)

T = TypeVar("T")


def _keys(tenant: str, channel: str, content_id: str) -> Iterator[str]:
    """What is no longer so when a content has changed."""
    yield cache_key(tenant, Kind.CONTENT, content_id)
    yield cache_key(tenant, Kind.PAGE, channel)
    yield cache_key(tenant, Kind.TOTALS, channel)


def _stored(row: Row | None) -> bytes:
    return UNKNOWN if row is None else _encode(row.status.data)


def _row(value: bytes, content_id: str) -> Row | None:
    """The row that was kept; None where another program has put something else in its place."""
    fields = _decoded(value, _row_decoder)
    if fields is None or str(fields.get("id")) != content_id or "channel_id" not in fields:
        return None
    return stored_row(fields)


def _page(value: bytes) -> RowPage | None:
    """The page that was kept, as `_row`."""
    stored = _decoded(value, _page_decoder)
    if stored is None or not all("id" in fields and "channel_id" in fields for fields in stored.contents):
        return None
    return RowPage(rows=[stored_row(fields) for fields in stored.contents], next=stored.next)


def _decoded(value: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
