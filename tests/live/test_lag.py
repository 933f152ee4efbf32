"""Time does not go backwards: a hub that knows less than its client says so, and shows nothing older."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from statushub.hub.model.cursor import Cursor, epoch_at
from statushub.hub.model.names import DEFAULT_TENANT
from tests.support.live import LiveHub, live_hub
from tests.support.losing_broker import losing_broker
from tests.support.publications import update
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer, running_redis
from tests.support.sse_client import outline, stream
from tests.support.waiting import eventually

USER = ("ACL", "SETUSER", "late", "on", ">pw", "~*", "&*", "+@all")
"""A hub whose user does not exist, as after a restart of Redis, is cut off."""

PROGRESS = "/api/v1/media/videos/a/progress/"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        server.command(*USER)
        yield server


@contextlib.contextmanager
def hubs(redis: RedisServer, *, patience: float) -> Iterator[tuple[LiveHub, LiveHub]]:
    """Two hubs that know a content; then Redis restarts, one of them is cut off from it, and the work ends."""
    late = f"redis://late:pw@127.0.0.1:{redis.port}/0"
    with live_hub(redis.url) as ahead, live_hub(late, heartbeat=0.1, patience=patience) as behind:
        publish(ahead, "a", "generating")
        with stream(behind) as client:
            client.until("ready")
            redis.kill()
            redis.start()
            eventually(lambda: httpx.get(f"{ahead.base_url}/readyz").status_code == 200)
            eventually(lambda: httpx.get(f"{behind.base_url}/readyz").status_code == 503)
        yield ahead, behind


@pytest.mark.redis
def test_a_stream_that_moves_to_a_hub_that_is_behind_waits(redis: RedisServer) -> None:
    """It gets heartbeats, and once the hub has caught up `ready`: neither a reset nor the older state."""
    with hubs(redis, patience=60) as (ahead, behind):
        cursor = publish(ahead, "a", "complete")
        with stream(behind, cursor=cursor) as client:
            assert client.frame().retry
            assert [client.frame().event for _ in range(5)] == ["heartbeat"] * 5
            redis.command(*USER)
            assert outline(client.until("ready")) == [("ready", "")]
            publish(ahead, "b", "complete")
            assert client.event().json["content_id"] == "b"


@pytest.mark.redis
def test_polls_of_a_hub_that_is_behind_are_refused(redis: RedisServer) -> None:
    """Each poll with a later cursor is 503 with `Retry-After`; a video's progress is what is held, with its age."""
    with hubs(redis, patience=60) as (ahead, behind), httpx.Client(base_url=behind.base_url) as client:
        cursor = publish(ahead, "a", "complete")
        known, asked = {"If-None-Match": f'"{cursor}"'}, {"content_ids": ["a"]}
        answers = [
            client.get("/api/contents/c/changes", params={"since": cursor}),
            client.get("/api/contents/c/changes", params={"since": cursor, "wait": "0.2"}),
            client.get("/api/contents/c", headers=known),
            client.get("/api/contents/c/status", headers=known),
            client.get("/api/channels", headers={"If-None-Match": f'"{cursor}.0123456789abcdef"'}),
            client.post("/api/contents/status/batch", json=asked, headers=known),
        ]
        assert [answer.status_code for answer in answers] == [503] * len(answers)
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        progress = client.get(PROGRESS, headers=known)
        assert (progress.status_code, progress.json()["status"]) == (200, "PROCESSING")
        assert int(progress.headers["age"]) > 0
        redis.command(*USER)
        eventually(lambda: client.get("/api/contents/c", headers=known).status_code == 304)
        assert client.get("/api/contents/c/changes", params={"since": cursor}).json()["reset"] is False
        assert client.get(PROGRESS).json()["status"] == "READY"


@pytest.mark.redis
def test_a_cursor_is_void_when_the_patience_ends(redis: RedisServer) -> None:
    """After that time the stream is reset to what the hub holds, and polls answer it."""
    with hubs(redis, patience=0.5) as (ahead, behind):
        cursor = publish(ahead, "a", "complete")
        with stream(behind, cursor=cursor) as client:
            frames = client.until_content(content_id="a")
            assert outline([it for it in frames if it.event not in (None, "heartbeat")]) == [
                ("reset", ""),
                ("content_status_update", "a"),
            ]
        poll = httpx.get(f"{behind.base_url}/api/contents/c/changes", params={"since": cursor})
        assert (poll.status_code, poll.json()["reset"]) == (200, True)


