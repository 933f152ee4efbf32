"""The short run: each fault once, against real processes under load."""

from __future__ import annotations

import os

import pytest

from tests.faults.__main__ import execute, seed
from tests.faults.injections import INJECTIONS

CUT_SECONDS = 90.0
"""After which no further fault is begun; there is time for each, and on a slow machine for most."""


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(170)
def test_every_promise_is_kept_through_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """No violation in any round; the seed is drawn, and printed, or taken from FAULTS_SEED to repeat a run."""
    drawn = os.environ.get("FAULTS_SEED") or seed()
    run = execute(drawn, CUT_SECONDS, [*INJECTIONS], cut=True, told=print)
    assert run.violations == [], f"FAULTS_SEED={drawn}"
    assert run.rounds
