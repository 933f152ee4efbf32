"""Turns: how many hold one, and who is next."""

from __future__ import annotations

import asyncio

import pytest

from statushub.hub.replicas.turns import Turns
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Holders:
    """Tasks that hold turns until they are let go; `held` names them in the order in which they were let in."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.held: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._done: dict[str, asyncio.Event] = {}

    async def enter(self, *names: str) -> None:
        """Wait for a turn each; the tenant is the first letter of the name."""
        for name in names:
            self._done[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._hold(name))
            await asyncio.sleep(0)

    async def _hold(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.held.append(name)
            await self._done[name].wait()

    async def leave(self, *names: str) -> None:
        for name in names:
            self._done[name].set()
            await self.tasks[name]
        await asyncio.sleep(0)


async def test_tenants_come_in_turn() -> None:
    """A tenant that came later waits for one turn of the one that came first, not for all of them."""
    holders = Holders(Turns(total=1, each=1))
    await holders.enter("a1", "a2", "a3", "b1", "b2", "c1")
    order = ["a1", "a2", "b1", "c1", "a3", "b2"]
    for number, name in enumerate(order, 1):
        assert holders.held == order[:number]
        await holders.leave(name)


async def test_a_tenant_holds_no_more_than_its_share() -> None:
    """The rest is free for others, however many wait."""
    holders = Holders(Turns(total=3, each=2))
    await holders.enter("a1", "a2", "a3", "a4", "b1")
    assert holders.held == ["a1", "a2", "b1"]
    await holders.enter("c1")
    assert holders.held == ["a1", "a2", "b1"]
    await holders.leave("b1")
    assert holders.held == ["a1", "a2", "b1", "c1"]
    await holders.leave("a1", "a2", "c1", "a3", "a4")
    assert len(holders.held) == 6


async def test_a_cancelled_wait_costs_others_no_turn() -> None:
    """Neither while it waits, nor when it was let in and has not run since."""
    holders = Holders(Turns(total=1, each=1))
    async with holders.turns.turn("a"):
        await holders.enter("b1", "c1", "d1")
        holders.tasks["b1"].cancel()
    # c1 is let in.
    holders.tasks["c1"].cancel()
    await until(lambda: holders.held)
    await holders.leave("d1")
    assert holders.held == ["d1"]
    assert holders.tasks["b1"].cancelled()
    assert holders.tasks["c1"].cancelled()
    assert (holders.turns._free, holders.turns._held, holders.turns._waiting) == (1, {}, {})
