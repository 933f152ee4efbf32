"""What a generation made."""

from __future__ import annotations

import msgspec


class Pair(msgspec.Struct, frozen=True):
    """A question about the text, and its answer."""

    question: str
    answer: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation made; published as `ai_gen_metadata`."""

    summary: str
    qa_list: tuple[Pair, ...]
