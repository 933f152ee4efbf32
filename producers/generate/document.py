"""A text that is summarized, and its language."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec
import sentencex

Language = Literal["en", "ko"]
"""The languages that prompts and questions are written in."""

KOREAN_PART: Final = 0.2
"""Part of the letters that are Hangul from which on a text is Korean: technical ones have many Latin words."""

_LETTER: Final = re.compile(r"[^\W\d_]")
_HANGUL: Final = re.compile(r"[\uac00-\ud7a3]")


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a source, its title and, of a PDF, the number of its pages."""

    text: str
    title: str | None = None
    pages: int | None = None

    @property
    def language(self) -> Language:
        """The language whose prompts suit the text; English where it is another."""
        letters = len(_LETTER.findall(self.text))
        return "ko" if letters and len(_HANGUL.findall(self.text)) >= KOREAN_PART * letters else "en"


def sentences(text: str, language: Language) -> list[str]:
    """The sentences of `text`, in order, each in one line."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    found = (each.strip() for paragraph in paragraphs if paragraph for each in sentencex.segment(language, paragraph))
    return [each for each in found if each]


def parts(text: str, language: Language, characters: int) -> list[str]:
    """`text` in parts of at most this many characters, cut between sentences, or within one that is too long."""
    if len(text) <= characters:
        return [text]
    found: list[str] = []
    for sentence in sentences(text, language):
        for start in range(0, len(sentence), characters):
            piece = sentence[start : start + characters]
            if found and len(found[-1]) + 1 + len(piece) <= characters:
                found[-1] = f"{found[-1]} {piece}"
            else:
                found.append(piece)
    return found
