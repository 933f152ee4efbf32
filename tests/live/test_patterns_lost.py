"""Lost announcements beside streams of patterns: whatever they meet on their way, no viewer misses an event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.intervals import Intervals
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.replicas.directory import Directory
from tests.support.held_broker import HeldBroker
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish, publish_all
from tests.support.redis_server import RedisServer
from tests.support.sse_client import StreamClient, open_stream
from tests.support.waiting import eventually

DATABASE: Final = 10
UNAUDITED: Final = Intervals(audit=3600.0, directory=3600.0, eviction=3600.0)
"""What is lost shows by announcements only."""


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def held(request: pytest.FixtureRequest) -> HeldBroker:
    """A broker whose reads and announcements the test holds up and loses."""
    if request.param == "embedded":
        return HeldBroker(open_broker("memory:"))
    server: RedisServer = request.getfixturevalue("redis_server")
    server.command("-n", str(DATABASE), "FLUSHDB")
    return HeldBroker(open_broker(f"redis://127.0.0.1:{server.port}/{DATABASE}"))


@pytest.fixture
def hub(held: HeldBroker) -> Iterator[LiveHub]:
    """A hub over that broker, with a content in each of the channels `jobs/a` and `jobs/b`."""
    with live_hub(held.broker, http=HandoverProtocol, intervals=UNAUDITED) as hub:
        for channel in ("jobs/a", "jobs/b"):
            publish(hub, channel, "generating", channel=channel)
        yield hub


def ready(client: StreamClient) -> None:
    """Read the states that there were first."""
    assert len(client.until("ready")) == 3


def contents(client: StreamClient, last: str) -> list[str]:
    """The contents of the events up to that of `last`, and the types of other frames."""
    frames = client.until_content(content_id=last)
    return [frame.json.get("content_id", frame.event) for frame in frames if frame.event != "heartbeat"]


def lose(held: HeldBroker, *lost: str) -> None:
    """Lose the announcements of these contents."""
    held.keep = lambda event: event.content_id not in lost


def directory(hub: LiveHub) -> Directory:
    """The directory of the tenant, which is followed."""
    found = hub.hub.registry.directory(DEFAULT_TENANT)
    assert found is not None
    return found


def live(hub: LiveHub, channel: str) -> bool:
    """Whether announcements keep the channel's replica true."""
    replica = hub.hub.registry.find(DEFAULT_TENANT, channel)
    return replica is not None and replica.live


def test_what_was_applied_before_a_gap_is_written(held: HeldBroker, hub: LiveHub) -> None:
    """An event and the next one of its channel come in one batch, and one of another channel between them was lost: the
    first one is sent before the viewers wait for what is missing."""
    with (
        open_stream(hub.base_url, "/api/events?match=jobs/**") as pattern,
        open_stream(hub.base_url, "/api/contents/jobs/a/events") as channel,
    ):
        ready(pattern)
        channel.until("ready")
        lose(held, "lost")
        held.hold()
        publish_all(
            hub,
            [
                {"channel": f"jobs/{channel}", "content_id": content, "data": {"status": "generating"}}
                for channel, content in (("a", "first"), ("b", "lost"), ("a", "second"))
            ],
        )
        eventually(lambda: len(held.held or []) == 3)
        hub.call(held.release)
        assert contents(pattern, "second") == ["first", "lost", "second"]
        assert contents(channel, "second") == ["first", "second"]


def test_a_read_from_before_a_loss_is_read_again(held: HeldBroker, hub: LiveHub) -> None:
    """Channels are read while the tenant is not heard, and an announcement is lost after their reads: once it is heard
    again, they are read again."""
    with open_stream(hub.base_url, "/api/events?match=jobs/**") as pattern:
        ready(pattern)
        held.follows.shut()
        held.answers.shut()
        lose(held, "first", "third")
        publish(hub, "first", "generating", channel="jobs/a")
        publish(hub, "second", "generating", channel="jobs/b")
        eventually(lambda: (held.follows.waiting, held.answers.waiting) == (1, 2))
        publish(hub, "third", "generating", channel="jobs/b")
        hub.call(held.follows.open)
        eventually(lambda: directory(hub).hearing)
        hub.call(held.answers.open)
        publish(hub, "fourth", "generating", channel="jobs/a")
        assert contents(pattern, "fourth") == ["first", "second", "third", "fourth"]


def test_a_viewer_that_passed_a_lost_event_is_reset(held: HeldBroker, hub: LiveHub) -> None:
    """A viewer of two channels got a later event of one before a lost one of the other was read: no growing id can
    bring it, so the stream is reset. That of the pattern waited, and gets everything in order."""
    with (
        open_stream(hub.base_url, "/api/events?channel=jobs/a&channel=jobs/b") as channels,
        open_stream(hub.base_url, "/api/events?match=jobs/**") as pattern,
    ):
        ready(channels)
        ready(pattern)
        held.follows.shut()
        lose(held, "first", "third")
        publish(hub, "first", "generating", channel="jobs/a")
        publish(hub, "second", "generating", channel="jobs/b")
        assert contents(channels, "second") == ["first", "second"]
        publish(hub, "third", "generating", channel="jobs/b")
        publish(hub, "fourth", "generating", channel="jobs/a")
        assert contents(channels, "fourth") == ["fourth"]
        hub.call(held.follows.open)
        assert channels.event().event == "reset"
        assert contents(channels, "fourth") == ["jobs/a", "jobs/b", "first", "second", "third", "fourth"]
        assert contents(pattern, "fourth") == ["first", "second", "third", "fourth"]


def test_a_channel_that_is_read_further_than_was_heard_waits(held: HeldBroker, hub: LiveHub) -> None:
    """One channel is read up to an event whose announcement has not arrived: it is sent only after the event of another
    channel that lies before it."""
    with open_stream(hub.base_url, "/api/events?match=jobs/**") as pattern:
        ready(pattern)
        held.reads.shut()
        lose(held, "first")
        publish(hub, "first", "generating", channel="jobs/a")
        publish(hub, "second", "generating", channel="films")
        eventually(lambda: directory(hub).hearing and live(hub, "jobs/b") and held.reads.waiting == 1)
        held.hold()
        publish(hub, "third", "generating", channel="jobs/b")
        publish(hub, "fourth", "generating", channel="jobs/a")
        eventually(lambda: len(held.held or []) == 2)
        hub.call(held.reads.open)
        assert contents(pattern, "first") == ["first"]
        hub.call(held.release)
        assert contents(pattern, "fourth") == ["third", "fourth"]
