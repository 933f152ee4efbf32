"""The fence in isolation: every rule of contract.py as a table, and the invariants of all rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.brokers.fence import Accepted, FenceState, Repeat, evaluate
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.vocabulary import Phase
from tests.support.publications import update

NOW = 1_000
BEGAN = 500

OPEN = FenceState(channel="films", attempt=2, seq=5, seq_offset=40, closed=False, began=BEGAN)
CLOSED = FenceState(channel="films", attempt=2, seq=5, seq_offset=40, closed=True, began=BEGAN)
UNCOUNTED = FenceState(channel="films", attempt=2, seq=None, seq_offset=40, closed=False, began=BEGAN)

counters = st.none() | st.integers(0, 4)
states = st.builds(
    FenceState,
    channel=st.just("films"),
    attempt=st.integers(0, 4),
    seq=counters,
    seq_offset=st.just(40),
    closed=st.booleans(),
)


def offered(attempt: int | None, seq: int | None, channel: str = "films") -> Publication:
    """A publication with this attempt and seq."""
    return Publication(
        channel=channel, content_id="a", type="t", data=b"{}", phase=Phase.PROCESSING, attempt=attempt, seq=seq
    )


@pytest.mark.parametrize(
    ("state", "attempt", "seq", "verdict"),
    [
        (None, None, None, Accepted(attempt=1, seq=None, began=NOW)),
        (None, 0, 0, Accepted(attempt=0, seq=0, began=NOW)),
        (None, 7, 3, Accepted(attempt=7, seq=3, began=NOW)),
        (OPEN, 1, 9, Refusal.SUPERSEDED),
        (CLOSED, 1, 9, Refusal.SUPERSEDED),
        (OPEN, 3, 1, Accepted(attempt=3, seq=1, began=NOW)),
        (CLOSED, 3, None, Accepted(attempt=3, seq=None, began=NOW)),
        (OPEN, 2, 5, Repeat(offset=40, attempt=2)),
        (OPEN, None, 5, Repeat(offset=40, attempt=2)),
        (CLOSED, 2, 5, Repeat(offset=40, attempt=2)),
        (OPEN, 2, 4, Refusal.SUPERSEDED),
        (CLOSED, None, 4, Refusal.SUPERSEDED),
        (CLOSED, 2, 6, Refusal.CLOSED),
        (CLOSED, None, None, Refusal.CLOSED),
        (OPEN, 2, 6, Accepted(attempt=2, seq=6, began=BEGAN)),
        (OPEN, None, 6, Accepted(attempt=2, seq=6, began=BEGAN)),
        (OPEN, None, None, Accepted(attempt=2, seq=5, seq_offset=40, began=BEGAN)),
        (UNCOUNTED, 2, 0, Accepted(attempt=2, seq=0, began=BEGAN)),
    ],
)
def test_each_rule_gives_its_verdict(
    state: FenceState | None, attempt: int | None, seq: int | None, verdict: Accepted | Repeat | Refusal
) -> None:
    """The table has each rule before and after the end of an attempt."""
    assert evaluate(state, offered(attempt, seq), NOW) == verdict


@given(states, counters, counters)
def test_another_channel_is_refused_first(state: FenceState, attempt: int | None, seq: int | None) -> None:
    """No attempt and no seq moves a content to another channel."""
    assert evaluate(state, offered(attempt, seq, channel="books"), NOW) is Refusal.WRONG_CHANNEL


@given(states, counters, counters)
def test_an_accepted_publication_never_goes_back(state: FenceState, attempt: int | None, seq: int | None) -> None:
    """Attempts never decrease, seqs never decrease within one, and only a higher attempt leaves a closed one."""
    verdict = evaluate(state, offered(attempt, seq), NOW)
    if isinstance(verdict, Accepted):
        assert verdict.attempt >= state.attempt
        if verdict.attempt == state.attempt:
            assert not state.closed
            assert (verdict.seq or 0) >= (state.seq or 0)


@given(states, st.integers(0, 4), st.integers(0, 4))
def test_an_accepted_publication_offered_again_is_a_repeat(state: FenceState, attempt: int, seq: int) -> None:
    """A repeat is recognised by attempt and seq, and answered with the stored offset."""
    verdict = evaluate(state, offered(attempt, seq), NOW)
    if isinstance(verdict, Accepted):
        after = FenceState(channel="films", attempt=verdict.attempt, seq=verdict.seq, seq_offset=41, closed=True)
        assert evaluate(after, offered(attempt, seq), NOW) == Repeat(offset=41, attempt=verdict.attempt)


RUN = FenceState(channel="films", attempt=2, seq=5, seq_offset=40, closed=False, run="b", runs=("a",), began=BEGAN)
ENDED = FenceState(channel="films", attempt=2, seq=5, seq_offset=40, closed=True, run="b", runs=("a",), began=BEGAN)


@pytest.mark.parametrize(
    ("state", "run", "age", "seq", "verdict"),
    [
        (None, "a", 200, 1, Accepted(attempt=1, seq=1, run="a", began=NOW - 200)),
        (RUN, "b", 300, 6, Accepted(attempt=2, seq=6, run="b", runs=("a",), began=BEGAN)),
        (RUN, "b", 700, 6, Accepted(attempt=2, seq=6, run="b", runs=("a",), began=NOW - 700)),
        (RUN, "b", 300, 5, Repeat(offset=40, attempt=2)),
        (RUN, "b", 300, 4, Refusal.SUPERSEDED),
        (ENDED, "b", 300, 6, Refusal.CLOSED),
        (RUN, "a", 0, 9, Refusal.SUPERSEDED),
        (ENDED, "a", 0, 9, Refusal.SUPERSEDED),
        (RUN, "c", NOW - BEGAN - 1, 1, Accepted(attempt=3, seq=1, run="c", runs=("b", "a"), began=BEGAN + 1)),
        (ENDED, "c", 0, 1, Accepted(attempt=3, seq=1, run="c", runs=("b", "a"), began=NOW)),
        (RUN, "c", NOW - BEGAN, 1, Refusal.SUPERSEDED),
        (ENDED, "c", NOW, 1, Refusal.SUPERSEDED),
        (OPEN, "c", 0, 1, Accepted(attempt=3, seq=1, run="c", began=NOW)),
    ],
)
def test_each_rule_of_runs_gives_its_verdict(
    state: FenceState | None, run: str, age: int, seq: int, verdict: Accepted | Repeat | Refusal
) -> None:
    """A later run wins whatever its attempt, and a former one never does."""
    assert evaluate(state, update("a", run=run, age_ms=age, seq=seq), NOW) == verdict


def test_a_run_may_go_on_after_its_end() -> None:
    """A restart opens the next attempt, and is a repeat when it is sent again."""
    again = update("a", run="b", seq=6, restart=True)
    accepted = Accepted(attempt=3, seq=6, run="b", runs=("a",), began=BEGAN)
    assert evaluate(ENDED, again, NOW) == accepted
    opened = FenceState(
        channel="films", attempt=3, seq=6, seq_offset=41, closed=False, run="b", runs=("a",), began=BEGAN
    )
    assert evaluate(opened, again, NOW) == Repeat(offset=41, attempt=3)


def test_an_explicit_attempt_ends_a_run() -> None:
    """The run is a former one from then on."""
    verdict = evaluate(RUN, offered(7, 1), NOW)
    assert verdict == Accepted(attempt=7, seq=1, runs=("b", "a"), began=NOW)


def test_eight_former_runs_are_known() -> None:
    """A ninth is only told by when it began."""
    state: FenceState | None = None
    for n in range(10):
        verdict = evaluate(state, update("a", run=f"r{n}"), NOW + n)
        assert isinstance(verdict, Accepted)
        state = FenceState(
            channel="films",
            attempt=verdict.attempt,
            seq=None,
            seq_offset=None,
            closed=False,
            run=verdict.run,
            runs=verdict.runs,
            began=verdict.began,
        )
    assert state is not None
    assert state.runs == tuple(f"r{n}" for n in range(8, 0, -1))


def test_a_restart_opens_an_attempt_within_the_millisecond() -> None:
    """A restart by another run, and only a restart, wins where both runs began at the same time."""
    tie = update("a", run="c", age_ms=NOW - BEGAN, seq=1, restart=True)
    assert evaluate(ENDED, tie, NOW) == Accepted(attempt=3, seq=1, run="c", runs=("b", "a"), began=BEGAN)
    earlier = update("a", run="c", age_ms=NOW - BEGAN + 1, seq=1, restart=True)
    assert evaluate(ENDED, earlier, NOW) is Refusal.SUPERSEDED
