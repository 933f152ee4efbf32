"""Channels of polled contents are followed: later polls are answered from memory, with the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest

from statushub.hub.brokers.contract import Found
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.replicas.polls import FOLLOWED_CHANNELS
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.waiting import eventually


class CountingBroker(EmbeddedBroker):
    """Counts its lookups."""

    def __init__(self) -> None:
        super().__init__(None)
        self.lookups = 0

    async def lookup(self, tenant: str, content_ids: Sequence[str]) -> Found:
        self.lookups += 1
        return await super().lookup(tenant, content_ids)


@pytest.fixture
def broker() -> CountingBroker:
    return CountingBroker()


@pytest.fixture
def hub(broker: CountingBroker) -> Iterator[LiveHub]:
    with live_hub(broker) as hub:
        yield hub


def publish(hub: LiveHub, *places: tuple[str, str], **data: Any) -> None:
    """Publish a status for each (channel, content)."""
    events = [
        {"channel": channel, "content_id": id, "data": {"status": "generating", **data}} for channel, id in places
    ]
    publish_all(hub, events)


def poll(hub: LiveHub, *content_ids: str) -> bytes:
    """The answer to a batch poll."""
    answer = httpx.post(f"{hub.base_url}/api/contents/status/batch", json={"content_ids": content_ids})
    return answer.raise_for_status().content


def test_the_second_poll_is_answered_from_the_replica(hub: LiveHub, broker: CountingBroker) -> None:
    """Both answers are equal, and a later change is answered without another lookup."""
    publish(hub, ("ch", "x"), ("ch", "y"), note="früher")
    first = poll(hub, "x", "y")
    replica = hub.hub.synchronizer.obtain("default", "ch")
    eventually(lambda: replica.live)
    assert (poll(hub, "x", "y"), poll(hub, "x", "y")) == (first, first)
    assert broker.lookups == 1
    publish(hub, ("ch", "x"), note="später")
    eventually(lambda: "später" in poll(hub, "x", "y").decode())
    assert poll(hub, "y", "x").decode().count("früher") == 1
    assert broker.lookups == 1


def test_a_polled_channel_stays_followed(hub: LiveHub) -> None:
    """Each poll restarts the idle time of the replica."""
    publish(hub, ("ch", "x"))
    poll(hub, "x")
    replica = hub.hub.synchronizer.obtain("default", "ch")
    eventually(lambda: replica.live)
    replica.idle_since = 0.0
    poll(hub, "x")
    assert replica.idle_since > 0.0


def test_a_poll_across_many_channels_follows_none(hub: LiveHub, broker: CountingBroker) -> None:
    """Contents of too many channels are read from the broker each time."""
    places = [(f"ch{number}", f"x{number}") for number in range(FOLLOWED_CHANNELS + 1)]
    publish(hub, *places)
    for _ in range(2):
        poll(hub, *(content_id for _, content_id in places))
    assert broker.lookups == 2
    assert not list(hub.hub.registry)
