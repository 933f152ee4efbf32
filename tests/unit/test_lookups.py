"""Many who poll at once are one read of the broker, and each gets what they asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from statushub.hub.auth.identity import ANONYMOUS, Identity
from statushub.hub.auth.patterns import Patterns
from statushub.hub.brokers.contract import Found
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.hub import Hub
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.replicas.lookup import BATCH_IDS
from tests.support.said import said

pytestmark = pytest.mark.anyio

TENANT = ANONYMOUS.tenant


class HeldBroker(EmbeddedBroker):
    """Answers a lookup when it is let; `asked` are the contents of each, and `failing` is what it raises instead."""

    def __init__(self) -> None:
        super().__init__(None)
        self.asked: list[set[str]] = []
        self.came = asyncio.Event()
        self.free = asyncio.Event()
        self.failing: Exception | None = None

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        self.asked.append(set(content_ids))
        self.came.set()
        await self.free.wait()
        if self.failing:
            raise self.failing
        return await super().lookup(tenant, content_ids)


@pytest.fixture
async def broker() -> HeldBroker:
    return HeldBroker()


@pytest.fixture
async def hub(broker: HeldBroker) -> AsyncIterator[Hub]:
    """A hub on it, whose contents a, b and c are of channels that nobody follows."""
    hub = Hub(broker)
    async with broker, hub:
        await broker.publish(TENANT, [said(content_id, channel=f"of-{content_id}") for content_id in "abc"])
        yield hub
        broker.free.set()


async def ask(hub: Hub, *content_ids: str, identity: Identity = ANONYMOUS) -> list[str | None]:
    """Where each content is, as a poll tells."""
    found = await hub.lookup(identity, content_ids)
    return [row.event.channel if row else None for row in found.rows]


async def held(hub: Hub, broker: HeldBroker) -> asyncio.Task[list[str | None]]:
    """A poll of a content that there is not, whose read is under way."""
    first = asyncio.create_task(ask(hub, "nobody"))
    await broker.came.wait()
    return first


async def waiting(hub: Hub, *asked: str, identity: Identity = ANONYMOUS) -> asyncio.Task[list[str | None]]:
    """A poll that has come as far as it can."""
    poll = asyncio.create_task(ask(hub, *asked, identity=identity))
    await asyncio.sleep(0)
    return poll


async def test_polls_that_come_during_a_read_are_one_read_after_it(hub: Hub, broker: HeldBroker) -> None:
    """It has begun after they came, so that it sees what was published before; each gets its own answer."""
    first = await held(hub, broker)
    await broker.publish(TENANT, [said("d", channel="of-d")])
    others = [await waiting(hub, *asked) for asked in ("ab", "bd", "dx")]
    assert broker.asked == [{"nobody"}]
    broker.free.set()
    assert [await poll for poll in (first, *others)] == [[None], ["of-a", "of-b"], ["of-b", "of-d"], ["of-d", None]]
    assert broker.asked == [{"nobody"}, {"a", "b", "d", "x"}]


async def test_polls_of_one_moment_are_one_read(hub: Hub, broker: HeldBroker) -> None:
    """Nobody has to come first."""
    broker.free.set()
    assert [*await asyncio.gather(ask(hub, "a"), ask(hub, "b", "a"))] == [["of-a"], ["of-b", "of-a"]]
    assert broker.asked == [{"a", "b"}]


async def test_a_read_asks_for_so_much_and_no_more(hub: Hub, broker: HeldBroker) -> None:
    """More are further reads, and in one after the other everybody is served."""
    first = await held(hub, broker)
    pages = [[f"{page}-{number}" for number in range(100)] for page in range(25)]
    others = [await waiting(hub, *page) for page in pages]
    broker.free.set()
    assert [await poll for poll in others] == [[None] * 100] * 25
    assert await first == [None]
    assert [len(asked) for asked in broker.asked] == [1, BATCH_IDS, BATCH_IDS, 500]


async def test_a_poll_that_is_cancelled_does_not_cancel_others(hub: Hub, broker: HeldBroker) -> None:
    """A client that closes its connection leaves the read that others wait for, begun or not."""
    first = await held(hub, broker)
    going, staying = await waiting(hub, "a"), await waiting(hub, "b")
    going.cancel()
    first.cancel()
    broker.free.set()
    assert await staying == ["of-b"]


async def test_tenants_do_not_wait_for_each_other(hub: Hub, broker: HeldBroker) -> None:
    """A read of one tenant holds up no other's, which is another read."""
    first = await held(hub, broker)
    stranger = await waiting(hub, "a", identity=Identity(tenant="another", read=Patterns(("*",))))
    await asyncio.sleep(0)
    assert broker.asked == [{"nobody"}, {"a"}]
    broker.free.set()
    assert (await first, await stranger) == ([None], [None])


async def test_what_one_may_not_read_is_not_followed_either(hub: Hub, broker: HeldBroker) -> None:
    """A poll of it leaves nothing behind, as one of a content that there is not."""
    broker.free.set()
    narrow = Identity(tenant=TENANT, read=Patterns(("of-a",)))
    assert await ask(hub, "a", "b", identity=narrow) == ["of-a", None]
    assert [replica.channel for replica in hub.registry] == ["of-a"]


async def test_what_one_may_read_is_not_told_to_another(hub: Hub, broker: HeldBroker) -> None:
    """One read serves both, and each sees what their token lets them."""
    first = await held(hub, broker)
    narrow = Identity(tenant=TENANT, read=Patterns(("of-a",)))
    wide, less = await waiting(hub, "a", "b"), await waiting(hub, "a", "b", identity=narrow)
    broker.free.set()
    assert (await first, await wide, await less) == ([None], ["of-a", "of-b"], ["of-a", None])
    assert len(broker.asked) == 2


@pytest.mark.parametrize("failure", [BrokerUnavailable("away"), ValueError("a bug")], ids=["away", "a bug"])
async def test_a_failed_read_is_told_to_all_who_wait(hub: Hub, broker: HeldBroker, failure: Exception) -> None:
    """To those whose read it was not, too: they would wait as long again. The next poll asks anew.

    Each is told by an error of its own, since one that all raise keeps the requests of all of them in memory.
    """
    first = await held(hub, broker)
    others = [await waiting(hub, "a"), await waiting(hub, *(f"x{number}" for number in range(BATCH_IDS)))]
    broker.failing = failure
    broker.free.set()
    told = await asyncio.gather(first, *others, return_exceptions=True)
    assert [(type(error), str(error)) for error in told] == [(type(failure), str(failure))] * 3
    assert len({id(error) for error in (*told, failure)}) == 4
    assert {error.__cause__ for error in told if isinstance(error, Exception)} == {failure}
    assert len(broker.asked) == 1
    broker.failing = None
    assert await ask(hub, "a") == ["of-a"]


async def test_a_hub_that_ends_keeps_nobody_waiting(broker: HeldBroker) -> None:
    """Whoever waits for a read is told that it does not come."""
    async with broker:
        async with Hub(broker) as hub:
            both = [await held(hub, broker), await waiting(hub, "a")]
        for poll in both:
            with pytest.raises(BrokerUnavailable, match="going down"):
                await poll
