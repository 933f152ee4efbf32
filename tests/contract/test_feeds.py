"""The promises of hub/feeds/contract.py that the model does not cover, over each store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import redis

from statushub.hub.feeds import open_feeds
from statushub.hub.feeds.contract import NEWS, NOTIFICATIONS, STATS_MS, Claim, Counts, FeedStore, Reason, Written
from statushub.hub.feeds.redis.store import RedisFeeds
from statushub.hub.feeds.writes import BATCH, AnyWrite, Count, Delete, Like, Notify, Read
from statushub.hub.model.errors import BrokerInUse, BrokerUnavailable
from tests.support.redis_server import RedisServer, running_redis

TENANT = "acme"


@pytest.fixture
async def store(url: str) -> AsyncIterator[FeedStore]:
    """An open, empty store beside the broker of that URL."""
    async with open_feeds(url) as store:
        yield store


async def claimed(store: FeedStore) -> Claim:
    """What is due, once something is; a machine may take its time."""
    while True:
        claim = await store.claim(TENANT)
        if claim.videos or claim.users:
            return claim
        assert claim.next_ms is not None
        await asyncio.sleep(claim.next_ms / 1000)


@pytest.mark.anyio
async def test_a_user_keeps_the_latest_notifications(store: FeedStore) -> None:
    """The oldest goes, read or not, and is not unread any more."""
    many = [Notify(id=f"n{n}", user_id="ann", category="job") for n in range(NOTIFICATIONS + 3)]
    for start in range(0, len(many), BATCH):
        await store.write(TENANT, many[start : start + BATCH])
    assert await store.unread(TENANT, "ann") == NOTIFICATIONS
    found = await store.notifications(TENANT, "ann", limit=NOTIFICATIONS + 9)
    assert [msgspec.json.decode(it.record)["id"] for it in found] == [it.id for it in reversed(many[3:])]
    [gone] = await store.write(TENANT, [Read(user_id="ann", notification_ids=["n0"])])
    assert gone.reason is Reason.UNCHANGED


@pytest.mark.anyio
async def test_a_hot_video_is_due_once_a_second(store: FeedStore) -> None:
    """Whatever is counted after an announcement waits until it is `STATS_MS` old, and comes together."""
    await store.write(TENANT, [Count(video_id="hot", views=1)])
    before = asyncio.get_running_loop().time()
    first = await claimed(store)
    [video] = first.videos
    assert video.counts == Counts(view_count=1)
    await store.done(TENANT, first)
    for _ in range(20):
        await store.write(TENANT, [Count(video_id="hot", views=2)])
    second = await claimed(store)
    # Stores count whole milliseconds.
    assert (asyncio.get_running_loop().time() - before) * 1000 >= STATS_MS - 2
    [video] = second.videos
    assert video.counts == Counts(view_count=41)
    assert video.version > first.videos[0].version


@pytest.mark.anyio
async def test_what_is_written_while_it_is_announced_is_due_again(store: FeedStore) -> None:
    """An announcement that began before a write does not count for it."""
    await store.write(TENANT, [Count(video_id="v", views=1), Like(user_id="ann", video_id="w")])
    claim = await claimed(store)
    await store.write(TENANT, [Count(video_id="v", views=1), Like(user_id="ann", video_id="w", liked=False)])
    await store.done(TENANT, claim)
    seen = await claimed(store)
    while not seen.videos:
        await store.done(TENANT, seen)
        assert [(it.type, it.data) for it in seen.users[0].news] == [("liked", b'{"video_id":"w","liked":false}')]
        seen = await claimed(store)
    counts = {it.video: it.counts for it in seen.videos}
    assert counts["v"] == Counts(view_count=2)


@pytest.mark.anyio
async def test_a_deleted_video_is_announced_as_such(store: FeedStore) -> None:
    """It has no counters, and takes no part in the order of these."""
    await store.write(TENANT, [Count(video_id="v", views=9), Delete(video_id="v")])
    claim = await claimed(store)
    assert [(it.video, it.counts) for it in claim.videos] == [("v", None)]
    assert await store.trending(TENANT, None, 9) == []
    assert await store.tenants() == [TENANT]


@pytest.mark.anyio
async def test_the_latest_news_are_kept(store: FeedStore) -> None:
    """Of a burst the latest are told, each in a slot of its own and in their order."""
    await store.write(TENANT, [Like(user_id="ann", video_id=f"v{n}") for n in range(NEWS + 7)])
    [user] = (await claimed(store)).users
    videos = [msgspec.json.decode(it.data)["video_id"] for it in user.news]
    assert videos == [f"v{n}" for n in range(7, NEWS + 7)]
    assert len({it.slot for it in user.news}) == NEWS


@pytest.mark.anyio
async def test_simultaneous_batches_count_all(store: FeedStore) -> None:
    """Nothing is lost between callers, and of one id only one takes effect."""
    batches: list[list[AnyWrite]] = [
        [Count(video_id="v", views=1), Like(id="same", user_id="ann", video_id="w")] for _ in range(50)
    ]
    written = await asyncio.gather(*(store.write(TENANT, batch) for batch in batches))
    assert await store.counts(TENANT, ["v", "w"]) == [Counts(view_count=50), Counts(like_count=1)]
    assert sorted(str(like.reason) for _, like in written) == ["None"] + ["repeat"] * 49


@pytest.mark.anyio
async def test_a_file_belongs_to_one_process(tmp_path: Path) -> None:
    """A second store of the same file is refused, and another program's database is not touched."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with open_feeds(url):
        with pytest.raises(BrokerInUse):
            async with open_feeds(url):
                pass


@pytest.mark.redis
@pytest.mark.anyio
async def test_a_batch_is_whole_or_nothing(redis_server: RedisServer) -> None:
    """Where one key of a batch is another program's, none of its writes is stored."""
    with redis.Redis(port=redis_server.port, db=11) as client:
        client.flushdb()
        async with RedisFeeds(f"redis://127.0.0.1:{redis_server.port}/11") as store:
            client.set("hub11:{acme}:feed:likes:ann", "foreign")
            batch: list[AnyWrite] = [Count(video_id="v", views=1), Like(user_id="ann", video_id="v")]
            with pytest.raises(BrokerUnavailable, match="another program"):
                await store.write(TENANT, batch)
            assert await store.counts(TENANT, ["v"]) == [Counts()]


@pytest.mark.redis
@pytest.mark.anyio
async def test_feeds_survive_a_restart_of_redis(tmp_path: Path) -> None:
    """Sets and counters are there again, and the functions, which a server may have lost, are loaded again."""
    with running_redis(tmp_path) as server:
        async with RedisFeeds(f"redis://127.0.0.1:{server.port}/0") as store:
            await store.write(TENANT, [Like(id="a", user_id="ann", video_id="v")])
            server.stop()
            server.start()
            with redis.Redis(port=server.port) as client:
                client.function_flush()
            written: list[Written] = []
            while not written:
                try:
                    written = await store.write(TENANT, [Like(id="a", user_id="ann", video_id="v")])
                except BrokerUnavailable:
                    await asyncio.sleep(0.05)
            assert written[0].reason is Reason.REPEAT
            assert await store.liked(TENANT, "ann", ["v"]) == [True]
            assert await store.counts(TENANT, ["v"]) == [Counts(like_count=1)]
