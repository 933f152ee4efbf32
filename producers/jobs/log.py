"""What a worker says of the jobs that it runs."""

from __future__ import annotations

import logging
from typing import Any, Final

logger = logging.getLogger(__name__)


class JobLog:
    """The log lines of a job. One with words of its own overrides some."""

    def begun(self, job_id: str, *, goes_on: bool) -> None:
        """A worker has claimed it; `goes_on` where another one began it."""
        logger.info("%s: %s", job_id, "goes on" if goes_on else "started")

    def ended_item(self, job_id: str, number: int, input: Any, *, done: int, total: int, problem: str | None) -> None:
        """An item is over, and failed where there is a `problem`; `done` of `total` are."""
        if problem is not None:
            logger.warning("%s/%d failed: %s", job_id, number, problem)

    def waits(self, job_id: str, number: int, input: Any, *, problem: str, seconds: float) -> None:
        """A try of an item has failed, and the next one begins so much later."""
        logger.info("%s/%d: %s; again in %.1f s", job_id, number, problem, seconds)

    def released(self, job_id: str) -> None:
        """A worker that stops has given it back."""
        logger.info("%s: given back", job_id)

    def lost(self, job_id: str) -> None:
        """It is no longer this worker's."""
        logger.info("%s: another worker has it, or it was ended", job_id)

    def ended(self, job_id: str, status: str, *, completed: int, failed: int) -> None:
        """It is over, with this status, and so many items."""
        logger.info("%s: ended; %d items completed, %d failed", job_id, completed, failed)


PLAIN: Final = JobLog()
"""The words that jobs have by default."""
