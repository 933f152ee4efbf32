"""The short run: each fault once, against real processes under load."""

from __future__ import annotations

import os

import pytest

from tests.faults.__main__ import execute, seed
from tests.faults.injections import INJECTIONS

CUT_SECONDS = 90.0
"""The time after which no further fault is injected: enough for all, and on a slow machine for most."""


@pytest.mark.redis
@pytest.mark.alone
def test_every_guarantee_holds_under_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """The seed is random and printed, or taken from FAULTS_SEED to repeat a run."""
    drawn = os.environ.get("FAULTS_SEED") or seed()
    run = execute(drawn, CUT_SECONDS, [*INJECTIONS], cut=True, log=print)
    assert run.violations == [], f"FAULTS_SEED={drawn}"
    assert run.rounds
