"""A refused publisher is refused again before its requests are read."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from statushub.hub.http.rate_limiter import MAX_PUBLISHERS, RateLimiter, ReadLimiter
from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.limits import PublishRate


def refusal(retry_after: float) -> TooManyRequests:
    """A refusal of the broker."""
    return TooManyRequests("too much", retry_after=retry_after, limit="publish_rate")


def test_a_refusal_is_remembered_until_it_is_over() -> None:
    """The answer is that of the broker, with the time that is left."""
    limiter = RateLimiter(10.0, 1000)
    limiter.refused("t", "a", refusal(60))
    with pytest.raises(TooManyRequests, match="too much") as caught:
        limiter.rate("t", "a")
    assert 0 < caught.value.retry_after <= 60
    assert caught.value.limit == "publish_rate"
    limiter.refused("t", "a", refusal(0))
    assert limiter.rate("t", "a") == PublishRate(sub="a", events=10.0, bytes=1000)


def test_another_publisher_is_not_refused() -> None:
    """A publisher of the same name in another tenant is another one."""
    limiter = RateLimiter(10.0, 1000)
    limiter.refused("t", "a", refusal(60))
    assert limiter.rate("t", "b").sub == "b"
    assert limiter.rate("u", "a").sub == "a"


def test_refused_publishers_are_bounded() -> None:
    """Of more than are remembered, the broker refuses the first ones anew."""
    limiter = RateLimiter(10.0, 1000)
    for number in range(MAX_PUBLISHERS + 1):
        limiter.refused("t", str(number), refusal(60))
    assert limiter.rate("t", "0").sub == "0"
    with pytest.raises(TooManyRequests):
        limiter.rate("t", "1")


def test_a_reader_is_refused_until_what_it_read_is_paid_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """One answer may be larger than a second's worth; the refusal says for how long."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limiter = ReadLimiter(10.0)
    limiter.admit("t", "a")
    limiter.spend("t", "a", 30)
    limiter.admit("t", "b")
    limiter.admit("u", "a")
    with pytest.raises(TooManyRequests) as caught:
        limiter.admit("t", "a")
    assert caught.value.retry_after == pytest.approx(2.1)
    assert caught.value.limit == "read_rate"
    now += caught.value.retry_after
    limiter.admit("t", "a")


def test_an_answer_without_contents_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls that read nothing cost something, too."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    limiter = ReadLimiter(10.0)
    for _ in range(10):
        limiter.admit("t", "a")
        limiter.spend("t", "a", 0)
    with pytest.raises(TooManyRequests):
        limiter.admit("t", "a")


def test_long_names_of_readers_are_not_kept() -> None:
    """A proxy may pass on an address as long as a head."""
    limiter, count = ReadLimiter(10.0), 100
    tracemalloc.start()
    try:
        for number in range(count):
            limiter.spend("t", f"{number}" + "x" * 10_000, 1)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < count * 1_000
