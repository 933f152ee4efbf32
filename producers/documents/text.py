"""Text as the index of documents has it: normalized, and cut into grams. No I/O.

A document has a keyword where its normalized text contains that of the keyword. A full-text index finds words, and
Korean, Chinese and Japanese have none that spaces would tell; its trigrams find nothing for the two syllables of 맥북.
So the index has each character and each pair of neighbours as a token, and a keyword is a phrase of them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

SPACE: Final = "\u2423"
"""Stands for any run of spaces and line breaks: a token must not have a space."""

TOKENIZER: Final = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'"
"""Takes every character but spaces as a part of a token, also those that are newer than SQLite's tables."""

UNIGRAMS: Final = "unigrams"
BIGRAMS: Final = "bigrams"
"""The columns of the index."""

_CONTROLS: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)], " ")
"""Control characters separate words; so do halves of surrogate pairs, which are no text."""


def normalized(text: str) -> str:
    """The text in NFC, without upper case, and with runs of spaces as one `SPACE`."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return SPACE.join(folded.translate(_CONTROLS).split())


def grams(text: str) -> tuple[str, str]:
    """The characters of a normalized text, and its pairs of neighbours, each separated by spaces."""
    return " ".join(text), " ".join(map(str.__add__, text, text[1:]))


def phrase(keyword: str) -> str:
    """The query of FTS5 for a normalized keyword of at least one character."""
    unigrams, bigrams = grams(keyword)
    column, tokens = (BIGRAMS, bigrams) if bigrams else (UNIGRAMS, unigrams)
    return f'{column} : "{tokens.replace(chr(34), chr(34) * 2)}"'
