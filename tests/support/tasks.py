"""Ending tasks, including those that lose a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

CANCEL_SECONDS: Final = 2.0
"""The pause before tasks that have not ended are cancelled again."""


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks until all have ended.

    Cancelling is repeated, because `asyncio.wait_for` of Python 3.11, which redis-py uses, loses some cancellations.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=CANCEL_SECONDS)
