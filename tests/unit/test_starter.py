from __future__ import annotations

import asyncio
from contextvars import Context

import anyio
import pytest
import sniffio

from statushub.hub.starter import Starter

pytestmark = pytest.mark.anyio


async def test_a_callback_of_the_loop_starts_tasks_in_order() -> None:
    """Where sniffio is installed, too, which finds no event loop in a callback."""
    started: list[int] = []
    done = asyncio.Event()

    async def work(number: int) -> None:
        started.append(number)
        if number == 2:
            done.set()

    def callback() -> None:
        with pytest.raises(sniffio.AsyncLibraryNotFoundError):
            sniffio.current_async_library()
        starter.start(work, 1)
        starter.start(work, 2)

    starter = Starter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(starter.run)
        # Not in the context of a test of anyio, which names the event loop.
        asyncio.get_running_loop().call_soon(callback, context=Context())
        async with asyncio.timeout(30):
            await done.wait()
        tasks.cancel_scope.cancel()
    assert started == [1, 2]
