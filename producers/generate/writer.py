"""What writes summaries and answers: a model, or what is built in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from statushub.producers.generate.document import Document
from statushub.producers.generate.result import Pair


class Text(msgspec.Struct, frozen=True):
    """A further piece of the summary, and the part of its step that is done with it, 0 to 1."""

    piece: str
    fraction: float


class Part(msgspec.Struct, frozen=True):
    """Nothing to show: a part of a long text was summarized."""

    fraction: float


class Again(msgspec.Struct, frozen=True):
    """What was handed out is void: the answer broke off or was malformed, and begins anew. `reason` says why."""

    reason: str


Summary = Text | Part | Again


class Answered(msgspec.Struct, frozen=True):
    """A further pair."""

    pair: Pair


class Writer(Protocol):
    """Writes the summary of a text, and questions with answers. Raises `GenerateError`."""

    def summary(self, document: Document) -> AsyncGenerator[Summary]:
        """The summary in pieces, in the language of the text."""

    def pairs(self, document: Document, summary: str, count: int) -> AsyncGenerator[Answered | Again]:
        """`count` questions with answers, each as soon as it is complete."""

    async def aclose(self) -> None:
        """Close the connections."""
