"""The checker, with histories made by hand: it finds what violates each promise, and nothing in what keeps them."""

from __future__ import annotations

import random

import pytest

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.receipt import Receipt, Refusal
from tests.faults.checker import ANYTHING_LOST, NOTHING_LOST, Checker, Watch
from tests.faults.history import Entry, Ready, Report, Reset, Shown, State, Stored, difference
from tests.faults.resp import ANNOUNCEMENT, Dropper, value_end

CHANNELS = frozenset({"c"})


def report(step: int, *, final: bool = False, content: str = "a", run: int = 1, late: bool = False) -> Report:
    return Report(content=content, channel="c", run=run, step=step, final=final, late=late)


def state(offset: int, step: int, *, content: str = "a", run: int = 1, epoch: str = "e", type: str = "") -> State:
    stalled = type == "stalled"
    type = {"": "content_status_update", "end": "processing_complete", "stalled": "processing_error"}[type]
    return State(
        content=content,
        channel="c",
        epoch=epoch,
        offset=offset,
        type=type,
        data=b"{}",
        rank=(run, step, stalled),
    )


def stored(*states: State, epoch: str = "e") -> Stored:
    return Stored(epoch=epoch, states={state.content: state for state in states})


def ready(offset: int, epoch: str = "e") -> Ready:
    return Ready(Cursor(epoch=epoch, offset=offset))


class Case:
    """A checker that knows of two reports on one content, the second its last."""

    def __init__(self) -> None:
        self.checker = Checker()
        self.watch = Watch("v", CHANNELS)
        self.end = state(2, 2, type="end")
        self.accepted(report(1), 1)
        self.accepted(report(2, final=True), 2)

    def accepted(self, what: Report, offset: int, *, epoch: str = "e", at: float = 1.0) -> None:
        """A report that was offered and acknowledged."""
        self.checker.offer(what)
        self.checker.judged(what, Receipt(cursor=Cursor(epoch=epoch, offset=offset)), at)

    def evaluate(self, *seen: Entry | State, kept: Stored | None = None, until: float = NOTHING_LOST) -> list[str]:
        """What is wrong with it."""
        entries = [Shown(it, 1.0) if isinstance(it, State) else it for it in seen]
        self.checker.evaluate(kept or stored(self.end), [(self.watch, entries)], kept_until=until)
        return self.checker.new_violations()


@pytest.fixture
def case() -> Case:
    return Case()


def test_what_keeps_every_promise_is_no_violation(case: Case) -> None:
    """Live, by catching up, and anew after a reset; and so it is counted."""
    assert case.evaluate(state(1, 1), ready(1), case.end, ready(2), Reset(), case.end, ready(2)) == []
    assert case.evaluate() == []
    assert (case.checker.publishes, case.checker.deliveries) == (2, 3)


def test_ids_must_grow(case: Case) -> None:
    """What was shown already is not shown again without a reset."""
    [violation] = case.evaluate(case.end, case.end)
    assert "ids do not grow" in violation


def test_the_epoch_changes_at_a_reset_alone(case: Case) -> None:
    """A client cannot know otherwise that its cursor is void."""
    kept = stored(state(2, 2, type="end", epoch="f"), epoch="f")
    [violation] = case.evaluate(case.end, state(2, 2, type="end", epoch="f"), kept=kept)
    assert "without a reset" in violation


def test_no_older_state_is_shown(case: Case) -> None:
    """Not even after a reset into another epoch, where nothing was lost."""
    kept = stored(state(2, 2, type="end", epoch="f"), epoch="f")
    [violation] = case.evaluate(case.end, Reset(), state(1, 1, epoch="f"), kept=kept)
    assert "after (1, 2, False)" in violation


def test_what_was_lost_may_be_shown_older(case: Case) -> None:
    """In the life that began with the loss; the one before is over."""
    case.evaluate(case.end)
    case.accepted(report(1, run=2, final=True), 1, epoch="f")
    again = state(1, 1, run=2, type="end", epoch="f")
    assert case.evaluate(Reset(), again, ready(1, "f"), kept=stored(again, epoch="f"), until=ANYTHING_LOST) == []
    assert "of a life that is over" in case.evaluate(Reset(), case.end, kept=stored(again, epoch="f"))[0]


def test_a_loss_begins_an_epoch(case: Case) -> None:
    """Else a cursor would seem to be good that is not."""
    case.evaluate(case.end)
    [violation] = case.evaluate(until=ANYTHING_LOST)
    assert "goes on" in violation


def test_nothing_is_shown_that_nobody_offered(case: Case) -> None:
    """No step that never was, and no end that was none."""
    [violation] = case.evaluate(case.end, state(3, 3))
    assert "nobody offered" in violation
    [violation] = case.evaluate(Reset(), state(1, 1, type="end"), case.end)[:1]
    assert "nobody offered" in violation


