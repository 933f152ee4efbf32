"""Disconnects: work for a request ends when its client goes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio
from starlette.requests import Request

from statushub.hub.model.errors import StatushubError

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`, or None where the client disconnects first, which cancels it. Raises its errors.

    The request's body must have been read, or have none.
    """
    result: T | None = None
    failure: StatushubError | None = None

    async def cancel_on_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel_on_disconnect)
        try:
            result = await work
        except StatushubError as error:
            # Raised outside of the task group, which would wrap it into an exception group.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result
