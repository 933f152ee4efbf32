"""The fence in isolation: every rule of contract.py as a table, and the invariants of all rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.brokers.fence import Accepted, FenceState, Repeat, evaluate
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Refusal

OPEN = FenceState(channel="films", attempt=2, seq=5, seq_offset=40, closed=False)
CLOSED = FenceState(channel="films", attempt=2, seq=5, seq_offset=40, closed=True)
UNCOUNTED = FenceState(channel="films", attempt=2, seq=None, seq_offset=40, closed=False)

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
    return Publication(channel=channel, content_id="a", type="t", data=b"{}", terminal=False, attempt=attempt, seq=seq)


@pytest.mark.parametrize(
    ("state", "attempt", "seq", "verdict"),
    [
        (None, None, None, Accepted(attempt=1, seq=None)),
        (None, 0, 0, Accepted(attempt=0, seq=0)),
        (None, 7, 3, Accepted(attempt=7, seq=3)),
        (OPEN, 1, 9, Refusal.SUPERSEDED),
        (CLOSED, 1, 9, Refusal.SUPERSEDED),
        (OPEN, 3, 1, Accepted(attempt=3, seq=1)),
        (CLOSED, 3, None, Accepted(attempt=3, seq=None)),
        (OPEN, 2, 5, Repeat(offset=40)),
        (OPEN, None, 5, Repeat(offset=40)),
        (CLOSED, 2, 5, Repeat(offset=40)),
        (OPEN, 2, 4, Refusal.SUPERSEDED),
        (CLOSED, None, 4, Refusal.SUPERSEDED),
        (CLOSED, 2, 6, Refusal.CLOSED),
        (CLOSED, None, None, Refusal.CLOSED),
        (OPEN, 2, 6, Accepted(attempt=2, seq=6)),
        (OPEN, None, 6, Accepted(attempt=2, seq=6)),
        (OPEN, None, None, Accepted(attempt=2, seq=5, seq_offset=40)),
        (UNCOUNTED, 2, 0, Accepted(attempt=2, seq=0)),
    ],
)
def test_each_rule_gives_its_verdict(
    state: FenceState | None, attempt: int | None, seq: int | None, verdict: Accepted | Repeat | Refusal
) -> None:
    """The table has each rule before and after the end of an attempt."""
    assert evaluate(state, offered(attempt, seq)) == verdict


@given(states, counters, counters)
def test_another_channel_is_refused_first(state: FenceState, attempt: int | None, seq: int | None) -> None:
    """No attempt and no seq moves a content to another channel."""
    assert evaluate(state, offered(attempt, seq, channel="books")) is Refusal.WRONG_CHANNEL


@given(states, counters, counters)
def test_an_accepted_publication_never_goes_back(state: FenceState, attempt: int | None, seq: int | None) -> None:
    """Attempts never decrease, seqs never decrease within one, and only a higher attempt leaves a closed one."""
    verdict = evaluate(state, offered(attempt, seq))
    if isinstance(verdict, Accepted):
        assert verdict.attempt >= state.attempt
        if verdict.attempt == state.attempt:
            assert not state.closed
            assert (verdict.seq or 0) >= (state.seq or 0)


@given(states, st.integers(0, 4), st.integers(0, 4))
def test_an_accepted_publication_offered_again_is_a_repeat(state: FenceState, attempt: int, seq: int) -> None:
    """A repeat is recognised by attempt and seq, and answered with the stored offset."""
    verdict = evaluate(state, offered(attempt, seq))
    if isinstance(verdict, Accepted):
        after = FenceState(channel="films", attempt=verdict.attempt, seq=verdict.seq, seq_offset=41, closed=True)
        assert evaluate(after, offered(attempt, seq)) == Repeat(offset=41)
