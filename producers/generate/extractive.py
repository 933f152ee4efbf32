"""The built-in writer: chooses the sentences that are most like the rest of the text (LexRank), without a model."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from typing import Final

import anyio

from statushub.producers.generate.document import Document, Language, sentences
from statushub.producers.generate.result import Pair
from statushub.producers.generate.writer import Again, Answered, Summary, Text

SUMMARY_SENTENCES: Final = 5
"""Most sentences of a summary."""

SUMMARY_PART: Final = 3
"""A summary has at most one sentence of so many of the text."""

SHORTEST: Final = 15
"""Fewest characters of a sentence that says something: shorter ones are headings and interjections."""

WORD_CHARACTERS: Final = 3
"""Fewest letters of a word that a question may be about, in a script of words."""

QUESTION: Final[dict[Language, str]] = {
    "en": "What does the text say about “{}”?",
    "ko": "본문은 “{}”에 대해 무엇이라고 하나요?",
}

_WORD: Final = re.compile(r"[^\W_]+")
_HANGUL: Final = re.compile(r"[\uac00-\ud7a3]+")
_PARTICLE: Final = re.compile(
    r"(?<=[\uac00-\ud7a3]{2})(?:에서|에게|으로|부터|까지|은|는|이|가|을|를|에|의|로|와|과|도)$"
)


class ExtractiveWriter:
    """A `Writer` that needs no model: a summary of the text's own sentences."""

    def __init__(self, words_per_second: float = 0.0) -> None:
        """`words_per_second` is the pace at which the summary is handed out; 0: immediately."""
        self._pause = 1 / words_per_second if words_per_second else 0.0

    async def summary(self, document: Document) -> AsyncGenerator[Summary]:
        found = _sentences(document)
        count = max(1, min(SUMMARY_SENTENCES, len(found) // SUMMARY_PART))
        chosen = sorted(_ranking(found)[:count])
        words = re.findall(r"\S+\s*", " ".join(found[number] for number in chosen))
        for done, word in enumerate(words, 1):
            await anyio.sleep(self._pause)
            yield Text(word, done / len(words))

    async def pairs(self, document: Document, summary: str, count: int) -> AsyncGenerator[Answered | Again]:
        found = _sentences(document)
        # The summary has said the first ones.
        ranked = sorted(_ranking(found), key=lambda number: found[number] in summary)
        asked = set[str]()
        frequent = Counter(word for sentence in found for word in _subjects(sentence))
        for number in ranked:
            subjects = [word for word in _subjects(found[number]) if word.lower() not in asked]
            if len(asked) == count or not subjects:
                continue
            subject = max(subjects, key=lambda word: (frequent[word], len(word)))
            asked.add(subject.lower())
            await anyio.sleep(self._pause * 10)
            yield Answered(Pair(QUESTION[document.language].format(subject), found[number]))

    async def aclose(self) -> None:
        pass


def _sentences(document: Document) -> list[str]:
    every = sentences(document.text, document.language)
    return [each for each in every if len(each) >= SHORTEST] or every


def _terms(sentence: str) -> Counter[str]:
    """What is compared: words, and of Korean ones pairs of syllables, because particles hang on the words."""
    terms = Counter[str]()
    for word in _WORD.findall(sentence.lower()):
        pairs = [word[index : index + 2] for index in range(len(word) - 1)] if _HANGUL.search(word) else []
        terms.update(pairs or [word])
    return terms


def _subjects(sentence: str) -> list[str]:
    """The words that a question may be about: long ones, without digits, and of Korean ones without their particle."""
    words = (_PARTICLE.sub("", word) for word in _WORD.findall(sentence) if word.isalpha())
    return [word for word in words if len(word) > WORD_CHARACTERS or (_HANGUL.search(word) and len(word) > 1)]


def _ranking(found: list[str]) -> list[int]:
    """The numbers of the sentences, the most central first: by the sum of its similarities to all others."""
    bags = [_terms(sentence) for sentence in found]
    holding = defaultdict[str, list[int]](list)
    for number, bag in enumerate(bags):
        for term in bag:
            holding[term].append(number)
    rarity = {term: math.log(len(bags) / len(numbers)) for term, numbers in holding.items()}
    lengths = [math.sqrt(sum((count * rarity[term]) ** 2 for term, count in bag.items())) or 1.0 for bag in bags]
    # The vector of the whole text, of unit sentences: its product with one is the sum of all cosines.
    whole = defaultdict[str, float](float)
    for bag, length in zip(bags, lengths, strict=True):
        for term, count in bag.items():
            whole[term] += count * rarity[term] / length
    scores = [
        sum(count * rarity[term] * whole[term] for term, count in bag.items()) / length
        for bag, length in zip(bags, lengths, strict=True)
    ]
    return sorted(range(len(found)), key=lambda number: -scores[number])
