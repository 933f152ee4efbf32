"""What pages that have no stream say with their polls: how often they poll, and how many attempts to go live failed."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from statushub.hub.metrics import Counts

POLLING: Final = "polling"
"""The query parameter with the milliseconds between two polls of a page that would rather have a stream."""

FAILED: Final = "failed"
"""The query parameter with its attempts to go live that failed since it last said so."""

INTERVAL_MS_MAX: Final = 300_000
"""Of more, this is counted: pages poll every few seconds, or minutes after failures."""

FAILED_MAX: Final = 100
"""The same of attempts: a page makes two in a minute."""


def count_polling(request: Request, counts: Counts) -> None:
    """Count what the request says. It is a hint of the client's, which never makes a request fail."""
    query = request.query_params
    counts.polling_seconds += _number(query.get(POLLING), INTERVAL_MS_MAX) / 1000
    counts.live_attempts["failed"] += _number(query.get(FAILED), FAILED_MAX)


def _number(text: str | None, most: int) -> int:
    if not text or not (text.isascii() and text.isdigit()):
        return 0
    # More digits than the limit has would be a number that takes long to parse.
    return most if len(text) > len(str(most)) else min(int(text), most)
