"""Terms over each broker: of the hubs that write the record one does."""

from __future__ import annotations

from contextlib import suppress

import pytest

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cursor import Cursor
from statushub.hub.sources import term
from statushub.hub.sources.term import Ended, Term

pytestmark = pytest.mark.anyio

CURSOR = Cursor(epoch="k3f9a2", offset=184)


def terms(broker: Broker, number: int, *, interval: float = 60) -> list[Term]:
    return [Term(broker, shared=True, interval=interval) for _ in range(number)]


async def renew(*all: Term) -> list[bool]:
    """Let each look once, in this order; returns which of them are held."""
    for each in all:
        await each.renew()
    return [each.held for each in all]


async def take(term: Term) -> None:
    """Let it look until it holds the term: a run that begins in one millisecond with another does not supersede it."""
    while not term.held:
        await term.renew()


async def test_the_first_hub_holds_the_term(broker: Broker) -> None:
    """Once it was seen to be the only one that begins it; the others wait."""
    one, two = terms(broker, 2)
    assert await renew(one, two) == [False, False]
    for _ in range(3):
        assert await renew(one, two) == [True, False]


async def test_of_two_hubs_that_begin_together_one_holds_the_term(broker: Broker) -> None:
    """The later one, before either has written."""
    one, two = terms(broker, 2, interval=0)
    await one.renew()
    # To `two` the term of `one` is over as soon as nothing comes for no time at all.
    await take(two)
    assert await renew(one, two) == [False, True]


async def test_a_hub_that_says_nothing_loses_its_term(broker: Broker) -> None:
    """It learns so with the next thing that it says, and is not held any longer; its marks are refused."""
    one, two = terms(broker, 2, interval=0)
    await take(one)
    await one.save("acme", CURSOR)
    await take(two)
    assert await two.mark("acme") == CURSOR
    later = Cursor(epoch=CURSOR.epoch, offset=190)
    while await two.mark("acme") != later:
        # As in `take`.
        with suppress(Ended):
            await two.save("acme", later)
        await take(two)
    with pytest.raises(Ended):
        await one.save("acme", CURSOR)
    assert not one.held
    [fresh] = terms(broker, 1)
    assert await fresh.mark("acme") == later


async def test_a_mark_that_cannot_be_read_is_none(broker: Broker) -> None:
    """And a tenant without one has none."""
    one = Term(broker, shared=False, interval=60)
    assert one.held
    assert await one.mark("acme") is None
    await one.save("acme", CURSOR)
    assert await one.mark("acme") == CURSOR
    [found] = (await broker.lookup(term.TENANT, ["mark/acme"])).events
    assert found is not None
    await broker.remove(term.TENANT, found.channel, ["mark/acme"])
    assert await Term(broker, shared=False, interval=60).mark("acme") is None
