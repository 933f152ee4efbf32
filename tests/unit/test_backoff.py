"""The delays between tries."""

from __future__ import annotations

from statushub.hub.model.backoff import Backoff


def upper(low: float, high: float) -> float:
    return high


def lower(low: float, high: float) -> float:
    return low


def test_delays_double_up_to_the_longest() -> None:
    """Each delay's range is twice the one before, and never over the longest."""
    backoff = Backoff(0.1, 0.5, uniform=upper)
    assert [backoff.next() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_jitter_takes_at_most_half_of_a_delay() -> None:
    """The least delay is half of its range."""
    backoff = Backoff(0.1, 0.5, uniform=lower)
    assert [backoff.next() for _ in range(4)] == [0.05, 0.1, 0.2, 0.25]


def test_delays_are_drawn_at_random() -> None:
    """Two clients that begin in the same moment do not go on in the same moments."""
    assert len({Backoff(1.0, 1.0).next() for _ in range(20)}) > 1


def test_reset_begins_with_the_first_delay() -> None:
    """After a success the next failure is retried soon."""
    backoff = Backoff(0.1, 0.5, uniform=upper)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.1


def test_many_failures_do_not_overflow() -> None:
    """An outage of weeks still has a delay."""
    backoff = Backoff(0.1, 5.0, uniform=upper)
    assert [backoff.next() for _ in range(5_000)][-1] == 5.0
