"""Work that stops when its content is asked to be cancelled."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

import anyio

from statushub.hub.model.cancel import CancelRequest
from statushub.producers.cancelled import Cancelled

T = TypeVar("T")


class Cancellable(Protocol):
    """A work that can be asked to be cancelled."""

    async def cancelled(self) -> CancelRequest | None: ...


async def until_cancelled(work: Cancellable, doing: Coroutine[Any, Any, T]) -> T:
    """What `doing` returns. Raises what it raises, and `Cancelled` where the work is asked to be cancelled before."""
    request: CancelRequest | None = None
    outcome: list[T] = []
    failure: Exception | None = None

    async def stop_on_request() -> None:
        nonlocal request
        request = await work.cancelled()
        if request is not None:
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(stop_on_request)
        try:
            outcome.append(await doing)
        except Exception as error:  # noqa: BLE001 - raised outside of the group, which would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not outcome:
        raise Cancelled(request)
    return outcome[0]
