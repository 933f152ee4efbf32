"""The share of long tests that is run: a part in `make test`, all of it in `make test-all`.

`make test-all` passes `--hypothesis-profile=full`.
"""

from __future__ import annotations

from typing import Final

import hypothesis

FULL_EXAMPLES: Final = 100
QUICK_EXAMPLES: Final = 20
"""Each run draws other examples, so that several runs together cover more; `.ci/run` has fixed seeds."""


def register() -> None:
    """Register both profiles, and load the quick one."""
    # Examples have no deadline, since other tests run at the same time.
    hypothesis.settings.register_profile("full", max_examples=FULL_EXAMPLES, deadline=None)
    hypothesis.settings.register_profile("quick", max_examples=QUICK_EXAMPLES, deadline=None)
    hypothesis.settings.load_profile("quick")


def part(count: int) -> int:
    """The number of examples, requests or rounds to run, out of `count`."""
    return max(1, count * hypothesis.settings().max_examples // FULL_EXAMPLES)
