"""Producers write into feeds: over HTTP and straight into Redis, one by one, in batches, and from files."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub import Invalid, Producer, SyncProducer
from statushub.feeds import Batch, Feed, SyncFeed
from tests.support.command import command
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream

COUNTED = {"view_count": 0, "like_count": 0, "comment_count": 0, "remix_count": 0, "glitch_count": 0}


@pytest.fixture(params=["http", pytest.param("redis", marks=pytest.mark.redis)])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[LiveHub, str]]:
    """A hub with feeds, and the address that a producer is given."""
    url = "memory:"
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        url = server.url
    with live_hub(url, feed=True) as hub:
        yield hub, url if request.param == "redis" else hub.base_url


def counts(hub: LiveHub, video: str) -> dict[str, int]:
    answer = httpx.post(f"{hub.base_url}/v1/videos/batch-metadata", json={"video_ids": [video]}, timeout=30)
    found: dict[str, int] = answer.json()["videos"].get(video, {})
    return found


def test_a_producer_writes_one_by_one_and_in_batches(served: tuple[LiveHub, str]) -> None:
    """Each call says whether it changed something; what is written is announced, over either way."""
    hub, url = served
    path = "/api/events?channel=feed/videos&content_id=v1"
    with open_stream(hub.base_url, path) as stream, SyncProducer(url) as producer:
        stream.event("ready")
        feed = SyncFeed(producer)
        assert feed.like("ann", "v1")
        assert not feed.like("ann", "v1")
        assert feed.count("v1", views=3, id="once")
        assert not feed.count("v1", views=3, id="once")
        assert feed.follow("ann", "bob")
        assert feed.notify("ann", "job", title="Done")
        while (told := stream.event("stats_update").json)["view_count"] != 3:
            pass
        assert told["like_count"] == 1
        batch = Batch()
        for number in range(250):
            batch.count(f"b{number % 2}", comments=1)
        batch.unlike("ann", "v1")
        batch.delete("b1")
        batch.like("ann", "b1")
        assert feed.write(batch) == [True] * 252 + [False]
        assert (counts(hub, "b0")["comment_count"], counts(hub, "b1")) == (125, {})
        assert counts(hub, "v1") == COUNTED | {"view_count": 3}
        with pytest.raises(Invalid) as wrong:
            feed.count("v1", watched=1)
        assert wrong.value.field == "count"
        with pytest.raises(Invalid):
            feed.notify("ann", "job", created_at="now")


@pytest.mark.anyio
async def test_an_asynchronous_producer_writes(served: tuple[LiveHub, str]) -> None:
    """The same in asyncio."""
    hub, url = served
    async with Producer(url) as producer:
        feed = Feed(producer)
        assert await feed.like("ann", "v1")
        assert await feed.unlike("ann", "v1")
        assert await feed.count("v1", glitches=2)
        assert not await feed.unfollow("ann", "bob")
    assert counts(hub, "v1") == COUNTED | {"glitch_count": 2}


def imported(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command("feed", "import", *arguments, "--hub", url)


def test_feeds_are_imported_from_csv_and_sql(tmp_path: Path) -> None:
    """Each kind of row; what is imported again changes nothing."""
    likes, notes = tmp_path / "likes.csv", tmp_path / "notes.csv"
    likes.write_text("user_id,video_id,when\nann,v1,x\nbob,v1,y\n")
    notes.write_text("user_id,category,id,title\nann,job,n1,Done\nann,job,,More\n")
    database = tmp_path / "team.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE videos (id TEXT, seen INTEGER)")
        connection.executemany("INSERT INTO videos VALUES (?, ?)", [(f"v{n}", n) for n in range(300)])
    connection.close()
    query = "SELECT id AS video_id, seen AS views FROM videos"
    with live_hub(feed=True) as hub:
        calls: list[tuple[tuple[Any, ...], int, int]] = [
            (("likes", str(likes)), 2, 2),
            (("notifications", str(notes)), 2, 2),
            (("counts", "--source", f"sqlite:///{database}", "--query", query), 300, 299),
        ]
        for arguments, read, changed in calls:
            for expected in (changed, 0):
                done = imported(hub.base_url, *arguments)
                assert done.returncode == 0, done.stderr
                assert done.stdout == f"imported: {read} rows, of which {expected} changed something\n"
        assert counts(hub, "v1") == COUNTED | {"view_count": 1, "like_count": 2}
        broken = tmp_path / "broken.csv"
        broken.write_text("user,video_id\nann,v1\n")
        done = imported(hub.base_url, "likes", str(broken))
        assert (done.returncode, done.stderr) == (2, "statushub: row 1 is invalid: it has no column 'user_id'\n")
        done = imported(hub.base_url, "counts", "--source", f"sqlite:///{database}", "--query", "SELECT nonsense")
        assert done.returncode == 1
        assert "nonsense" in done.stderr
