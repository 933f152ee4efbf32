"""Model-based tests of the index: over any history, a broker lists what a plain model of its channels holds.

The model learns of events from receipts and, after what a broker does by itself, from reads of the channels, which the
brokers keep apart from the index.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker, ChannelEntry, ChannelPage
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.vocabulary import Phase
from tests.support.effort import part
from tests.support.redis_server import RedisServer

TENANT = "acme"
CHANNELS = ("a", "b", "b/1", "b/2", "b/ä", "c")
PREFIXES = ("", "a", "b", "b/", "b/ä", "d")
REDIS_DATABASE = 9
MINUTE, DAY = 60.0, 24 * 3600.0
RETENTIONS = (MINUTE, 3 * DAY)

SETTINGS = settings(
    max_examples=part(100),
    stateful_step_count=30,
    deadline=None,
    # Each example opens and closes a broker, which Hypothesis considers slow.
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass
class Channel:
    """What the index tells of a channel; `when` is the interval in which its latest event came, in Unix seconds."""

    offset: int
    when: tuple[float, float]
    phases: dict[str, Phase] = field(default_factory=dict)

    def agrees(self, entry: ChannelEntry) -> bool:
        """Whether the entry tells the same. Redis rounds times to milliseconds."""
        counted = {phase: getattr(entry, phase.value) for phase in Phase}
        counts = {phase: [*self.phases.values()].count(phase) for phase in Phase}
        earliest, latest = self.when
        timely = earliest - 0.002 <= entry.updated_at <= latest + 0.002
        return timely and (entry.offset, counted) == (self.offset, counts)


def offered(channel: str, content: str, status: str, **rest: float | None) -> Publication:
    """A content of one channel; or one that any channel may have, after it was removed from another."""
    content_id = content if content.startswith("any") else f"{content} of {channel}"
    return publication(channel=channel, content_id=content_id, data={"status": status}, **rest)  # type: ignore[arg-type]


publications = st.builds(
    offered,
    channel=st.sampled_from(CHANNELS),
    content=st.sampled_from(["x", "y", "any x", "any y"]),
    status=st.sampled_from(["idle", "queued", "generating", "complete", "error"]),
    attempt=st.none() | st.integers(1, 3),
    lease=st.none() | st.sampled_from([2.0, 7.0]),
)
batches = st.lists(publications, min_size=1, max_size=6)


class Machine(RuleBasedStateMachine):
    """A new broker and the model of its channels."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.channels: dict[str, Channel] = {}
        self.now = time.time()
        self.runner = asyncio.Runner()
        self.open()

    def open(self) -> None:
        self.broker: Broker = open_broker(self.url)
        # A task group must be left by the task that entered it, and each `run` is a separate task.
        self.leaving = asyncio.Event()
        opened = asyncio.Event()
        self.holding = self.runner.get_loop().create_task(self.hold(opened))
        self.runner.run(opened.wait())

    async def hold(self, opened: asyncio.Event) -> None:
        async with self.broker:
            opened.set()
            await self.leaving.wait()

    def close(self) -> None:
        self.leaving.set()
        self.runner.run(asyncio.wait_for(self.holding, 20))

    def teardown(self) -> None:
        self.close()
        self.runner.close()

    @initialize()
    def begin(self) -> None:
        """Sweep once, so that lease time runs."""
        self.sweep(0.0)

    @rule(batch=batches, retention=st.sampled_from(RETENTIONS))
    def publish(self, batch: list[Publication], retention: float) -> None:
        """What was accepted is in the model."""
        before = time.time()
        receipts = self.runner.run(self.broker.publish(TENANT, batch, retention=retention))
        when = (before, time.time())
        for one, receipt in zip(batch, receipts, strict=True):
            if receipt.cursor:
                channel = self.channels.setdefault(one.channel, Channel(0, when))
                channel.offset, channel.when = receipt.cursor.offset, when
                channel.phases[one.content_id] = one.phase

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0, 4.5, 8.0, 2 * MINUTE, DAY, 1.5 * DAY, 4 * DAY]))
    def sweep(self, seconds: float) -> None:
        """Leases and retentions end, and tombstones are forgotten."""
        self.now += seconds
        self.runner.run(self.broker.expire(self.now))
        self.learn(self.now)

    @rule()
    def restart(self) -> None:
        """The broker is closed and opened again."""
        self.close()
        self.open()

    @invariant()
    def all_agree(self) -> None:
        """After each step, the channels on one page are those of the model."""
        entries = self.runner.run(self.broker.channels(TENANT, limit=len(CHANNELS) + 1)).entries
        assert {entry.channel for entry in entries} == {*self.channels}
        assert all(self.channels[entry.channel].agrees(entry) for entry in entries), (entries, self.channels)

    @rule(by_name=st.booleans(), prefix=st.sampled_from(PREFIXES), limit=st.integers(1, 8), data=st.data())
    def read(self, by_name: bool, prefix: str, limit: int, data: st.DataObject) -> None:
        """Every page in either order, from any offset on, by any prefix."""
        offsets = sorted({0, *(channel.offset - less for channel in self.channels.values() for less in (0, 1))})
        since = data.draw(st.sampled_from(offsets))
        by_name = by_name or bool(prefix)
        pages = self.pages(by_name=by_name, prefix=prefix, since=since, limit=limit)
        listed = [entry for page in pages for entry in page.entries]
        expected = [name for name, it in self.channels.items() if it.offset > since and name.startswith(prefix)]
        expected.sort(key=(lambda name: name) if by_name else lambda name: -self.channels[name].offset)
        assert [entry.channel for entry in listed] == expected
        assert all(self.channels[entry.channel].agrees(entry) for entry in listed), (listed, self.channels)

    @rule(by_name=st.booleans(), limit=st.integers(1, 3), between=st.lists(batches, min_size=1, max_size=4))
    def read_while_channels_move(self, by_name: bool, limit: int, between: list[list[Publication]]) -> None:
        """Each page after another batch: nothing is lost for ever, and nothing is listed twice."""
        there = {*self.channels}
        left = iter(between)

        def publish() -> None:
            for batch in left:
                self.publish(batch, DAY)
                return

        pages = self.pages(by_name=by_name, limit=limit, meanwhile=publish)
        listed = [entry.channel for page in pages for entry in page.entries]
        assert len({*listed}) == len(listed)
        if by_name:
            assert there <= {*listed}
            assert listed == sorted(listed)
        moved = self.pages(by_name=False, since=pages[0].cursor.offset, limit=8)
        assert {*self.channels} == {*listed, *(entry.channel for page in moved for entry in page.entries)}

    def pages(
        self,
        *,
        by_name: bool,
        limit: int,
        prefix: str = "",
        since: int = 0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[ChannelPage]:
        pages: list[ChannelPage] = []
        after: str | None = None
        while not pages or after is not None:
            page = self.runner.run(
                self.broker.channels(TENANT, prefix=prefix, by_name=by_name, after=after, since=since, limit=limit)
            )
            assert len(page.entries) <= limit
            pages.append(page)
            after = page.next
            meanwhile()
        return pages

    def learn(self, when: float) -> None:
        """Take in what the broker has done by itself at that time: what is read of each channel."""
        for name, channel in [*self.channels.items()]:
            events = self.runner.run(self.broker.changes(TENANT, name)).events
            if not events:
                del self.channels[name]
                continue
            contents = {event.content_id: event for event in events if not event.removed}
            ended = {key for key, event in contents.items() if event.offset > channel.offset}
            channel.phases = {
                key: Phase.FAILED if key in ended else phase for key, phase in channel.phases.items() if key in contents
            }
            latest = max(event.offset for event in events)
            if latest > channel.offset:
                channel.offset, channel.when = latest, (when, when)


def test_the_embedded_brokers_index_agrees_with_the_model(tmp_path: Path) -> None:
    """Each example has a file of its own."""

    class Embedded(Machine):
        def __init__(self) -> None:
            self.folder = TemporaryDirectory(dir=tmp_path)
            super().__init__(f"sqlite:///{self.folder.name}/hub.db")

        def teardown(self) -> None:
            super().teardown()
            self.folder.cleanup()

    run_state_machine_as_test(Embedded, settings=SETTINGS)


@pytest.mark.redis
def test_the_redis_brokers_index_agrees_with_the_model(redis_server: RedisServer) -> None:
    """The server is emptied before each example."""
    with redis.Redis(port=redis_server.port, db=REDIS_DATABASE) as client:

        class OverRedis(Machine):
            def __init__(self) -> None:
                client.flushdb()
                super().__init__(f"redis://127.0.0.1:{redis_server.port}/{REDIS_DATABASE}")

        run_state_machine_as_test(OverRedis, settings=SETTINGS)
