"""The writer that asks a model: a long text in parts, and the summaries of its parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from statushub.producers.generate import prompts
from statushub.producers.generate.document import Document, parts
from statushub.producers.generate.model import Model, invalid
from statushub.producers.generate.pair_parser import PairParser
from statushub.producers.generate.writer import Again, Answered, Part, Summary, Text

EXPECTED_PIECES: Final = 160
"""Pieces (tokens) of a usual summary: until it ends, the part that is done is estimated from them."""

ROUNDS_MAX: Final = 3
"""Times that summaries of parts are summarized in parts again: a model that shortens nothing would never end."""

LAST_PART: Final = 0.3
"""Part of the work on a long text that its last summary takes."""

BROKEN: Final = "the answer broke off"


class ModelWriter:
    """A `Writer` that asks a model."""

    def __init__(self, model: Model, part_characters: int) -> None:
        self._model = model
        self._characters = part_characters
        self._short = ""
        """The text that fits into a request: the text itself, or the notes on its parts."""

    async def summary(self, document: Document) -> AsyncGenerator[Summary]:
        language, base = document.language, 0.0
        self._short = document.text
        for number in range(ROUNDS_MAX):
            pieces = parts(self._short, language, self._characters)
            if len(pieces) == 1:
                break
            notes, share = [], (1 - LAST_PART - base) * (0.8 if number == 0 else 0.5)
            for done, piece in enumerate(pieces, 1):
                notes.append(await self._whole(prompts.part(piece, language)))
                yield Part(base + share * done / len(pieces))
            self._short, base = "\n".join(notes), base + share
        self._short = self._short[: self._characters]
        async for each in self._last(prompts.summary(self._short, language), base):
            yield each

    async def pairs(self, document: Document, summary: str, count: int) -> AsyncGenerator[Answered | Again]:
        messages = prompts.pairs(self._short, count, document.language)
        for last in (False, True):
            parser, shown = PairParser(), 0
            async for piece in self._model.answer(messages, formed=True):
                if piece is None:
                    parser, shown = PairParser(), 0
                    yield Again(BROKEN)
                    continue
                for pair in parser.feed(piece)[: count - shown]:
                    shown += 1
                    yield Answered(pair)
            try:
                whole = parser.pairs()[:count]
            except ValueError as error:
                if last:
                    raise invalid(str(error), parser.text) from None
                yield Again("the answer is malformed")
                messages = prompts.repair(messages, parser.text, str(error), document.language)
            else:
                for pair in whole[shown:]:
                    yield Answered(pair)
                return

    async def aclose(self) -> None:
        await self._model.aclose()

    async def _last(self, messages: prompts.Messages, base: float) -> AsyncGenerator[Summary]:
        count, said = 0, ""
        async for piece in self._model.answer(messages):
            if piece is None:
                count, said = 0, ""
                yield Again(BROKEN)
            else:
                count, said = count + 1, said + piece
                # Approaches the end without reaching it, however long the summary is.
                yield Text(piece, base + (1 - base) * count / (count + EXPECTED_PIECES / 2))
        if not said.strip():
            raise invalid("no text", said)

    async def _whole(self, messages: prompts.Messages) -> str:
        said = ""
        async for piece in self._model.answer(messages):
            said = "" if piece is None else said + piece
        return said.strip()
