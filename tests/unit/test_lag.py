"""Which epochs that a client shows are looked for, and for how long."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from statushub.hub.model.cursor import epoch_at
from statushub.hub.replicas import lag
from statushub.hub.replicas.lag import EPOCHS, FORGED_SECONDS, Lag

NOW = 1_750_000_000
"""The hub's clock, in Unix seconds."""

PATIENCE = 30.0


class Clocks(SimpleNamespace):
    """Clocks that a test sets."""

    passed: float

    def time(self) -> float:
        return NOW + self.passed

    def monotonic(self) -> float:
        return 5_000 + self.passed


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    set_clocks = Clocks(passed=0.0)
    monkeypatch.setattr(lag, "time", set_clocks)
    return set_clocks


def epoch(seconds: float) -> str:
    """The epoch of a clock whose life began so many seconds from now."""
    return epoch_at(round((NOW + seconds) * 1_000_000))


KNOWN = epoch(-1_000)


@pytest.mark.parametrize("seconds", [-999.9, -1, 0, 60, FORGED_SECONDS - 1])
def test_a_later_epoch_is_looked_for(clocks: Clocks, seconds: float) -> None:
    """It is so too where the clocks of two machines differ by a little."""
    assert Lag(PATIENCE).expect("t", KNOWN, epoch(seconds))


@pytest.mark.parametrize("shown", [KNOWN, epoch(-1_001), "a", "0"])
def test_an_epoch_that_is_not_later_is_void(clocks: Clocks, shown: str) -> None:
    """The known epoch needs no look, and an older one never comes back."""
    assert not Lag(PATIENCE).expect("t", KNOWN, shown)


@pytest.mark.parametrize("shown", [epoch(FORGED_SECONDS + 1), "z" * 10, "z" * 32, "0" * 20])
def test_a_forged_epoch_is_void_immediately(clocks: Clocks, shown: str) -> None:
    """No clock begins a life more than an hour in the future."""
    assert not Lag(PATIENCE).expect("t", KNOWN, shown)


def test_an_epoch_may_follow_one_that_is_ahead_of_the_hub(clocks: Clocks) -> None:
    """After the broker's clock was hours ahead, its epochs stay ahead; a forged one is measured by them."""
    known = epoch(2 * 3_600)
    assert Lag(PATIENCE).expect("t", known, epoch(2 * 3_600 + 1))
    assert Lag(PATIENCE).expect("t", known, epoch(3 * 3_600))
    assert not Lag(PATIENCE).expect("t", known, epoch(3 * 3_600 + 1))


def test_every_epoch_is_later_than_none(clocks: Clocks) -> None:
    """A hub that knows no epoch of the tenant looks for the one it is shown."""
    assert Lag(PATIENCE).expect("t", "", epoch(-5_000))


def test_an_epoch_is_void_after_the_patience(clocks: Clocks) -> None:
    """Patience runs from the first time it is shown, and showing it again does not renew it."""
    shown = Lag(PATIENCE)
    for passed, expected in ((0, True), (PATIENCE / 2, True), (PATIENCE - 0.1, True), (PATIENCE, False), (60, False)):
        clocks.passed = passed
        assert shown.expect("t", KNOWN, epoch(0)) is expected


def test_each_tenant_and_each_epoch_has_its_own_patience(clocks: Clocks) -> None:
    """What a client of one tenant shows does not shorten the wait of another's, or for a still later epoch."""
    shown = Lag(PATIENCE)
    assert shown.expect("t", KNOWN, epoch(0))
    clocks.passed = PATIENCE
    assert not shown.expect("t", KNOWN, epoch(0))
    assert shown.expect("u", KNOWN, epoch(0))
    assert shown.expect("t", KNOWN, epoch(1))


def test_an_epoch_that_is_given_up_is_void(clocks: Clocks) -> None:
    """The clock went back behind it, and no cursor of it is waited for again."""
    looked = Lag(PATIENCE)
    assert looked.expect("t", epoch(0), epoch(5))
    looked.void("t", epoch(5))
    assert not looked.expect("t", epoch(0), epoch(5))
    assert looked.expect("t", epoch(0), epoch(6))


def test_without_patience_every_other_epoch_is_void(clocks: Clocks) -> None:
    """The setting may be 0."""
    assert not Lag(0.0).expect("t", KNOWN, epoch(0))


def test_what_is_remembered_is_bounded(clocks: Clocks) -> None:
    """Forged epochs push others out, which are then waited for once more."""
    shown = Lag(PATIENCE)
    assert shown.expect("t", KNOWN, epoch(0))
    clocks.passed = PATIENCE
    for number in range(EPOCHS):
        shown.expect("t", KNOWN, epoch(1 + number))
    assert shown.expect("t", KNOWN, epoch(0))


def test_the_clocks_are_those_of_the_machine() -> None:
    """Without a test's clocks an epoch of now is later than one of a minute ago, and one of tomorrow is forged."""
    now = time.time_ns() // 1_000
    shown, known = Lag(PATIENCE), epoch_at(now - 60_000_000)
    assert shown.expect("t", known, epoch_at(now))
    assert not shown.expect("t", known, epoch_at(now + 86_400_000_000))