def test_a_report_has_one_place(case: Case) -> None:
    """A repeat is stored once, whoever tells of the second time."""
    [violation] = case.evaluate(case.end, state(3, 2, type="end"))
    assert "two places" in violation
    case.accepted(report(2, final=True), 4)
    [violation] = case.evaluate()
    assert "two places" in violation


@pytest.mark.parametrize("reset", [True, False], ids=["after a reset", "after a reconnect"])
def test_ready_says_that_all_is_shown(case: Case, reset: bool) -> None:
    """Of what the broker held at its cursor nothing is missing, and nothing is older."""
    before: list[Entry] = [Reset()] if reset else []
    [violation] = case.evaluate(*before, state(1, 1), ready(2))
    assert "was ready at e-2" in violation


def test_ready_says_nothing_of_what_comes_later(case: Case) -> None:
    """A hub may know less than the broker; what it knows is whole."""
    assert case.evaluate(state(1, 1), ready(1), case.end) == []


def test_no_regular_report_is_refused(case: Case) -> None:
    """A fence that shuts out the living loses their work."""
    case.checker.offer(report(1, run=2))
    case.checker.judged(report(1, run=2), Receipt(reason=Refusal.CLOSED), 1.0)
    [violation] = case.evaluate(case.end)
    assert "refused" in violation


def test_a_late_report_is_refused(case: Case) -> None:
    """And harmful where it is not."""
    case.checker.judged(report(1, late=True), Receipt(reason=Refusal.SUPERSEDED), 2.0)
    case.checker.judged(report(1, late=True), Receipt(cursor=Cursor(epoch="e", offset=3)), 2.0)
    violations = case.evaluate(case.end)
    assert any("came late" in violation for violation in violations)


def test_what_was_acknowledged_is_stored(case: Case) -> None:
    """All of it: neither missing nor older."""
    assert "nothing is stored" in case.evaluate(kept=Stored(epoch="e", states={}))[0]
    assert "(1, 1, False) is stored" in case.evaluate(kept=stored(state(1, 1)))[0]


def test_what_reached_a_replica_outlives_its_master(case: Case) -> None:
    """What was acknowledged before the last `WAIT` must be there, what came after it need not."""
    case.evaluate(case.end)
    case.accepted(report(1, content="b", final=True), 3, at=9.0)
    assert case.evaluate(kept=stored(state(2, 2, type="end", epoch="f"), epoch="f"), until=5.0) == []
    [violation] = case.evaluate(kept=Stored(epoch="g", states={}), until=5.0)
    assert "was acknowledged" in violation


def test_every_content_ends(case: Case) -> None:
    """A run that is stored without its end has lost it."""
    case.accepted(report(1, run=2), 3)
    [violation] = case.evaluate(kept=stored(state(3, 1, run=2)))
    assert "is not its last" in violation


def test_only_the_dead_stall(case: Case) -> None:
    """A lease that ran out although its worker reported is one of ours that was mistaken."""
    case.accepted(report(1, content="b"), 3)
    stalled = state(4, 1, content="b", type="stalled")
    [violation] = case.evaluate(kept=stored(case.end, stalled))
    assert "its worker lives" in violation
    case.checker.abandoned.add("b")
    assert case.evaluate(stalled, kept=stored(case.end, stalled)) == []


def test_the_dead_stall_once(case: Case) -> None:
    """Two hubs end a content together once."""
    case.accepted(report(1, content="b"), 3)
    case.checker.abandoned.add("b")
    ends = [state(offset, 1, content="b", type="stalled") for offset in (4, 5)]
    [violation] = case.evaluate(*ends, kept=stored(case.end, ends[0]))
    assert "two places" in violation


def test_a_view_differs_by_anything() -> None:
    """Missing, too much, another offset, other data, another epoch."""
    there = {"a": state(1, 1)}
    assert difference(there, there, "e") is None
    for view in ({}, {**there, "b": state(2, 1, content="b")}, {"a": state(2, 1)}):
        assert difference(view, there, "e")
    assert difference(there, there, "f")


def test_only_announcements_are_dropped() -> None:
    """Every answer goes through, whole, however it arrives."""
    answer = b"*3\r\n$-1\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n"
    message = ANNOUNCEMENT + b"$1\r\nc\r\n$4\r\nsaid\r\n"
    assert value_end(answer, 0) == len(answer)
    dropper = Dropper(random.Random(0))
    dropper.share = 1.0
    said = answer + message + b"+PONG\r\n"
    assert b"".join(dropper.passed(1, bytes([byte])) for byte in said) == answer + b"+PONG\r\n"
    assert dropper.dropped == 1