@pytest.mark.parametrize("broker", ["memory:", "redis"])
def test_a_forged_epoch_is_void_at_once(broker: str, request: pytest.FixtureRequest) -> None:
    """An epoch that lies hours ahead of the hub's clock was never issued."""
    url = broker if broker == "memory:" else request.getfixturevalue("redis").url
    with live_hub(url) as hub:
        publish(hub, "a", "complete")
        forged = Cursor(epoch=epoch_at(round((time.time() + 2 * 3600) * 1e6)), offset=5)
        for cursor in (str(forged), "zzzzzzzzzzzzzzzzzzzz-5"):
            with stream(hub, cursor=cursor) as client:
                assert outline(client.until("ready")) == [("reset", ""), ("processing_complete", "a"), ("ready", "")]


def test_an_epoch_of_the_last_hour_that_never_comes_is_void_later() -> None:
    """The hub looks for it as long as its patience lasts, and other streams go on meanwhile."""
    with live_hub("memory:", patience=0.5, heartbeat=0.1) as hub, stream(hub) as other:
        other.until("ready")
        cursor = Cursor(epoch=epoch_at(round((time.time() + 60) * 1e6)), offset=5)
        with stream(hub, cursor=str(cursor)) as client:
            publish(hub, "a", "complete")
            assert other.event().json["content_id"] == "a"
            frames = [frame for frame in client.until("ready") if frame.event not in (None, "heartbeat")]
            assert outline(frames) == [("reset", ""), ("processing_complete", "a"), ("ready", "")]


def test_a_conditional_poll_does_not_go_back() -> None:
    """A hub that has missed the announcement of what the client holds reads it before it answers."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker) as hub, httpx.Client(base_url=hub.base_url) as client:
        asked = {"content_ids": ["a", "lost"]}
        publish(hub, "a", "complete")
        publish(hub, "lost", "generating")
        client.get("/api/contents/c")
        client.post("/api/contents/status/batch", json=asked)
        cursor = publish(hub, "lost", "complete")
        known = {"If-None-Match": f'"{cursor}"'}
        batch = client.post("/api/contents/status/batch", json=asked, headers=known)
        assert batch.status_code == 304
        for path in ("/api/contents/c", "/api/contents/c/status"):
            assert client.get(path, headers=known).status_code == 304
        assert client.get("/api/contents/c/status").json()["total_completed"] == 2


def test_a_conditional_poll_sees_that_a_content_was_removed() -> None:
    """The tag changes although what is left is older than the tag."""
    with live_hub("memory:", retention=1.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        asked = {"content_ids": ["a", "b"]}
        publish(hub, "a", "complete")
        hub.run(hub.hub.broker.publish(DEFAULT_TENANT, [update("b", channel="c")], retention=600.0))
        tags = [client.get("/api/contents/c").headers["etag"]]
        tags.append(client.post("/api/contents/status/batch", json=asked).headers["etag"])
        hub.run(hub.hub.broker.expire(time.time() + 5))
        whole = client.get("/api/contents/c", headers={"If-None-Match": tags[0]})
        batch = client.post("/api/contents/status/batch", json=asked, headers={"If-None-Match": tags[1]})
        assert (whole.status_code, [it["content_id"] for it in whole.json()["contents"]]) == (200, ["b"])
        assert [line["status"] for line in batch.json()["statuses"]] == ["not_found", "generating"]


def test_a_content_that_moved_is_answered_from_its_new_channel() -> None:
    """The state in the channel that it left is not shown, whichever of the two the hub follows."""
    with live_hub("memory:", retention=1.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        publish(hub, "a", "complete", channel="old")
        client.get("/api/contents/old")
        hub.run(hub.hub.broker.expire(time.time() + 5))
        publish(hub, "a", "generating", channel="new")
        for _ in range(2):
            batch = client.post("/api/contents/status/batch", json={"content_ids": ["a"]}).json()
            assert (batch["statuses"][0]["status"], batch["statuses"][0]["channel_id"]) == ("generating", "new")
            client.get("/api/contents/new")
