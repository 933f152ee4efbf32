"""What counts the documents that have a keyword."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, Self

from statushub.hub.model.errors import StatushubError

COUNT_MAX: Final = 2**53 - 1
"""Largest count: the largest whole number that every reader of JSON keeps exact."""


class CountFailed(StatushubError):
    """Raised where a keyword could not be counted now; another try may succeed."""

    code = "count_failed"
    status = 502


class RateLimited(CountFailed):
    """Raised where the source says that it was asked too often; `after` are the seconds that it asks to wait, `calls`
    those that were made to learn that."""

    code = "rate_limited"
    status = 503

    def __init__(self, message: str, *, after: float, calls: int = 1) -> None:
        super().__init__(message)
        self.after = after
        self.calls = calls


class KeywordRefused(CountFailed):
    """Raised where the source refuses the keyword, or the way in which it is asked: another try would fail, too."""

    code = "keyword_refused"


class Counter(Protocol):
    """Counts documents by category. An async context manager."""

    @property
    def calls(self) -> int:
        """The calls of the source that one count takes."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def source(self) -> str:
        """A name of what is counted, which is another one where counts are no longer those of before. Raises
        `CountFailed`."""

    async def count(self, keyword: str) -> Mapping[str, int]:
        """The documents that have the keyword, by category. Raises `CountFailed`."""


def checked(counts: object) -> Mapping[str, int]:
    """`counts`, if they are such as a counter returns; else raises `KeywordRefused`."""
    if not isinstance(counts, Mapping):
        raise KeywordRefused(f"the counts must be a mapping of categories to numbers, not {type(counts).__name__}")
    for name, number in counts.items():
        if not isinstance(name, str) or type(number) is not int or not 0 <= number <= COUNT_MAX:
            raise KeywordRefused(f"the count of {name!r} must be a whole number of at least 0, not {number!r}")
    return counts
