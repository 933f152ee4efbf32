"""The checker, with histories written by hand: it finds each violation, and none in a correct history."""

from __future__ import annotations

import random

import msgspec
import pytest

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.receipt import Receipt, Refusal
from tests.faults.checker import ANYTHING_LOST, NOTHING_LOST, Checker, Watch
from tests.faults.history import (
    Entry,
    Gone,
    Misfit,
    Ready,
    Report,
    Reset,
    Shown,
    State,
    Stored,
    difference,
    piece,
    written,
)
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
    """A checker that knows two reports on one content, the second of them final."""

    def __init__(self) -> None:
        self.checker = Checker()
        self.watch = Watch("v", CHANNELS)
        self.end = state(2, 2, type="end")
        self.accepted(report(1), 1)
        self.accepted(report(2, final=True), 2)

    def accepted(self, what: Report, offset: int, *, epoch: str = "e", at: float = 1.0) -> None:
        """Record a report that was offered and acknowledged."""
        self.checker.offer(what)
        self.checker.record_answer(what, Receipt(cursor=Cursor(epoch=epoch, offset=offset)), at)

    def evaluate(self, *seen: Entry | State, kept: Stored | None = None, until: float = NOTHING_LOST) -> list[str]:
        """The new violations."""
        entries = [Shown(it, 1.0) if isinstance(it, State) else it for it in seen]
        self.checker.evaluate(kept or stored(self.end), [(self.watch, entries)], kept_until=until)
        return self.checker.new_violations()


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_correct_history_has_no_violation(case: Case) -> None:
    """Live events, a catch-up and a reset are counted as deliveries."""
    assert case.evaluate(state(1, 1), ready(1), case.end, ready(2), Reset(), case.end, ready(2)) == []
    assert case.evaluate() == []
    assert (case.checker.publishes, case.checker.deliveries) == (2, 3)


def test_ids_must_increase(case: Case) -> None:
    """A state is not shown twice without a reset."""
    [violation] = case.evaluate(case.end, case.end)
    assert "ids do not increase" in violation


def test_the_epoch_changes_only_at_a_reset(case: Case) -> None:
    """Without a reset, a client cannot know that its cursor is void."""
    kept = stored(state(2, 2, type="end", epoch="f"), epoch="f")
    [violation] = case.evaluate(case.end, state(2, 2, type="end", epoch="f"), kept=kept)
    assert "without a reset" in violation


def test_no_older_state_is_shown(case: Case) -> None:
    """The rule holds across a reset into another epoch, where nothing was lost."""
    kept = stored(state(2, 2, type="end", epoch="f"), epoch="f")
    [violation] = case.evaluate(case.end, Reset(), state(1, 1, epoch="f"), kept=kept)
    assert "after (1, 2, False)" in violation


def test_a_new_life_may_show_older_states(case: Case) -> None:
    """After a loss the states of the earlier life must not be shown."""
    case.evaluate(case.end)
    case.accepted(report(1, run=2, final=True), 1, epoch="f")
    again = state(1, 1, run=2, type="end", epoch="f")
    assert case.evaluate(Reset(), again, ready(1, "f"), kept=stored(again, epoch="f"), until=ANYTHING_LOST) == []
    assert "of an earlier life" in case.evaluate(Reset(), case.end, kept=stored(again, epoch="f"))[0]


def test_a_loss_must_begin_an_epoch(case: Case) -> None:
    """In the same epoch, void cursors would seem valid."""
    case.evaluate(case.end)
    [violation] = case.evaluate(until=ANYTHING_LOST)
    assert "continues" in violation


def test_only_offered_states_are_shown(case: Case) -> None:
    """Neither an unknown step nor a wrong final state is accepted."""
    [violation] = case.evaluate(case.end, state(3, 3))
    assert "was not offered" in violation
    [violation] = case.evaluate(Reset(), state(1, 1, type="end"), case.end)[:1]
    assert "was not offered" in violation


