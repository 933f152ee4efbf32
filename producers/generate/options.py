"""The settings of one generation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from statushub.hub.model.errors import Invalid

SOURCE_BYTES: Final = 64 * 1024**2
"""Largest source: a book of scanned pages. A larger one holds more pictures than text."""

PAGES: Final = 500
"""Most pages of a PDF: a long book, which takes a minute to read."""

TEXT_CHARACTERS: Final = 400_000
"""Longest text: a long book, in fifty requests of `PART_CHARACTERS`."""

PART_CHARACTERS: Final = 8_000
"""Longest part of a text in one request: 2,000 tokens in English and 6,000 in Korean, which small models can read."""

DOWNLOAD_SECONDS: Final = 300.0
"""Longest download: the largest source at 2 Mbit/s."""

READ_SECONDS: Final = 120.0
"""Longest time to find the text in the source; also its limit of CPU time."""

MEMORY_BYTES: Final = 2 * 1024**3
"""Address space of the process that finds the text: the largest source, parsed, with the libraries."""

ANSWER_SECONDS: Final = 1_800.0
"""Longest time for all answers of the model: the longest text at half a minute for each part."""

QUESTIONS: Final = 3
QUESTIONS_MAX: Final = 20
"""Most questions: with their answers they fit into a state."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one generation. Raises `Invalid`, which names the field, where a value is out of range."""

    model: str | None = None
    """The model's name; by default the first that the server has."""
    base_url: str | None = None
    """The address of a server with OpenAI's API, such as http://127.0.0.1:11434/v1. Without it, and without a `model`,
    sentences of the text are chosen here."""
    questions: int = QUESTIONS
    source_bytes: int = SOURCE_BYTES
    pages: int = PAGES
    text_characters: int = TEXT_CHARACTERS
    part_characters: int = PART_CHARACTERS
    """Longer texts are summarized in parts of this length, and then their summaries."""
    redirect_hosts: tuple[str, ...] = ()
    """Hosts other than the source's to which its server may redirect; `*.example.com` names all below one."""
    download_seconds: float = DOWNLOAD_SECONDS
    read_seconds: float = READ_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    memory_bytes: int = MEMORY_BYTES
    words_per_second: float = 0.0
    """Pace at which sentences that are chosen here are shown, for a demonstration; 0: immediately."""
    scratch: Path | None = None
    """Folder for temporary files; the system's by default."""

    def __post_init__(self) -> None:
        if self.base_url is not None and not is_address(self.base_url):
            raise Invalid(
                "base_url must be http(s)://host[:port]/path, such as http://127.0.0.1:11434/v1", field="base_url"
            )
        if not 0 <= self.questions <= QUESTIONS_MAX:
            raise Invalid(f"questions must be from 0 to {QUESTIONS_MAX}", field="questions")
        if not self.part_characters >= 500:
            raise Invalid("part_characters must be at least 500", field="part_characters")
        if not 0 <= self.words_per_second < math.inf:
            raise Invalid("words_per_second must be 0 or more", field="words_per_second")
        for name in ("source_bytes", "pages", "text_characters", "memory_bytes"):
            if not getattr(self, name) > 0:
                raise Invalid(f"{name} must be greater than 0", field=name)
        for name in ("download_seconds", "read_seconds", "answer_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise Invalid(f"{name} must be greater than 0", field=name)


def is_address(url: str) -> bool:
    """Whether `url` can be the address of a server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
