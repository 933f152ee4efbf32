"""The seed of all randomness here: a new one each run, printed where a test fails; HOSTILE_SEED sets it."""

from __future__ import annotations

import os
import secrets
from typing import Final

import hypothesis
from hypothesis import HealthCheck

from tests.support.effort import part

SEED: Final = int(os.environ.get("HOSTILE_SEED") or secrets.randbits(32))

seeded: Final = hypothesis.seed(SEED)
"""For tests with `given`: hypothesis draws by the seed, without its database, which replays what other seeds found."""


def examples(count: int) -> hypothesis.settings:
    """Settings for `count` examples, or the part of them that is run; without a deadline, since machines are shared."""
    return hypothesis.settings(
        max_examples=part(count),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
