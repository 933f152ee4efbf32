"""What the bridge publishes, against a real broker: idempotent at several hubs, and never older than what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.model.event import Event, decode
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication, publication, stalled
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.status import Status
from statushub.hub.model.vocabulary import Phase
from statushub.hub.sources.bridged import MARK, bridged

pytestmark = pytest.mark.anyio


def keys(phase: Phase = Phase.PROCESSING, **data: Any) -> Status:
    return Status(phase=phase, data=data)


async def held(broker: Broker) -> Event | None:
    return (await broker.lookup(DEFAULT_TENANT, ["v"])).events[0]


async def published(broker: Broker, *made: Publication | None) -> Sequence[Receipt]:
    return await broker.publish(DEFAULT_TENANT, [it for it in made if it])


def made(event: Event | None, state: Status | None, *, changed: bool = True) -> Publication | None:
    return bridged("videos", "v", event, state, changed=changed)


async def test_two_bridges_that_read_the_same_publish_once() -> None:
    """The second is a repeat: it gets the first one's cursor, and nothing is stored or announced."""
    async with open_broker("memory:") as broker:
        for state in (keys(progress=1), keys(Phase.COMPLETED), keys(progress=2), keys(Phase.FAILED)):
            before = await held(broker)
            first, second = await published(broker, made(before, state), made(before, state))
            assert first.accepted
            assert second.cursor == first.cursor
            after = await held(broker)
            assert made(after, state) is None


async def test_a_bridge_that_has_read_earlier_is_refused() -> None:
    """An older reading of the keys never replaces a newer one: the other bridge has taken its number."""
    async with open_broker("memory:") as broker:
        await published(broker, made(None, keys(progress=1)))
        late = made(await held(broker), keys(progress=2))
        await published(broker, made(await held(broker), keys(progress=3)))
        await published(broker, late)
        assert decode((await held(broker) or pytest.fail("gone")).data)["progress"] == 3
        late = made(await held(broker), keys(progress=4))
        await published(broker, made(await held(broker), keys(progress=5)))
        await published(broker, made(await held(broker), keys(Phase.COMPLETED)))
        [receipt] = await published(broker, late)
        assert receipt.reason is Refusal.SUPERSEDED


async def test_an_ending_is_reopened_only_by_a_change() -> None:
    """Also one that the keys do not tell of, by which the lease of a silent worker ended."""
    async with open_broker("memory:") as broker:
        await published(broker, made(None, keys(progress=1)))
        await published(broker, made(await held(broker), keys(Phase.FAILED, error_reason="a", progress=1)))
        assert made(await held(broker), keys(Phase.FAILED, error_reason="a", progress=2)) is None
        await published(broker, made(await held(broker), keys(Phase.FAILED, error_reason="b", progress=1)))
        await published(broker, made(await held(broker), keys(progress=1)))
        event = await held(broker)
        assert event
        await published(broker, stalled(event))
        assert made(await held(broker), keys(progress=1)) is None
        [receipt] = await published(broker, made(await held(broker), keys(progress=2)))
        assert receipt.attempt == 4


async def test_the_run_of_the_bridge_is_the_oldest() -> None:
    """It supersedes no run of a producer, not even one that began in between, and each of these supersedes it."""
    async with open_broker("memory:") as broker:
        late = made(None, keys(progress=1))
        theirs = publication(
            channel="videos", content_id="v", data={"status": "generating"}, run="r", seq=1, age_ms=60_000
        )
        await published(broker, theirs)
        [receipt] = await published(broker, late)
        assert receipt.reason is Refusal.SUPERSEDED
        assert made(await held(broker), keys(Phase.COMPLETED)) is None


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED])
def test_an_old_ending_is_left_to_the_source(phase: Phase) -> None:
    """A scan of a Redis with years of videos publishes none of them."""
    assert made(None, keys(phase), changed=False) is None
    assert made(None, keys(phase)) is not None
    assert made(None, keys(), changed=False) is not None
    assert made(None, None) is None


def test_fields_that_break_rules_do_not_hide_the_status() -> None:
    """What means something else in the hub is left out, and the known fields are published without the others."""
    found = made(None, keys(progress=4, timestamp="soon", content_id="w", channel_id=7, video_keys=1, title="t"))
    assert found
    data = decode(found.data)
    assert (data["content_id"], data["channel_id"], data["title"]) == ("v", "videos", "t")
    assert data[MARK].startswith("1:")
    found = made(None, keys(progress=4, step="s", log="x" * 70_000))
    assert found
    data = decode(found.data)
    assert (data["progress"], data["step"], "log" in data) == (4, "s", False)
