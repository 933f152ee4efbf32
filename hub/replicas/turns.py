"""Turns: how simultaneous work is shared between tenants. No I/O."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Lets in `total` holders at a time, at most `each` of them of one tenant. The tenants that wait come in turn.

    So a tenant that waits for many turns delays another one by what is under way, not by what waits.
    """

    def __init__(self, *, total: int, each: int) -> None:
        self._free = total
        self._each = each
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Hold one of the tenant's turns for the block."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        self._admit()
        try:
            await turn
            yield
        finally:
            if not turn.cancelled():
                self._give_back(tenant)
            self._admit()

    def _admit(self) -> None:
        while self._free and (tenant := self._next()) is not None:
            waiting = self._waiting.pop(tenant)
            turn = waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                self._free -= 1
                self._held[tenant] += 1
            if waiting:
                # Behind the other tenants.
                self._waiting[tenant] = waiting

    def _next(self) -> str | None:
        return next((tenant for tenant in self._waiting if self._held[tenant] < self._each), None)

    def _give_back(self, tenant: str) -> None:
        self._free += 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
