"""Reads pairs of questions and answers from the text of an answer, while it arrives and in the end. No I/O."""

from __future__ import annotations

import json
import re
from typing import Annotated, Final

import msgspec

from statushub.producers.generate.result import Pair

_FENCE: Final = re.compile(r"^\s*```\w*\s*|\s*```\s*$")
_SEPARATORS: Final = " \t\r\n,"

Filled = Annotated[str, msgspec.Meta(min_length=1)]


class _Pair(msgspec.Struct, frozen=True):
    question: Filled
    answer: Filled


class _Pairs(msgspec.Struct, frozen=True):
    qa_list: Annotated[list[_Pair], msgspec.Meta(min_length=1)]


_decoder = msgspec.json.Decoder(_Pairs)
_scanner = json.JSONDecoder()


class PairParser:
    """The pairs of an answer, each as soon as its last character has arrived."""

    def __init__(self) -> None:
        self.text = ""
        self._at: int | None = None

    def feed(self, piece: str) -> list[Pair]:
        """Take a further piece; returns the pairs that it completes. What is no pair is left to `pairs`."""
        self.text += piece
        if self._at is None and (start := self.text.find("[")) >= 0:
            self._at = start + 1
        found: list[Pair] = []
        # Only a piece that closes an object can complete one.
        while self._at is not None and "}" in piece and (pair := self._next()) is not None:
            found.append(pair)
        return found

    def pairs(self) -> tuple[Pair, ...]:
        """All pairs of the whole answer. Raises `ValueError`, which says what is wrong, where it has not the form."""
        try:
            decoded = _decoder.decode(_FENCE.sub("", self.text))
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None
        return tuple(Pair(each.question, each.answer) for each in decoded.qa_list)

    def _next(self) -> Pair | None:
        if self._at is None:
            return None
        rest = self.text[self._at :]
        skipped = len(rest) - len(rest.lstrip(_SEPARATORS))
        try:
            value, end = _scanner.raw_decode(rest, skipped)
            pair = msgspec.convert(value, _Pair)
        except (ValueError, RecursionError):
            return None
        self._at += end
        return Pair(pair.question, pair.answer)
