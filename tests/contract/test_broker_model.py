"""Model-based tests: over any sequence of publishes, reads and sweeps, a broker agrees with the reference."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event, decode
from statushub.hub.model.publication import Publication, publication
from tests.support.effort import part
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer
from tests.support.reference import Reference

TENANT = "acme"
CHANNELS = ("films", "books")
CONTENTS = ("a", "b", "c")
LEASED = "d"  # only by the first step
REDIS_DATABASE = 8

SETTINGS = settings(
    max_examples=part(120),
    stateful_step_count=30,
    deadline=None,
    # Each example opens and closes a broker, which Hypothesis considers slow.
    suppress_health_check=[HealthCheck.too_slow],
)

counters = st.none() | st.integers(0, 4)
BEGINS = {f"run{n}": time.time() - 1_000 * n for n in range(1, 5)}
"""When each run began: far enough apart that no delay confuses them."""


def offered(status: str, progress: int, run: str | None, restart: bool, **rest: Any) -> Publication:
    """A publication; that of a run has its age when it is sent."""
    if run is not None:
        rest.update(attempt=None, run=run, age_ms=round((time.time() - BEGINS[run]) * 1000), restart=restart)
    return publication(data={"status": status, "progress": progress}, **rest)


publications = st.builds(
    offered,
    run=st.none() | st.sampled_from([*BEGINS]),
    restart=st.booleans(),
    status=st.sampled_from(["idle", "generating", "generating", "generating", "complete", "error"]),
    progress=st.integers(0, 100),
    channel=st.sampled_from([CHANNELS[0], CHANNELS[0], CHANNELS[1]]),
    content_id=st.sampled_from(CONTENTS),
    attempt=counters,
    seq=counters,
    lease=st.none() | st.sampled_from([2.0, 7.0, 60.0]),
)


class Machine(RuleBasedStateMachine):
    """A new broker and a new reference, which get the same calls."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.recorder = Recorder()
        self.cursors: list[Cursor] = []
        self.last: list[Publication] = []
        self.now = time.time()
        self.runner = asyncio.Runner()
        self.broker: Broker = open_broker(url)
        self.broker.listen(self.recorder)
        # A task group must be left by the task that entered it, and each `run` is a separate task.
        self.leaving = asyncio.Event()
        opened = asyncio.Event()
        self.holding = self.runner.get_loop().create_task(self.hold(opened))
        self.runner.run(opened.wait())

    async def hold(self, opened: asyncio.Event) -> None:
        async with self.broker:
            opened.set()
            await self.leaving.wait()

    def teardown(self) -> None:
        self.leaving.set()
        self.runner.run(asyncio.wait_for(self.holding, 20))
        self.runner.close()

    @initialize()
    def begin(self) -> None:
        """Subscribe, and sweep for the first time while there is a lease to sweep."""
        clock = self.runner.run(self.broker.offsets(TENANT, [])).cursor
        self.reference = Reference(offset=clock.offset, begins=BEGINS)
        for channel in CHANNELS:
            self.runner.run(self.broker.subscribe(TENANT, [channel]))
        self.publish([publication(channel="books", content_id=LEASED, data={"status": "generating"}, lease=3600)])
        self.sweep(0.0)

    @rule(batch=st.lists(publications, min_size=1, max_size=6))
    def publish(self, batch: list[Publication]) -> None:
        """Each publication gets the verdict and the offset of the reference."""
        before = time.time()
        receipts = self.runner.run(self.broker.publish(TENANT, batch))
        # Redis rounds down to whole milliseconds.
        when = (before - 0.002, time.time())
        for one, receipt in zip(batch, receipts, strict=True):
            verdict = self.reference.publish(one, when)
            assert (receipt.cursor.offset if receipt.cursor else receipt.reason) == verdict
            if receipt.cursor:
                self.cursors.append(receipt.cursor)
        self.last = batch

    @rule()
    def repeat(self) -> None:
        """The last batch again, as from a producer whose answer was lost."""
        self.publish(self.last)

    @rule(data=st.data(), channel=st.sampled_from(CHANNELS))
    def changes(self, data: st.DataObject, channel: str) -> None:
        """From any cursor of a receipt, and from none."""
        since = data.draw(st.none() | st.sampled_from(self.cursors))
        snapshot = self.runner.run(self.broker.changes(TENANT, channel, since))
        read = [(event.offset, event.content_id, event.type, event.data) for event in snapshot.events]
        assert read == self.reference.changes(channel, since.offset if since else 0)
        assert snapshot.cursor == Cursor(epoch=self.cursors[0].epoch, offset=self.reference.offset)
        self.compare_announcements()

    @rule(content_ids=st.lists(st.sampled_from((*CONTENTS, "unknown")), max_size=5))
    def lookup(self, content_ids: list[str]) -> None:
        """Look up any contents in any order."""
        found = self.runner.run(self.broker.lookup(TENANT, content_ids))
        read = [event and (event.channel, event.offset, event.data) for event in found.events]
        assert read == self.reference.lookup(content_ids)
        assert found.cursor.offset == self.reference.offset

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0, 4.0, 4.5, 8.0, 3_600.0]))
    def sweep(self, seconds: float) -> None:
        """Some time later, before or after a sweep gap: each overdue content ends once."""
        self.now += seconds
        ended = self.runner.run(self.broker.expire(self.now))
        must, may = self.reference.overdue(self.now)
        events = {
            event.content_id: event
            for event in self.runner.run(self.broker.lookup(TENANT, (*CONTENTS, LEASED))).events
            if event
        }
        stalled = sorted((event for event in events.values() if self.moved(event)), key=lambda event: event.offset)
        names = {event.content_id for event in stalled}
        assert must <= names <= must | may
        assert ended == len(stalled)
        for event in stalled:
            self.stall(event)

    def moved(self, event: Event) -> bool:
        return event.offset != self.reference.contents[event.content_id].offset

    def stall(self, event: Event) -> None:
        said = decode(self.reference.contents[event.content_id].data)
        says = decode(event.data)
        assert (says["status"], says["error_code"]) == ("error", "stalled")
        untouched = said.keys() - {"status", "processing_status", "timestamp"}
        assert {key: says[key] for key in untouched} == {key: said[key] for key in untouched}
        self.reference.stall(event.content_id, event.type, event.data)
        assert self.reference.offset == event.offset

    def compare_announcements(self) -> None:
        """All announcements have come, in order and chained."""
        heard = [(it.prev, it.event.offset, it.event.content_id, it.event.type) for it in self.recorder.announcements]
        assert heard == self.reference.announced


def test_the_embedded_broker_agrees_with_the_reference() -> None:
    """A broker in memory runs the same code as one on disk."""

    class Embedded(Machine):
        def __init__(self) -> None:
            super().__init__("memory:")

    run_state_machine_as_test(Embedded, settings=SETTINGS)


@pytest.mark.redis
def test_the_redis_broker_agrees_with_the_reference(redis_server: RedisServer) -> None:
    """The server is emptied before each example."""
    with redis.Redis(port=redis_server.port, db=REDIS_DATABASE) as client:

        class OverRedis(Machine):
            def __init__(self) -> None:
                client.flushdb()
                super().__init__(f"redis://127.0.0.1:{redis_server.port}/{REDIS_DATABASE}")

        run_state_machine_as_test(OverRedis, settings=SETTINGS)
