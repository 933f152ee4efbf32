from __future__ import annotations

import pytest

from tests.hostile.seed import SEED


@pytest.fixture(autouse=True)
def _told_seed() -> None:
    """Beside what a test that fails says, pytest shows this."""
    print(f"HOSTILE_SEED={SEED} draws the same again")
