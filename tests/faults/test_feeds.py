"""Feeds while hubs and Redis are killed: nothing that was acknowledged is lost, and nothing that is repeated counts
twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from statushub.hub.model.feed_names import user_channel
from tests.support.effort import part
from tests.support.hub_process import HubProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

KILLS: Final = 10
USERS: Final = ("ann", "bob", "eve")
VIDEOS: Final = tuple(f"v{n}" for n in range(5))
BATCH: Final = 8


class Writer:
    """Writes batches at random, each repeated with its ids until it is acknowledged, in a thread of its own."""

    def __init__(self, url: str, number: int) -> None:
        self.likes: dict[tuple[str, str], bool] = {}
        self.views = dict.fromkeys(VIDEOS, 0)
        self.notices = dict.fromkeys(USERS, 0)
        self.batches = 0
        self.repeats = 0
        self._url = url
        self._number = number
        self._rng = random.Random()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=5) as client:
            while not self._ended.is_set():
                self.batches += 1
                self._deliver(client, [self._write(place) for place in range(BATCH)])

    def _write(self, place: int) -> dict[str, Any]:
        id, video = f"{self._number}-{self.batches}-{place}", self._rng.choice(VIDEOS)
        match self._rng.randrange(3):
            case 0:
                # Of this writer only, so that its last word is the state.
                user, liked = f"{self._rng.choice(USERS)}-{self._number}", self._rng.random() < 0.6
                self.likes[user, video] = liked
                return {"op": "like", "id": id, "user_id": user, "video_id": video, "liked": liked}
            case 1:
                views = self._rng.randint(1, 5)
                self.views[video] += views
                return {"op": "count", "id": id, "video_id": video, "views": views}
        user = self._rng.choice(USERS)
        self.notices[user] += 1
        return {"op": "notify", "id": id, "user_id": user, "category": "fault"}

    def _deliver(self, client: httpx.Client, writes: list[dict[str, Any]]) -> None:
        while True:
            try:
                answer = client.post("/v1/feed/writes", json={"writes": writes})
                if answer.status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            # Until it is acknowledged, also at the end of the test.
            self.repeats += 1
            time.sleep(0.05)


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HubProcess, RedisServer | None]]:
    """A hub, and its Redis where it has one."""
    with ExitStack() as stack:
        redis, broker = None, f"sqlite:///{tmp_path / 'hub.db'}"
        if request.param == "redis":
            redis = RedisServer(tmp_path)
            redis.start()
            stack.callback(redis.kill)
            broker = redis.url
        hub = HubProcess(tmp_path, broker=broker, feed="on")
        hub.start()
        stack.callback(hub.kill)
        yield hub, redis


def test_feeds_survive_kills(processes: tuple[HubProcess, RedisServer | None]) -> None:
    """Sets, counters and notifications are exactly what was written once, and the announced counters become these."""
    hub, redis = processes
    rng = random.Random()
    writers = [Writer(hub.base_url, number) for number in range(2)]
    try:
        for _ in range(part(KILLS)):
            before = [writer.batches for writer in writers]
            eventually(lambda before=before: all(w.batches > b + 2 for w, b in zip(writers, before, strict=True)))  # type: ignore[misc]
            if redis is not None and rng.random() < 0.5:
                redis.kill()
                redis.start()
            else:
                hub.kill()
                hub.start()
    finally:
        for writer in writers:
            writer.close()
    with httpx.Client(base_url=hub.base_url, timeout=30) as client:
        likes = {key: liked for writer in writers for key, liked in writer.likes.items()}
        expected = {
            video: {
                "view_count": sum(writer.views[video] for writer in writers),
                "like_count": sum(liked for (_, of), liked in likes.items() if of == video),
            }
            for video in VIDEOS
        }
        answer = client.post("/v1/videos/batch-metadata", json={"video_ids": VIDEOS}).json()["videos"]
        found = {video: {name: counts[name] for name in expected[video]} for video, counts in answer.items()}
        assert found == expected

        def announced() -> bool:
            named = "&".join(f"content_id={video}" for video in VIDEOS)
            events = client.get(f"/api/contents/feed/videos/changes?{named}").json()["events"]
            told = {event["data"]["video_id"]: event["data"] for event in events}
            return {
                video: {name: told.get(video, {}).get(name, 0) for name in counts} for video, counts in expected.items()
            } == expected

        eventually(announced)
        for user in USERS:
            written = min(sum(writer.notices[user] for writer in writers), 1_000)
            channel = user_channel(user)

            def unread(channel: str = channel) -> int | None:
                events = client.get(f"/api/contents/{channel}/changes").json()["events"]
                return next((it["data"]["unread_count"] for it in events if it["type"] == "unread_count"), None)

            eventually(lambda unread=unread, written=written: (unread() or 0) == written)  # type: ignore[misc]
