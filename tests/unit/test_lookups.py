"""Simultaneous polls share one read of the broker, and each gets the contents that it asked for."""

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
from tests.support.publications import update

pytestmark = pytest.mark.anyio

TENANT = ANONYMOUS.tenant


class HeldBroker(EmbeddedBroker):
    """Holds lookups until `free` is set; `asked` records their contents, `failing` is raised instead of an answer."""

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
    """A hub over the broker; the contents a, b and c are in channels without a replica."""
    hub = Hub(broker)
    async with broker, hub:
        await broker.publish(TENANT, [update(content_id, channel=f"of-{content_id}") for content_id in "abc"])
        yield hub
        broker.free.set()


async def ask(hub: Hub, *content_ids: str, identity: Identity = ANONYMOUS) -> list[str | None]:
    """The channel of each content, as a poll finds it."""
    found = await hub.lookup(identity, content_ids)
    return [event.channel if event else None for event in found.events]


async def held(hub: Hub, broker: HeldBroker) -> asyncio.Task[list[str | None]]:
    """A poll of an unknown content whose read is in progress."""
    first = asyncio.create_task(ask(hub, "unknown"))
    await broker.came.wait()
    return first


async def waiting(hub: Hub, *asked: str, identity: Identity = ANONYMOUS) -> asyncio.Task[list[str | None]]:
    """A poll that waits for a read."""
    poll = asyncio.create_task(ask(hub, *asked, identity=identity))
    await asyncio.sleep(0)
    return poll


async def test_polls_during_a_read_share_the_next_read(hub: Hub, broker: HeldBroker) -> None:
    """The next read starts after they came, so it sees earlier publications; each poll gets its own answer."""
    first = await held(hub, broker)
    await broker.publish(TENANT, [update("d", channel="of-d")])
    others = [await waiting(hub, *asked) for asked in ("ab", "bd", "dx")]
    assert broker.asked == [{"unknown"}]
    broker.free.set()
    assert [await poll for poll in (first, *others)] == [[None], ["of-a", "of-b"], ["of-b", "of-d"], ["of-d", None]]
    assert broker.asked == [{"unknown"}, {"a", "b", "d", "x"}]


async def test_simultaneous_polls_are_one_read(hub: Hub, broker: HeldBroker) -> None:
    """The first poll does not start a read of its own."""
    broker.free.set()
    assert [*await asyncio.gather(ask(hub, "a"), ask(hub, "b", "a"))] == [["of-a"], ["of-b", "of-a"]]
    assert broker.asked == [{"a", "b"}]


async def test_a_read_is_limited_to_a_batch(hub: Hub, broker: HeldBroker) -> None:
    """Contents over the limit are read in further batches, until every poll is answered."""
    first = await held(hub, broker)
    pages = [[f"{page}-{number}" for number in range(100)] for page in range(25)]
    others = [await waiting(hub, *page) for page in pages]
    broker.free.set()
    assert [await poll for poll in others] == [[None] * 100] * 25
    assert await first == [None]
    assert [len(asked) for asked in broker.asked] == [1, BATCH_IDS, BATCH_IDS, 500]


async def test_a_poll_that_is_cancelled_does_not_cancel_others(hub: Hub, broker: HeldBroker) -> None:
    """A client that disconnects does not end a read that others wait for, whether it has started or not."""
    first = await held(hub, broker)
    going, staying = await waiting(hub, "a"), await waiting(hub, "b")
    going.cancel()
    first.cancel()
    broker.free.set()
    assert await staying == ["of-b"]


async def test_tenants_do_not_wait_for_each_other(hub: Hub, broker: HeldBroker) -> None:
    """A slow read of one tenant does not delay the read of another."""
    first = await held(hub, broker)
    other = await waiting(hub, "a", identity=Identity(tenant="another", read=Patterns(("*",))))
    async with asyncio.timeout(30):
        while len(broker.asked) < 2:
            await asyncio.sleep(0)
    assert broker.asked == [{"unknown"}, {"a"}]
    broker.free.set()
    assert (await first, await other) == ([None], [None])


async def test_an_unreadable_channel_is_not_followed(hub: Hub, broker: HeldBroker) -> None:
    """Polling an unreadable content creates no replica, as for an unknown content."""
    broker.free.set()
    narrow = Identity(tenant=TENANT, read=Patterns(("of-a",)))
    assert await ask(hub, "a", "b", identity=narrow) == ["of-a", None]
    assert [replica.channel for replica in hub.registry] == ["of-a"]


async def test_a_shared_read_is_filtered_for_each_identity(hub: Hub, broker: HeldBroker) -> None:
    """One read serves two identities, and each sees only the channels that its token covers."""
    first = await held(hub, broker)
    narrow = Identity(tenant=TENANT, read=Patterns(("of-a",)))
    wide, less = await waiting(hub, "a", "b"), await waiting(hub, "a", "b", identity=narrow)
    broker.free.set()
    assert (await first, await wide, await less) == ([None], ["of-a", "of-b"], ["of-a", None])
    assert len(broker.asked) == 2


@pytest.mark.parametrize("failure", [BrokerUnavailable("away"), ValueError("a bug")], ids=["away", "a bug"])
async def test_a_failed_read_fails_every_waiting_poll(hub: Hub, broker: HeldBroker, failure: Exception) -> None:
    """Polls queued for the next read fail too, since they would wait as long again; a later poll reads again.

    Each poll raises an error of its own: a shared one would keep the requests of all of them in memory.
    """
    first = await held(hub, broker)
    others = [await waiting(hub, "a"), await waiting(hub, *(f"x{number}" for number in range(BATCH_IDS)))]
    broker.failing = failure
    broker.free.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert [(type(error), str(error)) for error in answers] == [(type(failure), str(failure))] * 3
    assert len({id(error) for error in (*answers, failure)}) == 4
    assert {error.__cause__ for error in answers if isinstance(error, Exception)} == {failure}
    assert len(broker.asked) == 1
    broker.failing = None
    assert await ask(hub, "a") == ["of-a"]


async def test_a_closing_hub_fails_waiting_polls(broker: HeldBroker) -> None:
    """A poll that waits for a read is refused when the hub closes."""
    async with broker:
        async with Hub(broker) as hub:
            both = [await held(hub, broker), await waiting(hub, "a")]
        for poll in both:
            with pytest.raises(BrokerUnavailable, match="going down"):
                await poll
