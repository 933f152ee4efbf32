"""Batches of document counts, as the routes of documents see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from statushub.hub.model.errors import StatushubError
from statushub.hub.model.vocabulary import Phase

KEYWORDS_MAX: Final = 1_000
"""Most keywords of one batch."""

KEYWORD_CHARACTERS: Final = 200
"""Longest keyword: search boxes take less."""

PRIORITIES: Final = ("high", "normal", "low")


class Busy(StatushubError):
    """Raised where a job is not started because another one of its kind has not ended."""

    code = "busy"
    status = 409


class Uncounted(StatushubError):
    """Raised where the source of counts does not answer, or refuses; `after` are the seconds to wait, where that helps
    and it is known."""

    code = "uncounted"
    status = 502

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class KeywordCounts(msgspec.Struct, frozen=True):
    """A keyword and its documents by category."""

    keyword: str
    counts: Mapping[str, int]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it is: `current` of `total` keywords are over, of which those with `results` have been counted.

    Times are in Unix milliseconds; `ended_at` is None until its end, `error` unless it failed.
    """

    id: str
    phase: Phase
    current: int
    total: int
    results: Sequence[KeywordCounts]
    keywords: Sequence[str]
    started_at: int
    ended_at: int | None
    error: str | None


class Documents(Protocol):
    """Starts and reads batches, and counts single keywords."""

    async def start(self, tenant: str, keywords: Sequence[str], priority: str) -> str:
        """Start a batch; returns its id. Raises `Busy`, `BrokerUnavailable`, `TooManyRequests`, and `Forbidden` where
        no jobs of the tenant are run."""

    async def read(self, tenant: str, job_id: str) -> Batch | None:
        """A batch; None where there is none. Raises `BrokerUnavailable`."""

    async def count(self, tenant: str, keyword: str) -> Mapping[str, int]:
        """The documents of one keyword, by category. Raises `Uncounted`."""