def test_a_report_has_one_offset(case: Case) -> None:
    """Two offsets of a repeat are found in views and in acknowledgements."""
    [violation] = case.evaluate(case.end, state(3, 2, type="end"))
    assert "two offsets" in violation
    case.accepted(report(2, final=True), 4)
    [violation] = case.evaluate()
    assert "two offsets" in violation


@pytest.mark.parametrize("reset", [True, False], ids=["after a reset", "after a reconnect"])
def test_ready_requires_a_complete_view(case: Case, reset: bool) -> None:
    """A state that is missing or older than the cursor allows is a violation."""
    before: list[Entry] = [Reset()] if reset else []
    [violation] = case.evaluate(*before, state(1, 1), ready(2))
    assert "was ready at e-2" in violation


def test_ready_may_be_behind_the_broker(case: Case) -> None:
    """The view is complete at the cursor of a hub that is behind."""
    assert case.evaluate(state(1, 1), ready(1), case.end) == []


def test_no_regular_report_is_refused(case: Case) -> None:
    """A refusal of a live worker loses its work."""
    case.checker.offer(report(1, run=2))
    case.checker.record_answer(report(1, run=2), Receipt(reason=Refusal.CLOSED), 1.0)
    [violation] = case.evaluate(case.end)
    assert "refused" in violation


def test_a_late_report_must_be_refused(case: Case) -> None:
    """Refusing it is no violation, accepting it is one."""
    case.checker.record_answer(report(1, late=True), Receipt(reason=Refusal.SUPERSEDED), 2.0)
    case.checker.record_answer(report(1, late=True), Receipt(cursor=Cursor(epoch="e", offset=3)), 2.0)
    violations = case.evaluate(case.end)
    assert any("was late" in violation for violation in violations)


def test_acknowledged_reports_are_stored(case: Case) -> None:
    """A missing state and an older one are violations."""
    assert "nothing is stored" in case.evaluate(kept=Stored(epoch="e", states={}))[0]
    assert "(1, 1, False) is stored" in case.evaluate(kept=stored(state(1, 1)))[0]


def test_reports_on_a_replica_survive_its_master(case: Case) -> None:
    """Reports acknowledged before the last `WAIT` must be stored, later ones need not."""
    case.evaluate(case.end)
    case.accepted(report(1, content="b", final=True), 3, at=9.0)
    assert case.evaluate(kept=stored(state(2, 2, type="end", epoch="f"), epoch="f"), until=5.0) == []
    [violation] = case.evaluate(kept=Stored(epoch="g", states={}), until=5.0)
    assert "was acknowledged" in violation


def test_every_content_ends(case: Case) -> None:
    """A stored run without its final state has lost it."""
    case.accepted(report(1, run=2), 3)
    [violation] = case.evaluate(kept=stored(state(3, 1, run=2)))
    assert "is not its final state" in violation


def test_only_contents_of_dead_workers_stall(case: Case) -> None:
    """A lease that expired although its worker reported is an error."""
    case.accepted(report(1, content="b"), 3)
    stalled = state(4, 1, content="b", type="stalled")
    [violation] = case.evaluate(kept=stored(case.end, stalled))
    assert "its worker is alive" in violation
    case.checker.abandoned.add("b")
    assert case.evaluate(stalled, kept=stored(case.end, stalled)) == []


def test_a_content_stalls_once(case: Case) -> None:
    """Two hubs that sweep simultaneously store one final state."""
    case.accepted(report(1, content="b"), 3)
    case.checker.abandoned.add("b")
    ends = [state(offset, 1, content="b", type="stalled") for offset in (4, 5)]
    [violation] = case.evaluate(*ends, kept=stored(case.end, ends[0]))
    assert "two offsets" in violation


