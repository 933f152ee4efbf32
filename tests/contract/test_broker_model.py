"""Model-based tests: over any sequence of publishes, reads and sweeps, a broker agrees with the reference."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cancel import CancelRequest, encode
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.delta import composed
from statushub.hub.model.delta import decode as decode_delta
from statushub.hub.model.event import Event, decode
from statushub.hub.model.publication import Publication, publication
from tests.support.effort import part
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis
from tests.support.reference import Reference
from tests.support.waiting import eventually

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

retentions = st.sampled_from([None, None, None, 5.0])
"""Seconds; None is a week, in which no example comes to its end."""

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


fields = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["", "a", "\u2028\U0001f600"]),
        "log": st.lists(st.sampled_from([1, "b", [], {"c": None}]), max_size=2),
        "other": st.sampled_from(["o", 5]) | st.lists(st.just("o"), max_size=1),
    },
)


@st.composite
def growths(draw: st.DrawFn) -> dict[str, Any]:
    """A delta of random fields, or a whole event that names some of them, after the last seq or another one."""
    said = {
        "after": draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1])),
        "lease": draw(st.sampled_from([None, 7.0])),
        "retention": draw(retentions),
    }
    if draw(st.integers(0, 4)) == 0:
        return said | {"status": draw(st.sampled_from(["generating", "pending", "complete"])), "data": draw(fields)}
    appends = {name: it for name, it in draw(fields).items() if isinstance(it, str | list)}
    sets = {name: it for name, it in draw(fields).items() if name not in appends}
    return said | {"delta": {"append": appends, "set": {"progress": draw(st.integers(0, 9))} | sets}}


class Machine(RuleBasedStateMachine):
    """A new broker and a new reference, which get the same calls."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.recorder = Recorder()
        self.cursors: list[Cursor] = []
        self.last: list[Publication] = []
        self.rested = False
        """Whether nothing was published since the last restart."""
        self.now = time.time()
        self.runner = asyncio.Runner()
        self.url = url
        self.open()

    def open(self) -> None:
        self.broker: Broker = open_broker(self.url)
        self.broker.listen(self.recorder)
        # A task group must be left by the task that entered it, and each `run` is a separate task.
        self.leaving = asyncio.Event()
        opened = asyncio.Event()
        self.holding = self.runner.get_loop().create_task(self.hold(opened))
        self.runner.run(opened.wait())

    def close(self) -> None:
        self.leaving.set()
        self.runner.run(asyncio.wait_for(self.holding, 20))

    async def hold(self, opened: asyncio.Event) -> None:
        async with self.broker:
            opened.set()
            await self.leaving.wait()

    def teardown(self) -> None:
        self.close()
        self.runner.close()

    @initialize()
    def begin(self) -> None:
        """Subscribe, and sweep for the first time while there is a lease to sweep."""
        clock = self.runner.run(self.broker.offsets(TENANT, [])).cursor
        self.reference = Reference(offset=clock.offset, begins=BEGINS)
        self.subscribe()
        self.publish([publication(channel="books", content_id=LEASED, data={"status": "generating"}, lease=3600)])
        self.sweep(0.0)

    def subscribe(self) -> None:
        for channel in CHANNELS:
            self.runner.run(self.broker.subscribe(TENANT, [channel]))

    @rule(batch=st.lists(publications, min_size=1, max_size=6), retention=retentions)
    def publish(self, batch: list[Publication], retention: float | None = None) -> None:
        """Each publication gets the verdict and the offset of the reference."""
        self.rested = False
        before = time.time()
        receipts = self.runner.run(self.broker.publish(TENANT, batch, retention=retention))
        # Redis rounds down to whole milliseconds.
        when = (before - 0.002, time.time())
        for one, receipt in zip(batch, receipts, strict=True):
            verdict = self.reference.publish(one, when, math.inf if retention is None else retention)
            assert (receipt.cursor.offset if receipt.cursor else receipt.reason) == verdict
            if receipt.cursor:
                self.cursors.append(receipt.cursor)
        self.last = batch

    @rule(
        channel=st.sampled_from([CHANNELS[0], CHANNELS[0], CHANNELS[0], CHANNELS[1]]),
        content_id=st.sampled_from(CONTENTS),
        said=st.lists(growths(), min_size=1, max_size=5),
        run=st.sampled_from([None, None, "open", "open", *BEGINS]),
        outlived=st.sampled_from([False, False, True]),
    )
    def grow(self, channel: str, content_id: str, said: list[dict[str, Any]], run: str | None, outlived: bool) -> None:
        """Deltas and whole events, mostly each after the one before, of the run that is open or any other; some of them
        until their short retention has ended."""
        content = self.reference.contents.get(content_id)
        seq = content.seq if content and content.seq is not None else 0
        run = content.run if content and run == "open" else None if run == "open" else run
        batch: list[tuple[float | None, Publication]] = []
        for it in said:
            rest: dict[str, Any] = {"channel": channel, "content_id": content_id, "lease": it["lease"], "run": run}
            if run is not None:
                rest["age_ms"] = round((time.time() - BEGINS[run]) * 1000)
            if "delta" in it:
                follows = max(seq + it["after"], 0)
                rest |= {"seq": seq + 1 + max(it["after"], 0), "delta": it["delta"] | {"follows": follows}}
            else:
                rest |= {"seq": seq + 1, "data": {"status": it["status"]} | it["data"]}
            batch.append((it["retention"], publication(**rest)))
            seq += it["after"] == 0
        for retention, some in itertools.groupby(batch, lambda it: it[0]):
            self.publish([one for _, one in some], retention)
        if outlived:
            self.sweep(8.0)

    @rule()
    def repeat(self) -> None:
        """The last batch again, as from a producer whose answer was lost."""
        self.publish(self.last)

    @rule(data=st.data(), channel=st.sampled_from(CHANNELS))
    def changes(self, data: st.DataObject, channel: str) -> None:
        """From any cursor of a receipt, and from none."""
        since = data.draw(st.none() | st.sampled_from(self.cursors))
        snapshot = self.runner.run(self.broker.changes(TENANT, channel, since))
        expected = self.reference.changes(channel, since.offset if since else 0)
        assert [(it.offset, it.content_id, it.type) for it in snapshot.events] == [it[:3] for it in expected]
        for event, (*_, state) in zip(snapshot.events, expected, strict=True):
            assert shown(event.data, state) == state
        assert snapshot.cursor == Cursor(epoch=self.cursors[0].epoch, offset=self.reference.offset)
        self.compare_announcements()

    @rule(channel=st.sampled_from(CHANNELS), content_id=st.sampled_from((*CONTENTS, "unknown")), by=st.integers(0, 9))
    def cancel(self, channel: str, content_id: str, by: int) -> None:
        """Ask for any content to be cancelled; its data have the first request until the attempt ends."""
        before = time.time()
        request = CancelRequest(by=str(by), at="now", reason=None)
        receipt = self.runner.run(self.broker.cancel(TENANT, channel, content_id, request))
        expected = self.reference.cancel(channel, content_id, encode(request), (before - 0.002, time.time()))
        assert (receipt.cursor.offset if receipt.cursor else receipt.reason) == expected

    @rule(
        channel=st.sampled_from(CHANNELS),
        content_ids=st.lists(st.sampled_from((*CONTENTS, "unknown")), min_size=1, max_size=3),
    )
    def remove(self, channel: str, content_ids: list[str]) -> None:
        """Any contents, of which those of the channel are removed."""
        removal = self.runner.run(self.broker.remove(TENANT, channel, content_ids))
        assert removal.removed == self.reference.remove(channel, content_ids)
        assert removal.cursor.offset == self.reference.offset

    @rule(data=st.data())
    def remove_all(self, data: st.DataObject) -> None:
        """Mostly not, lest every example begins anew all the time."""
        if data.draw(st.integers(0, 3)) == 0:
            removal = self.runner.run(self.broker.remove(TENANT, CHANNELS[0]))
            assert removal.removed == self.reference.remove(CHANNELS[0], self.reference.members(CHANNELS[0]))

    @rule(content_ids=st.lists(st.sampled_from((*CONTENTS, "unknown")), max_size=5))
    def lookup(self, content_ids: list[str]) -> None:
        """Look up any contents in any order."""
        found = self.runner.run(self.broker.lookup(TENANT, content_ids))
        for event, expected in zip(found.events, self.reference.lookup(content_ids), strict=True):
            assert (event and (event.channel, event.offset)) == (expected and expected[:2])
            assert not event or not expected or shown(event.data, expected[2]) == expected[2]
        assert found.cursor.offset == self.reference.offset

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0, 4.0, 4.5, 8.0, 3_600.0]))
    def sweep(self, seconds: float) -> None:
        """Some time later, before or after a sweep gap: each overdue content, and each that is to be cancelled, ends
        once, and each whose retention has ended is removed."""
        self.now += seconds
        ended = self.runner.run(self.broker.expire(self.now))
        must, may = self.reference.overdue(self.now)
        must_go, may_go = self.reference.outlived(self.now)
        found = self.runner.run(self.broker.lookup(TENANT, (*CONTENTS, LEASED))).events
        moved = sorted((event for event in found if event and self.moved(event)), key=lambda event: event.offset)
        removed = {event.content_id for event in moved if event.removed}
        stalled = {event.content_id for event in moved if not event.removed}
        assert must <= stalled <= must | may
        assert ended == len(stalled)
        # An ending comes first, with which the retention begins anew.
        assert must_go - stalled <= removed <= must_go | may_go
        for event in moved:
            if event.removed:
                self.reference.forget(event.content_id)
                assert self.reference.offset == event.offset
            else:
                self.stall(event)

    @rule()
    def sweep_for_long(self) -> None:
        """For as long as a request to cancel may take, without a gap."""
        for _ in range(18):
            self.sweep(4.0)

    def moved(self, event: Event) -> bool:
        known = self.reference.contents.get(event.content_id)
        return known is not None and event.offset != known.offset

    def stall(self, event: Event) -> None:
        said = self.reference.contents[event.content_id].whole
        says = decode(event.data)
        assert says["status"] == "error"
        assert says["error_code"] in self.reference.codes(event.content_id, self.now)
        untouched = said.keys() - {"status", "processing_status", "timestamp"}
        assert {key: says[key] for key in untouched} == {key: said[key] for key in untouched}
        self.reference.stall(event.content_id, event.type, event.data)
        assert self.reference.offset == event.offset

    def settle(self) -> None:
        """A read returns once all that was announced before has come."""
        self.runner.run(self.broker.changes(TENANT, CHANNELS[0]))
        self.compare_announcements()

    def compare_announcements(self) -> None:
        """All announcements have come, in order and chained."""
        heard = [(it.prev, it.event.offset, it.event.content_id, it.event.type) for it in self.recorder.announcements]
        assert heard == self.reference.announced
        self.compare_reader()

    def compare_reader(self) -> None:
        """A reader who applies all announcements has the broker's state of each content."""
        held: dict[str, Event] = {}
        for event in self.recorder.events:
            before = held.get(event.content_id)
            if event.delta:
                assert before
                assert (before.offset, before.removed) == (event.after, False)
                data = composed(before.data, decode_delta(event.data))
                event = msgspec.structs.replace(event, data=data, type=before.type)
            held[event.content_id] = event
        latest = self.runner.run(self.broker.lookup(TENANT, (*CONTENTS, LEASED))).events
        for there in latest:
            mine = there and held.get(there.content_id)
            assert not there or (mine and (mine.offset, mine.type) == (there.offset, there.type))
            assert not there or not mine or decode(mine.data) == decode(there.data)


