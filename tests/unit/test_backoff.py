"""The back-off's delays between attempts."""

from __future__ import annotations

from statushub.hub.model.backoff import Backoff


def upper(low: float, high: float) -> float:
    return high


def lower(low: float, high: float) -> float:
    return low


def test_delays_double_up_to_the_maximum() -> None:
    """Each delay's range is twice the previous one and never exceeds the maximum."""
    backoff = Backoff(0.1, 0.5, uniform=upper)
    assert [backoff.next() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_jitter_shortens_a_delay_by_at_most_half() -> None:
    """The shortest delay is half of its range."""
    backoff = Backoff(0.1, 0.5, uniform=lower)
    assert [backoff.next() for _ in range(4)] == [0.05, 0.1, 0.2, 0.25]


def test_delays_are_drawn_at_random() -> None:
    """Two clients that fail at the same moment do not retry at the same moments."""
    assert len({Backoff(1.0, 1.0).next() for _ in range(20)}) > 1


def test_reset_returns_to_the_first_delay() -> None:
    """After a success, the next failure is retried soon."""
    backoff = Backoff(0.1, 0.5, uniform=upper)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == 0.1


def test_many_failures_do_not_overflow() -> None:
    """After thousands of failures the delay is still the maximum."""
    backoff = Backoff(0.1, 5.0, uniform=upper)
    assert [backoff.next() for _ in range(5_000)][-1] == 5.0
