"""An attempt to go live succeeds where the stream lasts."""

from __future__ import annotations

from collections import Counter
from typing import cast

from statushub.hub.viewers.attempts import LIVE_SECONDS, Attempts
from statushub.hub.viewers.session import Session


def test_streams_count_once_they_have_lasted() -> None:
    """Each once; those that ended before do not, and nothing is kept of any."""
    now, results = [0.0], Counter[str]()
    attempts = Attempts(results, lambda: now[0])
    stays, leaves, later = (cast(Session, object()) for _ in range(3))
    attempts.began(stays)
    attempts.began(leaves)
    now[0] = LIVE_SECONDS / 2
    attempts.ended(leaves)
    attempts.began(later)
    attempts.settle()
    assert results["succeeded"] == 0
    now[0] = LIVE_SECONDS
    attempts.settle()
    attempts.settle()
    assert results["succeeded"] == 1
    now[0] = 2 * LIVE_SECONDS
    attempts.settle()
    attempts.ended(stays)
    assert results == {"succeeded": 2}
    assert not attempts._young
