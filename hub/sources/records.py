"""The sources beside the hub, in the order in which they are asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from statushub.hub.auth.identity import Identity
from statushub.hub.model.status import Status
from statushub.hub.sources.contract import Record, Source
from statushub.hub.sources.read_through import ReadThrough, Start
from statushub.hub.sources.record import RecordReader
from statushub.hub.sources.record_cache import Kind


class Records:
    """What the sources know, for those who may read it. An async context manager, which opens and closes them."""

    def __init__(self, sources: Sequence[Source], start: Start, record: RecordReader | None = None) -> None:
        """The first source that knows a content is believed, and after them the `record`, of what it says has ended:
        of what is under way it has no progress. `start` is as `ReadThrough` takes it."""
        self._record = record
        self._sources = sources
        self._reads = [ReadThrough[str, str, Record](source, start) for source in sources]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for source in self._sources:
                await stack.enter_async_context(source)
            if self._record is not None:
                await stack.enter_async_context(self._record)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def failures(self) -> Mapping[str, int]:
        """How many reads of each source have failed."""
        failures = {read.name: read.failures for read in self._reads}
        return failures if self._record is None else {**failures, self._record.name: self._record.failures}

    @property
    def reads(self) -> Mapping[tuple[str, str], Counter[str]]:
        """What each source was asked for, by its name and the cache, and by whether that knew it: `hit` or `miss`."""
        reads = {(read.name, Kind.CONTENT.value): read.reads for read in self._reads}
        if self._record is not None:
            reads |= {(self._record.name, kind.value): counted for kind, counted in self._record.reads.items()}
        return reads

    async def find(self, identity: Identity, content_ids: Sequence[str]) -> list[Status | None]:
        """What is known of each content that the identity may read, in the order asked. Raises nothing."""
        found: dict[str, Status | None] = {}
        left = [*dict.fromkeys(content_ids)]
        for read in self._reads:
            records = await read.find(identity.tenant, left)
            for content_id, record in zip(left, records, strict=True):
                if record is not None:
                    found[content_id] = record.status if identity.may_read(record.channel) else None
            left = [content_id for content_id in left if content_id not in found]
        if self._record is not None and left:
            for row in await self._record.find(identity.tenant, left):
                if row is not None and row.status.phase.terminal and identity.may_read(row.channel):
                    found[row.id] = row.status
        return [found.get(content_id) for content_id in content_ids]
