"""The starter: starts tasks for callbacks of the event loop.

A task group of anyio cannot do that itself where sniffio is installed, which finds the event loop only within tasks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio

Work = Callable[..., Coroutine[Any, Any, object]]


class Starter:
    """Starts tasks while it runs, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], Coroutine[Any, Any, object]]] = deque()
        self._asked = asyncio.Event()

    def start(self, work: Work, *arguments: object) -> None:
        """Let `work(*arguments)` become a task soon."""
        self._waiting.append(partial(work, *arguments))
        self._asked.set()

    async def run(self) -> None:
        """Start tasks until cancelled, and cancel them then. Raises what one of them raises."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._asked.wait()
                self._asked.clear()
                while self._waiting:
                    tasks.start_soon(self._waiting.popleft())
