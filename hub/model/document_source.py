"""What is told of an HTTP search API whose results are counted: its address, its categories and its headers. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

KEYWORD: Final = "{keyword}"
CATEGORY: Final = "{category}"
"""What stands for them in the address."""

_CATEGORY: Final = re.compile(r"(?P<name>[^\s:=,]{1,64})(?::(?P<word>[^\s:=,]{1,128}))?=(?P<path>[^\s:=,]{1,256})")
_HEADER: Final = re.compile(r"(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]+) *: *(?P<value>[!-~](?:[ -~]*[!-~])?)")


class Category(msgspec.Struct, frozen=True):
    """Where the count of a category is: what stands for `{category}` in the address, and the path of the number in the
    answer's JSON, names and indexes separated by dots."""

    word: str
    path: tuple[str, ...]


def document_categories(texts: Sequence[str]) -> Mapping[str, Category]:
    """The categories by their names, from `NAME=PATH` or `NAME:WORD=PATH`. Raises `ValueError`."""
    found: dict[str, Category] = {}
    for text in texts:
        match = _CATEGORY.fullmatch(text)
        if match is None or "" in match["path"].split("."):
            raise ValueError(f"{text!r} is not NAME=PATH or NAME:WORD=PATH, such as blog=total")
        if match["name"] in found:
            raise ValueError(f"names {match['name']!r} twice")
        found[match["name"]] = Category(match["word"] or match["name"], tuple(match["path"].split(".")))
    return found


def document_headers(texts: Sequence[str]) -> Mapping[str, str]:
    """The headers by their names, from `NAME: VALUE`. Raises `ValueError`, without the value, which may be secret."""
    found: dict[str, str] = {}
    for place, text in enumerate(texts, 1):
        match = _HEADER.fullmatch(text)
        if match is None:
            raise ValueError(f"has no header such as 'X-Client-Id: abc' at place {place}")
        found[match["name"]] = match["value"]
    return found


def check_document_url(text: str) -> None:
    """A URL with `{keyword}` in its path or query, perhaps with `{category}`. Raises `ValueError`."""
    try:
        url = urlsplit(text.replace(KEYWORD, "k").replace(CATEGORY, "c"))
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError as error:
        raise ValueError("is malformed: expected https://api.example.com/search?query={keyword}") from error
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is no URL such as https://api.example.com/search?query={keyword}")
    behind = text.partition("://")[2].partition("/")[2] if "/" in text.partition("://")[2] else ""
    if KEYWORD not in behind.partition("#")[0]:
        raise ValueError("has no {keyword} in its path or query")
