from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statushub.hub.brokers.redis import commands
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.publication import BATCH_EVENTS, Publication, publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.producers.outbox import BATCH_BYTES, Outbox
from statushub.producers.run import Run
from tests.support.effort import part
from tests.support.redis_server import RedisServer
from tests.support.stored import Stored, stored


def state(content_id: str = "c", *, status: str = "generating", n: int = 0, notes: str = "") -> Publication:
    data = {"status": status, "n": n, "notes": notes}
    return publication(channel="ch", content_id=content_id, data=data, lease=60)


def say(outbox: Outbox, run: Run, publication: Publication) -> None:
    if run.say(publication):
        outbox.offer(run)


class Wire:
    """Sends the states of an outbox straight into Redis, and loses calls and answers on request."""

    def __init__(self, store: Stored, outbox: Outbox) -> None:
        self.store = store
        self.outbox = outbox

    def send(self, *, arrives: bool = True, answered: bool = True) -> None:
        for run in self.outbox.take():
            sent = run.sending
            if sent is None:
                raise RuntimeError("a run was taken that has nothing to send")
            answer = commands.receipts(self._publish([sent])) if arrives else []
            if answer and answered:
                self.outbox.settle(run, answer[0])
            else:
                self.outbox.retry(run)

    def _publish(self, publications: Sequence[Publication]) -> list[int | bytes]:
        call = commands.publish_call(self.store.prefix, publications, commands.Settings(retention=60))
        answer: list[int | bytes] = self.store.call(call)
        return answer


STEPS = st.sampled_from(["say", "say", "deliver", "deliver", "lose it", "lose the answer", "stall"])


@pytest.mark.redis
@settings(deadline=None, max_examples=part(150))
@given(steps=st.lists(STEPS, max_size=30), ending=st.sampled_from(["complete", "error"]))
def test_losses_neither_lose_the_end_nor_store_twice(redis_server: RedisServer, steps: list[str], ending: str) -> None:
    """Over any loss of events and answers, and any stall, (attempt, seq) grows, a repeated event is stored once, and
    the last state is stored last."""
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as store:
        store.redis.function_load(commands.LIBRARY, replace=True)
        box = Outbox(rate=1e9)
        wire = Wire(store, box)
        run = Run(state())
        places, events, said = [(0, 0)], 0, 0
        for step in steps:
            if step == "say":
                said += 1
                say(box, run, state(n=said))
            elif step == "stall":
                if store.lease("c"):
                    store.stall("c")
                    events += 1
            else:
                wire.send(arrives=step != "lose it", answered=step == "deliver")
            place = store.fence("c")
            if place != places[-1]:
                places.append(place)
                events += 1
            assert store.events() == events
        say(box, run, state(status=ending, n=said + 1))
        for _ in range(3):
            wire.send()
        assert run.settled.is_set()
        assert run.delivered
        assert places == sorted(set(places))
        assert (store.status("c")["status"], store.status("c")["n"]) == (ending, said + 1)
        assert box.endings == []
        assert box.take() == []


@settings(deadline=None, max_examples=part(30))
@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=120))
def test_a_call_is_filled_up_to_its_bytes(sizes: list[int]) -> None:
    """Every run is taken once, in the order of its states, and no call exceeds its bytes."""
    box = Outbox(rate=10)
    for n, size in enumerate(sizes):
        say(box, Run(state(f"c{n}")), state(f"c{n}", status="complete", notes="x" * size))
    taken = []
    while batch := box.take():
        assert sum(len(run.sending.data) for run in batch if run.sending) <= BATCH_BYTES
        taken += [run.content_id for run in batch]
    assert taken == [f"c{n}" for n in range(len(sizes))]


def test_a_call_takes_no_more_events_than_a_hub() -> None:
    """Contents beyond the limit of one call are left to the next."""
    box = Outbox(rate=10)
    for n in range(BATCH_EVENTS + 1):
        say(box, Run(state(f"c{n}")), state(f"c{n}"))
    assert [len(box.take()), len(box.take()), len(box.take())] == [BATCH_EVENTS, 1, 0]


def test_final_states_for_an_absent_hub_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the limit the oldest final state is dropped, and the log names it."""
    box = Outbox(rate=10, max_endings=3)
    runs = [Run(state(f"c{n}")) for n in range(5)]
    for n, run in enumerate(runs):
        say(box, run, state(f"c{n}", status="complete"))
        for taken in box.take():
            box.retry(taken)
    assert [run.content_id for run in box.endings] == ["c2", "c3", "c4"]
    assert [run.settled.is_set() for run in runs] == [True, True, False, False, False]
    assert [run.content_id for run in box.take()] == ["c2", "c3", "c4"]
    assert "content 'c1': its final state could not be delivered" in caplog.text


def test_nothing_replaces_the_final_state() -> None:
    """A state that another thread reports after the end is ignored."""
    box = Outbox(rate=10)
    run = Run(state())
    say(box, run, state(status="complete"))
    say(box, run, state())
    [taken] = box.take()
    assert taken.sending is not None
    assert taken.sending.terminal


def test_an_answer_that_comes_after_giving_up_changes_nothing() -> None:
    """A final state that was dropped while it was being sent stays dropped."""
    box = Outbox(rate=10, max_endings=0)
    run = Run(state())
    say(box, run, state(status="complete"))
    assert run.settled.is_set()
    box.settle(run, Receipt(reason=Refusal.SUPERSEDED))
    box.give_up(run)
    assert not run.delivered
    assert run.refused is None
    assert box.take() == []


@pytest.mark.anyio
async def test_a_state_reported_meanwhile_is_delivered() -> None:
    """A state that is reported while another one is being sent stays undelivered until it is sent too."""
    box = Outbox(rate=10)
    run = Run(state())
    say(box, run, state(n=1))
    box.take()
    say(box, run, state(n=2))
    for _ in range(2):
        with anyio.move_on_after(0) as scope:
            await box.emptied()
        assert scope.cancelled_caught
        box.settle(run, Receipt(cursor=Cursor(epoch="e", offset=1)))
        box.hurry()
        box.take()
    await box.emptied()


@pytest.mark.anyio
async def test_an_outdated_due_time_sends_nothing() -> None:
    """A time that was scheduled for a state or a renewal and is no longer needed sends nothing."""
    box = Outbox(rate=50)
    run = Run(publication(channel="ch", content_id="c", data={"status": "generating"}, lease=0.3))
    accepted = Receipt(cursor=Cursor(epoch="e", offset=1))
    sent = []
    for n in (1, 2):
        say(box, run, state(n=n))
        await box.due()
        for taken in box.take():
            sent.append(taken.seq)
            box.settle(taken, accepted)
    while len(sent) < 3:
        await box.due()
        for taken in box.take():
            sent.append(taken.seq)
            box.settle(taken, accepted)
    say(box, run, state(n=3))
    say(box, run, state(status="complete"))
    [taken] = box.take()
    box.settle(taken, accepted)
    for _ in range(2):
        await box.due()
        assert box.take() == []
    assert sent == [1, 2, 3]
    assert run.delivered
