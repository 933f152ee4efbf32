"""Shows a text that grows, and a list of pairs, as fields of a work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import anyio.lowlevel

from statushub.producers.generate.result import Pair

SUMMARY_CHARACTERS: Final = 12_000
"""Longest summary: with its pairs it fits into the last state in any script. A model that says more is cut off."""

PAIRS_BYTES: Final = 20_000
"""Most bytes of all pairs, as text, for the same reason."""


class Shows(Protocol):
    """What a growth needs of a work."""

    def append(self, **fields: str | Sequence[Any]) -> None: ...

    async def update(self, status: str | None = None, /, **fields: Any) -> None: ...


class Growth:
    """The summary and the pairs of one work, shown as its fields `summary` and `qa_list` while they grow.

    This is the one place where what grows is published, and where a work is interrupted between two tokens.
    """

    def __init__(self, work: Shows) -> None:
        self._work = work
        self.summary = ""
        self.pairs: list[Pair] = []

    async def write(self, piece: str) -> bool:
        """Add a piece to the summary; returns whether there is room for more."""
        fitting = piece[: SUMMARY_CHARACTERS - len(self.summary)]
        self.summary += fitting
        await self._show(summary=fitting)
        return len(self.summary) < SUMMARY_CHARACTERS

    async def answer(self, pair: Pair) -> bool:
        """Add a pair, where there is room for it; returns whether there was."""
        size = sum(
            len(text.encode("utf-8", "replace"))
            for each in (*self.pairs, pair)
            for text in (each.question, each.answer)
        )
        if size > PAIRS_BYTES:
            return False
        self.pairs.append(pair)
        await self._show(qa_list=[{"question": pair.question, "answer": pair.answer}])
        return True

    async def write_again(self) -> None:
        """Drop the summary: it is written anew."""
        self.summary = ""
        await self._work.update(summary="")

    async def answer_again(self) -> None:
        """Drop the pairs: they are written anew."""
        self.pairs = []
        await self._work.update(qa_list=[])

    async def _show(self, **added: str | Sequence[Any]) -> None:
        """Show what was added."""
        # A task that is cancelled ends here.
        await anyio.lowlevel.checkpoint()
        self._work.append(**added)
