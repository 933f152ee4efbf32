"""Two hubs on one Redis show the same events; their viewers outlive an outage of Redis."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer, running_redis
from tests.support.sse_client import outline, stream
from tests.support.waiting import eventually

pytestmark = pytest.mark.redis

channels = (f"two-hubs-{number}" for number in itertools.count())


@pytest.fixture
def hubs(redis_server: RedisServer) -> Iterator[tuple[LiveHub, LiveHub]]:
    """Two hubs that share only Redis."""
    with live_hub(redis_server.url) as one, live_hub(redis_server.url) as other:
        yield one, other


def test_a_viewer_on_each_sees_the_same_events(hubs: tuple[LiveHub, LiveHub]) -> None:
    """Order, ids and bytes are the same, whichever hub was published through."""
    channel = next(channels)
    with stream(hubs[0], channel=channel) as one, stream(hubs[1], channel=channel) as other:
        one.until("ready")
        other.until("ready")
        for number in range(20):
            publish(hubs[number % 2], f"{channel}/{number}", "complete", channel=channel)
        seen = [[client.event() for _ in range(20)] for client in (one, other)]
        assert seen[0] == seen[1]
        assert [frame.json["content_id"] for frame in seen[0]] == [f"{channel}/{number}" for number in range(20)]


def test_a_viewer_moves_between_hubs_with_its_cursor(hubs: tuple[LiveHub, LiveHub]) -> None:
    """A viewer that alternates between the hubs sees each event once, in order."""
    channel = next(channels)
    cursor: str | None = None
    seen: list[str] = []
    for number in range(12):
        publish(hubs[0], f"{channel}/{2 * number}", "complete", channel=channel)
        publish(hubs[1], f"{channel}/{2 * number + 1}", "complete", channel=channel)
        with stream(hubs[number % 2], channel=channel, cursor=cursor) as client:
            *frames, ready = client.until("ready")
            seen += [frame.json["content_id"] for frame in frames]
            cursor = frames[-1].id
            assert ready.json["cursor"] >= str(cursor)
    assert seen == [f"{channel}/{number}" for number in range(24)]


def test_a_hub_that_lags_neither_resets_nor_repeats(hubs: tuple[LiveHub, LiveHub]) -> None:
    """A cursor ahead of the hub's replica may be valid: the hub reads the clock before it answers."""
    channel = next(channels)
    ahead, lagging = hubs
    with stream(lagging, channel=channel) as client:
        client.until("ready")
    lagging.call(lagging.hub.ingest.lost)
    cursor = publish(ahead, "a", "complete", channel=channel)
    with stream(lagging, channel=channel, cursor=cursor) as client:
        lagging.call(lagging.hub.ingest.restored)
        assert outline(client.until("ready")) == [("ready", "")]
        publish(ahead, "b", "complete", channel=channel)
        assert client.event().json["content_id"] == "b"


@pytest.mark.parametrize("with_data", [True, False])
def test_streams_outlive_a_restart_of_redis(tmp_path: Path, with_data: bool) -> None:
    """The stream stays open; a new epoch resets it to what Redis kept."""
    with running_redis(tmp_path) as redis, live_hub(redis.url, heartbeat=0.2) as hub, stream(hub) as client:
        client.until("ready")
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"
        redis.kill()
        eventually(lambda: httpx.get(f"{hub.base_url}/readyz").status_code == 503)
        assert client.frame().event == "heartbeat"
        if not with_data:
            redis.forget()
        redis.start()
        frames = client.until("ready")
        kept = [("processing_complete", "a")] if with_data else []
        assert outline(frames) == [("reset", ""), *kept, ("ready", "")]
        publish(hub, "b", "complete")
        assert client.event().json["content_id"] == "b"
        eventually(lambda: httpx.get(f"{hub.base_url}/readyz").status_code == 200)


def test_polls_answer_from_memory_while_redis_is_away(tmp_path: Path) -> None:
    """A replica's state is answered with its age, an unknown channel with 503 and `Retry-After`."""
    with running_redis(tmp_path) as redis, live_hub(redis.url) as hub:
        publish(hub, "a", "complete")
        with httpx.Client(base_url=hub.base_url) as client:
            assert "age" not in client.get("/api/contents/c/status").headers
            redis.kill()
            eventually(lambda: "age" in client.get("/api/contents/c/status").headers)
            assert client.get("/api/contents/c/status").json()["total_completed"] == 1
            known = client.post("/api/contents/status/batch", json={"content_ids": ["a"]})
            assert known.json()["statuses"][0]["status"] == "complete"
            assert int(known.headers["age"]) >= 0
            unknown = client.get("/api/contents/other/status")
            assert unknown.status_code == 503
            assert int(unknown.headers["retry-after"]) > 0
            refused = client.post(
                "/api/publish", json={"channel": "c", "content_id": "b", "data": {"status": "complete"}}
            )
            assert refused.status_code == 503


def test_a_stream_opened_while_redis_is_away_waits_for_it(tmp_path: Path) -> None:
    """The stream opens, sends heartbeats, and is ready when Redis is back."""
    with running_redis(tmp_path) as redis, contextlib.ExitStack() as stack:
        redis.stop()
        hub = stack.enter_context(live_hub(redis.url, heartbeat=0.2))
        client = stack.enter_context(stream(hub))
        assert client.frame().retry
        assert client.frame().event == "heartbeat"
        redis.start()
        assert outline(client.until("ready")) == [("ready", "")]
