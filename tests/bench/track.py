"""Times a tracked loop against a bare one: `python track.py URL ITEMS`; the hub at URL may be away.

Prints nanoseconds an item of the loop's own thread, of the best of several rounds, and how many seconds the rounds took
beyond what the processor worked for them: what they waited.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Final

from statushub import track

ROUNDS: Final = 3


def seconds(loop: Callable[[], Iterable[int]]) -> float:
    """How long this thread works to go through the items."""
    began = time.thread_time()
    for _ in loop():
        pass
    return time.thread_time() - began


def main(url: str, items: int) -> None:
    bare = min(seconds(lambda: range(items)) for _ in range(ROUNDS))
    began = time.perf_counter()
    rounds = [
        seconds(lambda: track(range(items), channel="jobs", content_id="loop", url=url, title="A loop"))
        for _ in range(ROUNDS)
    ]
    tracked, waited = min(rounds), time.perf_counter() - began - sum(rounds)
    print(f'{{"bare":{bare / items * 1e9:.1f},"tracked":{tracked / items * 1e9:.1f},"waited":{waited:.3f}}}')


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
