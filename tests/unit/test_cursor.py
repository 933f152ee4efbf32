"""The order of a clock's places and of its lives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.model.cursor import COUNTER_MAX, Cursor, epoch_at, epoch_precedes, next_epoch

YEAR_2025 = 1_750_000_000_000_000
"""Microseconds."""

moments = st.integers(1, COUNTER_MAX)
stored_epochs = st.none() | st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True) | st.just("")


@given(moments, moments)
def test_epochs_are_in_the_order_of_their_times(one: int, other: int) -> None:
    """The order holds although a later epoch may have more digits."""
    assert epoch_precedes(epoch_at(one), epoch_at(other)) is (one < other)


@pytest.mark.parametrize("microseconds", [1, 35, 36, 36**5, YEAR_2025, COUNTER_MAX])
def test_an_epoch_is_a_time_in_base_36(microseconds: int) -> None:
    """An operator can read the beginning of a clock's life in its cursors."""
    assert int(epoch_at(microseconds), 36) == microseconds


@pytest.mark.parametrize(
    ("cursor", "other", "precedes"),
    [
        ("k-1", "k-2", True),
        ("k-2", "k-2", False),
        ("k-3", "k-2", False),
        ("k-9", "m-1", True),
        ("m-1", "k-9", False),
        ("z-9", "10-0", True),
        ("10-0", "z-9", False),
    ],
)
def test_the_epoch_is_compared_before_the_offset(cursor: str, other: str, precedes: bool) -> None:
    """Every place of a later life is later than every place of an earlier one."""
    assert Cursor.parse(cursor).precedes(Cursor.parse(other)) is precedes


@given(moments, moments)
def test_the_next_epoch_is_later_than_the_stored_one(last: int, now: int) -> None:
    """It is so too where the server's clock was set back, and names the time otherwise."""
    following = next_epoch(epoch_at(last), now)
    if last < COUNTER_MAX - 1_000_000:
        assert epoch_precedes(epoch_at(last), following)
    assert following == epoch_at(now) or last > now - 1_000_001


def test_two_copies_of_a_clock_that_was_set_back_begin_different_epochs() -> None:
    """Each draws from the second after the stored epoch, by the time of its beginning."""
    stored = epoch_at(YEAR_2025 + 3_600_000_000)
    first, second = next_epoch(stored, YEAR_2025 + 17), next_epoch(stored, YEAR_2025 + 43)
    assert first != second
    assert epoch_precedes(stored, first)
    assert epoch_precedes(stored, second)


@given(stored_epochs, st.integers(YEAR_2025, COUNTER_MAX // 2))
def test_the_next_epoch_is_valid_whatever_is_stored(stored: str | None, now: int) -> None:
    """An epoch of a former version, which may be long or no time at all, gives an epoch that a cursor can hold."""
    following = next_epoch(stored, now)
    assert Cursor.parse(f"{following}-0").epoch == following
    assert YEAR_2025 <= int(following, 36) <= COUNTER_MAX


@pytest.mark.parametrize("stored", [None, "", "z" * 12, "z" * 32, "z" * 11, epoch_at(COUNTER_MAX)])
def test_an_epoch_that_cannot_be_counted_on_is_replaced_by_the_time(stored: str | None) -> None:
    """Without a stored epoch, and with one above what Lua counts exactly, the time is the epoch."""
    assert next_epoch(stored, YEAR_2025) == epoch_at(YEAR_2025)
