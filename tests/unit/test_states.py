"""The states that a follower keeps, and what deltas make of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from statushub.hub.model.cursor import Cursor
from statushub.producers.following.change import Change
from statushub.producers.following.states import States, grown
from tests.support.growing import GROWN, Grown


def cursor(offset: int, epoch: str = "e") -> Cursor:
    return Cursor(epoch=epoch, offset=offset)


def whole(status: str = "generating", **data: Any) -> Change:
    return Change(type="content_status_update", content_id="a", data={"status": status, **data})


def delta(**append: Any) -> Change:
    return Change(type="content_delta", content_id="a", data={"back": 1, "set": {}, "append": append, "timestamp": "2"})


@pytest.mark.parametrize("case", GROWN, ids=lambda case: case.name)
def test_a_delta_makes_a_state(case: Grown) -> None:
    """Whatever it says and whatever was there, nothing of the former state changes."""
    before = dict(case.before)
    assert grown(case.before, case.said) == case.after
    assert case.before == before


def test_a_delta_is_told_as_a_whole_status() -> None:
    """With its usual type, and what has changed."""
    misfits: list[str] = []
    states = States(misfits.append)
    states.take(whole(text="one"), cursor(1))
    change = states.grown(delta(text=" two"), cursor(2))
    assert change is not None
    assert (change.type, change.data["text"], change.data["timestamp"]) == ("content_status_update", "one two", "2")
    assert change.delta == {"set": {}, "append": {"text": " two"}}
    assert states.grown(delta(text="!"), cursor(3)) is not None
    assert misfits == []


@pytest.mark.parametrize(
    ("back", "at"),
    [
        (1, cursor(3)),
        (3, cursor(3)),
        (1, cursor(2, "f")),
        (None, cursor(2)),
        (True, cursor(2)),
        (0, cursor(1)),
        (9, cursor(2)),
    ],
)
def test_a_delta_that_builds_on_something_else_is_a_misfit(back: object, at: Cursor) -> None:
    """It is told to who asked, and makes nothing."""
    misfits: list[str] = []
    states = States(misfits.append)
    states.take(whole(text="one"), cursor(1))
    said = delta(text="?")
    assert states.grown(msgspec.structs.replace(said, data={**said.data, "back": back}), at) is None
    assert misfits == ["a"]


def test_only_what_is_processed_is_kept() -> None:
    """Nothing else grows; after a reset nothing is left."""
    states = States(lambda _: None)
    states.take(whole(), cursor(4))
    assert (states.has("a", cursor(4)), states.has("a", cursor(5)), states.has("a", cursor(1, "f"))) == (
        True,
        False,
        False,
    )
    states.take(whole("complete"), cursor(5))
    assert not states.has("a", cursor(5))
    states.take(whole(), cursor(6))
    states.clear()
    assert not states.has("a", cursor(6))
