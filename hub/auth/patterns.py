"""Channel patterns, which a token's `read` and `write` consist of.

`*` stands for any run of characters within a segment, `**` for any run across segments (slashes included);
everything else stands for itself. `jobs/*` covers `jobs/a` and not `jobs/a/b`; `jobs/**` covers both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from statushub.hub.model.errors import Invalid

PATTERN_CHARACTERS: Final = 256
"""Longest pattern: twice the longest name."""

PATTERNS: Final = 64
"""Most patterns of one list: as many as one stream has channels."""

ACROSS: Final = 2
"""Most `**` of one pattern: each multiplies the time of a match by the length of the name."""

COMPILED: Final = 4_096
"""Compiled patterns that are cached: tokens mostly share theirs. A few MB."""

_WILDCARD = re.compile(r"(\*\*?)")


class Patterns:
    """A set of patterns. Compares and hashes by `texts`, the patterns as they were given."""

    __slots__ = ("_everything", "_expressions", "_names", "texts")

    def __init__(self, texts: Sequence[str], field: str = "patterns") -> None:
        """Raises `Invalid` naming `field` where there are too many, or one is not a pattern."""
        if len(texts) > PATTERNS:
            raise Invalid(f"{field} has {len(texts)} patterns; at most {PATTERNS} are allowed", field=field)
        for index, text in enumerate(texts):
            _check(text, f"{field}[{index}]")
        self.texts = tuple(texts)
        self._everything = "**" in texts
        self._names = frozenset(text for text in texts if "*" not in text)
        self._expressions = tuple(_compile(text) for text in texts if "*" in text)

    @property
    def everything(self) -> bool:
        """Whether they cover every channel."""
        return self._everything

    def match(self, name: str) -> bool:
        """Whether one of the patterns covers this channel."""
        return (
            self._everything
            or name in self._names
            or any(expression.fullmatch(name) for expression in self._expressions)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patterns) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return f"Patterns({list(self.texts)})"


def _check(text: object, field: str) -> None:
    if not isinstance(text, str) or not 1 <= len(text) <= PATTERN_CHARACTERS or not text.isprintable():
        raise Invalid(f"{field} must be 1 to {PATTERN_CHARACTERS} printable characters", field=field)
    if "***" in text or text.count("**") > ACROSS:
        raise Invalid(f"{field} may hold '**' {ACROSS} times at most, and never '***'", field=field)


@lru_cache(COMPILED)
def _compile(text: str) -> re.Pattern[str]:
    """The pattern as an expression that matches in linear time for each `**`, however many `*` there are.

    A `*` ends at the first place where the text behind it fits: a later one would leave the following wildcards
    less to match. So it never has to backtrack, which its atomic group says.
    """
    literals = _WILDCARD.split(text)
    expression = re.escape(literals[0])
    rest = list(zip(literals[1::2], literals[2::2], strict=True))
    for index, (wildcard, literal) in enumerate(rest):
        behind = re.escape(literal)
        if wildcard == "**":
            expression += f".*?{behind}"
        elif index == len(rest) - 1:
            expression += f"[^/]*{behind}"
        else:
            expression += f"(?>[^/]*?{behind})"
    return re.compile(expression, re.DOTALL)


ALL: Final = Patterns(["**"])
"""Every channel."""

NONE: Final = Patterns([])
"""No channel."""