def shown(data: bytes, expected: bytes | dict[str, Any]) -> bytes | dict[str, Any]:
    """The data as they are, or decoded where the order of their fields is not known."""
    return data if isinstance(expected, bytes) else decode(data)


def test_the_embedded_broker_agrees_with_the_reference() -> None:
    """A broker in memory runs the same code as one on disk."""

    class Embedded(Machine):
        def __init__(self) -> None:
            super().__init__("memory:")

    run_state_machine_as_test(Embedded, settings=SETTINGS)


def test_an_embedded_broker_that_is_reopened_agrees_with_the_reference(tmp_path: Path) -> None:
    """Its file has everything, what has grown included, wherever it is closed."""
    numbers = itertools.count()

    class Reopened(Machine):
        def __init__(self) -> None:
            super().__init__(f"sqlite:///{tmp_path / f'{next(numbers)}.db'}")

        @rule()
        def reopen(self) -> None:
            """Another hub on the same file."""
            self.close()
            self.open()
            self.subscribe()
            self.compare_reader()

    run_state_machine_as_test(Reopened, settings=settings(SETTINGS, max_examples=part(40)))


@pytest.mark.redis
def test_a_redis_that_restarts_agrees_with_the_reference(tmp_path: Path) -> None:
    """Under a hub that goes on. Cursors from before are void, also with the data, of which the latest may be lost."""
    with running_redis(tmp_path) as server:

        class Restarted(Machine):
            def __init__(self) -> None:
                server.command("FLUSHALL")
                self.void: list[Cursor] = []
                super().__init__(server.url)

            @precondition(lambda self: not self.rested)
            @rule(kept=st.booleans(), killed=st.booleans())
            def restart(self, kept: bool, killed: bool) -> None:
                """The server ends, in order or not, and comes back."""
                self.settle()
                back = self.recorder.restorations + 1
                (server.kill if killed else server.stop)()
                if not kept:
                    server.forget()
                # After another restart in the same second, the epoch may be that of a moment which is to come.
                eventually(lambda: int(self.cursors[0].epoch, 36) < time.time() * 1e6)
                server.start()
                self.runner.run(self.recorder.until(lambda: self.recorder.restorations >= back))
                self.void, self.cursors = self.cursors, []
                if kept:
                    clock = self.runner.run(self.broker.offsets(TENANT, [])).cursor
                    assert clock.offset == self.reference.offset
                    self.cursors.append(clock)
                    self.settle()
                else:
                    self.recorder.announcements.clear()
                    self.begin()
                assert all(it.precedes(self.cursors[0]) for it in self.void)
                self.rested = True

            @precondition(lambda self: self.void)
            @rule(data=st.data(), channel=st.sampled_from(CHANNELS))
            def changes_of_old(self, data: st.DataObject, channel: str) -> None:
                """A cursor from before the restart gets the whole state."""
                snapshot = self.runner.run(self.broker.changes(TENANT, channel, data.draw(st.sampled_from(self.void))))
                assert snapshot.whole
                assert [it.offset for it in snapshot.events] == [it[0] for it in self.reference.changes(channel, 0)]

        run_state_machine_as_test(Restarted, settings=settings(SETTINGS, max_examples=part(30)))


@pytest.mark.redis
def test_the_redis_broker_agrees_with_the_reference(redis_server: RedisServer) -> None:
    """The server is emptied before each example."""
    with redis.Redis(port=redis_server.port, db=REDIS_DATABASE) as client:

        class OverRedis(Machine):
            def __init__(self) -> None:
                client.flushdb()
                super().__init__(f"redis://127.0.0.1:{redis_server.port}/{REDIS_DATABASE}")

        run_state_machine_as_test(OverRedis, settings=SETTINGS)
