"""Model-based tests: over any sequence of batches, reads and restarts, a store of feeds agrees with the reference."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from statushub.hub.feeds import open_feeds
from statushub.hub.feeds.contract import FeedStore, Trend
from statushub.hub.feeds.writes import COUNTER_MAX, AnyWrite, Count, Delete, Follow, Like, Notify, Read
from tests.support.effort import part
from tests.support.feed_reference import FeedReference
from tests.support.redis_server import RedisServer

TENANT = "acme"
USERS = ("ann", "bob|\u00fc:1")
VIDEOS = ("v1", "v2", "v:\u00e9", "deleted")
REDIS_DATABASE = 9

SETTINGS = settings(
    max_examples=part(100),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

users, videos = st.sampled_from(USERS), st.sampled_from(VIDEOS)
ids = st.none() | st.sampled_from([f"w{n}" for n in range(12)])
changes = st.sampled_from([0, 0, 1, 3, -1, -2, COUNTER_MAX, -COUNTER_MAX])
note_ids = st.sampled_from([f"n{n}" for n in range(8)])
writes = st.one_of(
    st.builds(Like, id=ids, user_id=users, video_id=videos, liked=st.booleans()),
    st.builds(Follow, id=ids, user_id=users, followed_id=users, following=st.booleans()),
    st.builds(Count, id=ids, video_id=videos, views=changes, likes=changes, comments=changes, glitches=changes),
    st.builds(Delete, id=ids, video_id=st.just("deleted")),
    st.builds(Notify, id=note_ids, user_id=users, category=st.sampled_from(["job", "like"]), data=st.just({"n": [1]})),
    st.builds(Read, id=ids, user_id=users, notification_ids=st.none() | st.lists(note_ids, max_size=4)),
)


class Machine(RuleBasedStateMachine):
    """A new store and a new reference, which get the same calls."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.reference = FeedReference()
        self.runner = asyncio.Runner()
        self.open()

    def open(self) -> None:
        self.store: FeedStore = open_feeds(self.url)
        self.runner.run(self.store.__aenter__())

    def close(self) -> None:
        self.runner.run(self.store.__aexit__(None, None, None))

    def teardown(self) -> None:
        self.close()
        self.runner.close()

    @rule(batch=st.lists(writes, min_size=1, max_size=6))
    def write(self, batch: list[AnyWrite]) -> None:
        """Each write has the outcome of the reference."""
        written = self.runner.run(self.store.write(TENANT, batch))
        assert written == [self.reference.write(write) for write in batch]

    @rule(user=users)
    def read_sets(self, user: str) -> None:
        """The sets are those of the reference."""
        liked = self.runner.run(self.store.liked(TENANT, user, VIDEOS))
        assert liked == [(user, video) in self.reference.likes for video in VIDEOS]
        followed = self.runner.run(self.store.followed(TENANT, user, USERS))
        assert followed == [(user, other) in self.reference.follows for other in USERS]

    @rule(limit=st.integers(1, 3))
    def read_counters(self, limit: int) -> None:
        """The counters, and their order by pages, are those of the reference."""
        counts = self.runner.run(self.store.counts(TENANT, [*VIDEOS, "never"]))
        assert counts == [self.reference.counts(video) for video in (*VIDEOS, "never")]
        found: list[Trend] = []
        while page := self.runner.run(self.store.trending(TENANT, found[-1] if found else None, limit)):
            found += page
        assert found == self.reference.trending()

    @rule(user=users, category=st.sampled_from([None, "job", "like", "none"]), limit=st.integers(1, 3))
    def read_notifications(self, user: str, category: str | None, limit: int) -> None:
        """The notifications by pages, and the number of unread ones, are those of the reference."""
        found: list[tuple[str, bool]] = []
        before: int | None = None
        while page := self.runner.run(
            self.store.notifications(TENANT, user, category=category, before=before, limit=limit)
        ):
            assert len(page) <= limit
            found += [(msgspec.json.decode(it.record)["id"], it.read) for it in page]
            before = page[-1].place
        assert found == self.reference.notifications(user, category)
        assert self.runner.run(self.store.unread(TENANT, user)) == self.reference.unread(user)

    @rule()
    def announce(self) -> None:
        """What is claimed is as the reference has it, is claimed once, and once done is not due again."""
        claim = self.runner.run(self.store.claim(TENANT))
        for video in claim.videos:
            assert video.counts == self.reference.counts(video.video)
        for user in claim.users:
            assert user.unread == self.reference.unread(user.user)
        again = self.runner.run(self.store.claim(TENANT))
        assert again.users == []
        assert {it.video for it in again.videos}.isdisjoint({it.video for it in claim.videos})
        self.runner.run(self.store.done(TENANT, claim))
        assert self.runner.run(self.store.claim(TENANT)).users == []

    @rule()
    def look_at_another_tenant(self) -> None:
        """Nothing of it is seen in another tenant."""
        assert self.runner.run(self.store.liked("beta", "ann", VIDEOS)) == [False] * len(VIDEOS)
        assert self.runner.run(self.store.trending("beta", None, 9)) == []
        assert self.runner.run(self.store.notifications("beta", "ann", limit=9)) == []


class DurableMachine(Machine):
    """The same of a store that outlives its process."""

    @rule()
    def reopen(self) -> None:
        """Nothing is lost, and remembered ids stay remembered."""
        self.close()
        self.open()


def test_memory_agrees_with_the_reference() -> None:
    """The store in memory."""

    class InMemory(Machine):
        def __init__(self) -> None:
            super().__init__("memory:")

    run_state_machine_as_test(InMemory, settings=SETTINGS)


def test_sqlite_agrees_with_the_reference(tmp_path: Path) -> None:
    """The store in a file."""
    numbers = itertools.count()

    class InFile(DurableMachine):
        def __init__(self) -> None:
            super().__init__(f"sqlite:///{tmp_path / str(next(numbers))}.db")

    run_state_machine_as_test(InFile, settings=SETTINGS)


@pytest.mark.redis
def test_redis_agrees_with_the_reference(redis_server: RedisServer) -> None:
    """The store in Redis."""
    with redis.Redis(port=redis_server.port, db=REDIS_DATABASE) as client:

        class InRedis(DurableMachine):
            def __init__(self) -> None:
                client.flushdb()
                super().__init__(f"redis://127.0.0.1:{redis_server.port}/{REDIS_DATABASE}")

        run_state_machine_as_test(InRedis, settings=SETTINGS)
