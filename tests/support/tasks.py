"""End tasks, also those that lose a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

CANCEL_SECONDS: Final = 2.0
"""Before what has not ended is told once more to end."""


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel them until all have ended.

    Again and again, because `asyncio.wait_for` of Python 3.11, which redis-py uses, loses some cancellations.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_SECONDS)
