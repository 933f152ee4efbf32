"""What patterns keep in memory, and what is left when they are watched no longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.intervals import Intervals
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream, outline
from tests.support.waiting import eventually

DATABASE: Final = 11
UNAUDITED: Final = Intervals(audit=3600.0, directory=3600.0, eviction=3600.0, idle=0.0)
"""Whatever has no subscriber is idle immediately; evictions and audits are the tests'."""


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def hub(request: pytest.FixtureRequest) -> Iterator[LiveHub]:
    """A hub that finds nothing by audits, on each broker."""
    broker = "memory:"
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.command("-n", str(DATABASE), "FLUSHDB")
        broker = f"redis://127.0.0.1:{server.port}/{DATABASE}"
    with live_hub(broker, http=HandoverProtocol, intervals=UNAUDITED) as hub:
        yield hub


def test_channels_of_a_watched_pattern_are_not_evicted(hub: LiveHub) -> None:
    """However long they are idle: its viewers, and those that come later, get each content once."""
    publish(hub, "a", "generating", channel="jobs/1")
    with open_stream(hub.base_url, "/api/events?match=jobs/**") as first:
        first.until("ready")
        publish(hub, "b", "generating", channel="jobs/2")
        first.event()
        hub.run(hub.hub.evictor.evict())
        for content, channel in (("a", "jobs/1"), ("b", "jobs/2")):
            publish(hub, content, "complete", channel=channel)
        expected = [("processing_complete", "a"), ("processing_complete", "b")]
        assert outline([first.event() for _ in expected]) == expected
        with open_stream(hub.base_url, "/api/events?match=jobs/**") as second:
            assert outline(second.until("ready")) == [*expected, ("ready", "")]


def test_a_born_channel_is_heard_after_its_pattern_ended(hub: LiveHub) -> None:
    """A channel that came into being while its tenant was followed has no subscription of its own until then."""
    with open_stream(hub.base_url, "/api/events?match=jobs/**") as pattern:
        pattern.until("ready")
        publish(hub, "a", "generating", channel="jobs/1")
        pattern.event()
        channel = open_stream(hub.base_url, "/api/contents/jobs/1/events")
        client = channel.__enter__()
    try:
        client.until("ready")

        def unfollowed() -> bool:
            hub.run(hub.hub.directories.audit())
            return not hub.hub.registry.directories()

        eventually(unfollowed)
        heard = hub.hub.counts.announcements
        publish(hub, "x", "complete", channel="films")
        cursor = publish(hub, "a", "complete", channel="jobs/1")
        assert client.event().id == cursor
        # Nothing of other channels: the tenant is followed no longer.
        assert hub.hub.counts.announcements == heard + 1
    finally:
        channel.__exit__(None, None, None)
