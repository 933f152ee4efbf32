"""What a hub does when announcements are lost: it notices, repairs, and no viewer misses an ending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from hub.brokers import open_broker
from hub.brokers.base import Broker, Listener
from hub.handover import HandoverProtocol
from hub.model import Announcement, Event
from tests.live import live_hub
from tests.sse_client import open_stream
from tests.test_streams import publish, said, stream

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]


class Losing:
    """A listener that passes on what `keep` lets through: a link that loses announcements."""

    def __init__(self, listener: Listener, keep: Callable[[Event], bool]) -> None:
        self.listener = listener
        self.keep = keep

    def announced(self, batch: Sequence[Announcement]) -> None:
        kept = [announcement for announcement in batch if self.keep(announcement.event)]
        self.listener.announced(kept)

    def lost(self) -> None:
        self.listener.lost()

    def restored(self) -> None:
        self.listener.restored()


def losing_broker(keep: Callable[[Event], bool]) -> Broker:
    """An embedded broker whose announcements get lost on the way to the hub."""
    broker = open_broker("memory:")
    listen = broker.listen
    broker.listen = lambda listener: listen(Losing(listener, keep))  # type: ignore[method-assign]
    return broker


@pytest.mark.parametrize("http", PATHS)
def test_a_hole_is_repaired_before_anything_later_is_shown(http: Any) -> None:
    """A lost announcement shows with the next one of its channel, and is read from the broker first."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "lost", "complete")
        publish(hub, "seen", "complete")
        frames = client.until_content(content_id="seen")
        assert said(frames) == [("processing_complete", "lost"), ("processing_complete", "seen")]
        assert [frame.offset for frame in frames] == [1, 2]


@pytest.mark.parametrize("http", PATHS)
def test_a_viewer_that_was_overtaken_is_reset(http: Any) -> None:
    """On a stream of two channels, what was lost on one lies before what came on the other: no growing id
    can bring it, so everything comes anew."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http) as hub, open_stream(hub.base_url, "/api/events?channel=a&channel=b") as client:
        client.until("ready")
        publish(hub, "lost", "complete", channel="a")
        publish(hub, "other", "complete", channel="b")
        assert client.event().json["content_id"] == "other"
        publish(hub, "seen", "complete", channel="a")
        frames = client.until("ready")
        assert said(frames) == [
            ("reset", ""),
            ("processing_complete", "lost"),
            ("processing_complete", "other"),
            ("processing_complete", "seen"),
            ("ready", ""),
        ]


@pytest.mark.parametrize("http", PATHS)
def test_streams_outlive_a_lost_broker_and_catch_up(http: Any) -> None:
    """While announcements are interrupted a stream stays; what was published meanwhile comes with the return."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker, http=http, heartbeat=0.2) as hub, stream(hub) as client:
        client.until("ready")
        hub.call(hub.hub.lost)
        publish(hub, "lost", "complete")
        assert client.frame().event == "heartbeat"
        with stream(hub) as newcomer:
            # What was known is shown; that it is all of today's is not claimed.
            assert newcomer.frame().retry
            assert newcomer.frame().event == "heartbeat"
            hub.call(hub.hub.restored)
            for viewer in (client, newcomer):
                assert viewer.event().json["content_id"] == "lost"
            assert newcomer.event().event == "ready"


@pytest.mark.parametrize("http", PATHS)
def test_a_repair_that_nobody_sees_sends_nothing(http: Any) -> None:
    """After an interruption in which nothing was published, the stream goes on without a word."""
    with live_hub("memory:", http=http) as hub, stream(hub) as client:
        client.until("ready")
        hub.call(hub.hub.lost)
        hub.call(hub.hub.restored)
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"
