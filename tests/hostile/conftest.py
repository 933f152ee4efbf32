from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.seed import SEED
from tests.hostile.witness import unharmed
from tests.support.live import LiveHub
from tests.support.tokens import SECRET


@pytest.fixture(autouse=True)
def _told_seed() -> None:
    """Print the seed, which pytest shows for a failed test."""
    print(f"HOSTILE_SEED={SEED} draws the same again")


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    """A hub that requires no token."""
    with unharmed() as hub:
        yield hub


@pytest.fixture(scope="module")
def auth_required() -> Iterator[LiveHub]:
    """A hub that requires a token."""
    with unharmed(secret=SECRET) as hub:
        yield hub
