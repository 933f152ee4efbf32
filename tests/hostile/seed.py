"""The seed of everything random here: another one each time, told where a test fails, and taken from HOSTILE_SEED."""

from __future__ import annotations

import os
import secrets
from typing import Final

import hypothesis
from hypothesis import HealthCheck

from tests.support.effort import part

SEED: Final = int(os.environ.get("HOSTILE_SEED") or secrets.randbits(32))

seeded: Final = hypothesis.seed(SEED)
"""For tests with `given`: they draw by the seed. hypothesis's own database would replay what other seeds found."""


def examples(count: int) -> hypothesis.settings:
    """Settings for so many examples of a test, or the part of them that is run."""
    return hypothesis.settings(
        max_examples=part(count),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
