"""A generation whose progress is published as the status of a content: `generate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any, Final, Protocol

import anyio
import msgspec

from statushub.hub.model.cancel import CancelRequest
from statushub.producers.generate.document import Document
from statushub.producers.generate.errors import GenerateError, ResourcesExhausted
from statushub.producers.generate.extractive import ExtractiveWriter
from statushub.producers.generate.growth import Growth
from statushub.producers.generate.options import Options
from statushub.producers.generate.reading import read
from statushub.producers.generate.result import Result
from statushub.producers.generate.writer import Again, Text, Writer
from statushub.producers.sources.location import title
from statushub.producers.step import Step
from statushub.producers.until_cancelled import until_cancelled
from statushub.producers.work import LEASE_SECONDS

GENERATING: Final = "generating"

UPLOADING: Final = "uploading"
SUMMARIZING: Final = "summarizing"
ANSWERING: Final = "qa_generating"

WEIGHTS: Final[Mapping[str, float]] = {UPLOADING: 1, SUMMARIZING: 5, ANSWERING: 4}
"""The part of the time that each step takes, of an article and a small model."""


class Work(Protocol):
    """What `generate` needs of a producer's work."""

    async def cancelled(self) -> CancelRequest | None: ...

    async def update(self, status: str | None = None, /, **fields: Any) -> None: ...

    def append(self, **fields: str | Sequence[Any]) -> None: ...

    async def complete(self, **fields: Any) -> bool: ...

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool: ...

    def step(self, name: str) -> Step: ...

    def log(self, message: object, level: str = "info") -> None: ...


class Works(Protocol):
    """What `generate` needs of a producer."""

    def work(
        self, content_id: str, *, channel: str, lease: float | None, steps: Mapping[str, float] | None, **fields: Any
    ) -> AbstractAsyncContextManager[Work]: ...


async def generate(
    source: str | Path,
    *,
    channel: str,
    content_id: str,
    producer: Works,
    options: Options | None = None,
    lease: float = LEASE_SECONDS,
    **fields: Any,
) -> Result:
    """Summarize `source` (text, HTML or PDF; a path or an http(s) URL), answer questions about it, and publish each
    piece as the status of `content_id`.

    `processing_status` is `uploading`, `summarizing`, `qa_generating`, `completed`. The field `summary` grows, and
    `qa_list`; the last state has both as `ai_gen_metadata` instead. `fields` are published in addition, such as
    `title`. Raises `GenerateError` after it has been published as `error_message` and `error_code`, and `Cancelled`
    immediately after a request to cancel.
    """
    options, named = options or Options(), {"title": title(str(source)), **fields}
    begin = {"status": GENERATING, "processing_status": UPLOADING, **named}
    async with producer.work(content_id, channel=channel, lease=lease, steps=WEIGHTS, **begin) as work:
        try:
            result = await until_cancelled(work, _Generation(str(source), options, work, fields).run())
        except GenerateError as error:
            await work.fail(error.message, processing_status="failed", error_code=error.code)
            raise
        made = msgspec.to_builtins(result)
        await work.complete(processing_status="completed", ai_gen_metadata=made, summary=None, qa_list=None, **fields)
        return result


class _Generation:
    """The steps of one generation."""

    def __init__(self, source: str, options: Options, work: Work, fields: Mapping[str, Any]) -> None:
        self._source = source
        self._options = options
        self._work = work
        self._fields = fields
        self._growth = Growth(work)

    async def run(self) -> Result:
        document = await self._read()
        writer = _writer(self._options)
        seconds = self._options.answer_seconds
        try:
            with anyio.move_on_after(seconds) as scope:
                await self._summarize(writer, document)
                await self._answer(writer, document)
        finally:
            with anyio.CancelScope(shield=True):
                await writer.aclose()
        if scope.cancelled_caught:
            raise ResourcesExhausted(f"The answers take longer than {seconds:g} s, which is the limit.", field="source")
        return Result(summary=self._growth.summary.strip(), qa_list=tuple(self._growth.pairs))

    async def _read(self) -> Document:
        with self._work.step(UPLOADING) as step:
            document = await read(self._source, self._options, step.advance)
        known = {"title": document.title, "pages": document.pages, "characters": len(document.text)}
        await self._work.update(**{**{name: value for name, value in known.items() if value}, **self._fields})
        return document

    async def _summarize(self, writer: Writer, document: Document) -> None:
        await self._work.update(GENERATING, processing_status=SUMMARIZING)
        with self._work.step(SUMMARIZING) as step:
            async with aclosing(writer.summary(document)) as pieces:
                async for each in pieces:
                    match each:
                        case Again(reason):
                            self._note(reason)
                            await self._growth.write_again()
                            continue
                        case Text(piece):
                            if not await self._growth.write(piece):
                                break
                    step.advance(each.fraction)

    async def _answer(self, writer: Writer, document: Document) -> None:
        await self._work.update(GENERATING, processing_status=ANSWERING)
        count = self._options.questions
        with self._work.step(ANSWERING) as step:
            if not count:
                return
            async with aclosing(writer.pairs(document, self._growth.summary, count)) as pairs:
                async for each in pairs:
                    if isinstance(each, Again):
                        self._note(each.reason)
                        await self._growth.answer_again()
                    elif not await self._growth.answer(each.pair):
                        break
                    step.advance(len(self._growth.pairs) / count)

    def _note(self, reason: str) -> None:
        self._work.log(f"{reason}; it is asked for again", level="warning")


def _writer(options: Options) -> Writer:
    if options.base_url is None and options.model is None:
        return ExtractiveWriter(options.words_per_second)
    from statushub.producers.generate.model import Model
    from statushub.producers.generate.model_writer import ModelWriter

    return ModelWriter(Model(options.base_url, options.model), options.part_characters)