def test_nothing_of_a_removed_run_is_stored_or_shown(case: Case) -> None:
    """Once its removal was acknowledged, or shown; a later run may be."""
    case.checker.episodes.add("b")
    for run in (1, 2):
        case.checker.offer(report(1, content="b", run=run))
    first = state(3, 1, content="b")
    gone = Gone("b", Cursor(epoch="e", offset=4))
    case.checker.record_removal("b", 1)
    assert case.evaluate(case.end, first, gone) == []
    violations = case.evaluate(state(5, 1, content="b"), kept=stored(case.end, state(5, 1, content="b")))
    assert any("is stored, and was removed" in violation for violation in violations)
    assert any("whose removal it was shown before" in violation for violation in violations)
    end = state(6, 1, content="b", run=2)
    later = [it for it in case.evaluate(end, kept=stored(case.end, end)) if "final" not in it]
    assert later == []


def test_a_removed_run_is_refused(case: Case) -> None:
    """A late report of it, unless the broker has lost the removal."""
    case.checker.episodes.add("b")
    late = report(1, content="b", late=True)
    accepted = Receipt(cursor=Cursor(epoch="e", offset=9))
    case.checker.record_answer(late, Receipt(reason=Refusal.REMOVED), 1.0)
    assert case.evaluate(case.end) == []
    case.checker.record_answer(late, accepted, 1.0)
    [violation] = case.evaluate()
    assert "was removed, and was accepted" in violation
    case.checker.record_answer(late, accepted, 1.0)
    assert "accepted" not in str(case.evaluate(kept=Stored(epoch="f", states={}), until=ANYTHING_LOST))


@pytest.mark.parametrize("text", ["", "a1", "a1a2a2", "a2a1"], ids=["none", "a hole", "a repeat", "another order"])
def test_a_text_has_every_character_once(case: Case, text: str) -> None:
    """A state that lacks a piece, or has one twice, is found where it is shown and where it is stored."""
    case.checker.growing.add("b")
    pieces = {"a1": piece("b", 1, 1), "a2": piece("b", 1, 2)}
    wrong = "".join(pieces[text[at : at + 2]] for at in range(0, len(text), 2))
    case.accepted(report(1, content="b"), 3)
    case.accepted(report(2, content="b", final=True), 4)
    good = msgspec.structs.replace(state(4, 2, content="b", type="end"), text=written("b", 1, 2))
    first = msgspec.structs.replace(state(3, 1, content="b"), text=written("b", 1, 1))
    assert case.evaluate(case.end, first, good, kept=stored(case.end, good)) == []
    bad = msgspec.structs.replace(good, text=wrong)
    [violation] = case.evaluate(Reset(), case.end, bad, kept=stored(case.end, good))
    assert "shown to v" in violation
    assert "was written" in violation
    [violation] = case.evaluate(kept=stored(case.end, bad))
    assert "is stored with" in violation


def test_a_delta_that_does_not_fit_is_found(case: Case) -> None:
    """Its viewer has another state than the one that it builds on, or none."""
    [violation] = case.evaluate(case.end, Misfit("b", "e-1", None))
    assert "was sent a delta of b after e-1, and has None" in violation


def test_every_difference_of_a_view_is_found() -> None:
    """A state may be missing, extra, or different in offset or epoch."""
    there = {"a": state(1, 1)}
    assert difference(there, there, "e") is None
    for view in ({}, {**there, "b": state(2, 1, content="b")}, {"a": state(2, 1)}):
        assert difference(view, there, "e")
    assert difference(there, there, "f")


def test_only_announcements_are_dropped() -> None:
    """Every answer is passed on whole, however its bytes arrive."""
    answer = b"*3\r\n$-1\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n"
    message = ANNOUNCEMENT + b"$1\r\nc\r\n$4\r\nsaid\r\n"
    assert value_end(answer, 0) == len(answer)
    dropper = Dropper(random.Random(0))
    dropper.share = 1.0
    sent = answer + message + b"+PONG\r\n"
    assert b"".join(dropper.passed(1, bytes([byte])) for byte in sent) == answer + b"+PONG\r\n"
    assert dropper.dropped == 1
