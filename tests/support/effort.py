"""How much is run of the tests whose length is a choice: a part by `make test`, all of it by `make test-all`.

`make test-all` says `--hypothesis-profile=full`.
"""

from __future__ import annotations

from typing import Final

import hypothesis

FULL_EXAMPLES: Final = 100
QUICK_EXAMPLES: Final = 20
"""Of a hundred: the examples are others each time, so that runs add up."""


def register() -> None:
    """Make the two profiles known, and the quick one the default."""
    # No deadline for an example: the machine is busy with other tests.
    hypothesis.settings.register_profile("full", max_examples=FULL_EXAMPLES, deadline=None)
    hypothesis.settings.register_profile("quick", max_examples=QUICK_EXAMPLES, deadline=None)
    hypothesis.settings.load_profile("quick")


def part(count: int) -> int:
    """How many of `count` examples, requests or rounds are to be run."""
    return max(1, count * hypothesis.settings().max_examples // FULL_EXAMPLES)
