"""A histogram counts what Prometheus expects of one."""

from __future__ import annotations

from statushub.hub.histogram import SECONDS, Histogram


def test_buckets_are_cumulative_and_end_with_all() -> None:
    """An observation at a bound belongs to it, and one above all bounds only to the last bucket."""
    histogram = Histogram()
    for seconds in (0.0005, 0.005, 0.004, 31.0):
        histogram.observe(seconds)
    buckets = dict(histogram.buckets)
    assert [buckets[it] for it in ("0.001", "0.0025", "0.005", "30.0", "+Inf")] == [1, 1, 3, 3, 4]
    assert len(buckets) == len(SECONDS) + 1
    assert (histogram.count, histogram.sum) == (4, 0.0005 + 0.005 + 0.004 + 31.0)


def test_a_negative_observation_takes_nothing_from_the_sum() -> None:
    """Prometheus takes a sum that falls for a restart."""
    histogram = Histogram()
    histogram.observe(1.0)
    histogram.observe(-5.0)
    assert (histogram.count, histogram.sum) == (2, 1.0)
