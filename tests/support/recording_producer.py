"""A producer with the SDK's interface that records every call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.publication import publication


class RecordingProducer:
    """A producer, and the work that it begins. Each state must be one that could be published."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.cancel_requested = anyio.Event()
        self.left_by: BaseException | None = None

    @asynccontextmanager
    async def work(
        self, content_id: str, *, channel: str, lease: float | None, **fields: Any
    ) -> AsyncIterator[RecordingProducer]:
        self.calls.append(("begin", {"content_id": content_id, "channel": channel, "lease": lease, **fields}))
        try:
            yield self
        except BaseException as error:
            self.left_by = error
            raise

    async def cancelled(self) -> CancelRequest | None:
        await self.cancel_requested.wait()
        return CancelRequest(by=None, at="2026-11-30T12:00:00.000Z", reason=None)

    async def update(self, status: str | None = None, /, **fields: Any) -> None:
        publication(channel="c", content_id="x", data={"status": status, **fields})
        self.calls.append(("update", {"status": status, **fields}))

    async def complete(self, **fields: Any) -> bool:
        self.calls.append(("complete", fields))
        return True

    async def fail(self, message: str | None = None, /, **fields: Any) -> bool:
        self.calls.append(("fail", {"error_message": message, **fields}))
        return True
