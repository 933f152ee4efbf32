"""The bytes that a process holds for its clients, and answers that are encoded as they are read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from statushub.hub.api.changes import Changes
from statushub.hub.api.contents import Contents
from statushub.hub.http.response import BATCH_ITEMS, PIECE_BYTES, _pieces, _size
from statushub.hub.http.unread import Unread


class Holding:
    """A connection that is only counted."""

    def __init__(self) -> None:
        self.dropped = False

    def drop_unread(self) -> None:
        self.dropped = True


def test_the_client_that_has_not_read_for_longest_is_dropped() -> None:
    """A client that has read a little comes after those that have not."""
    unread, first, second, third = Unread(100), Holding(), Holding(), Holding()
    unread.hold(first, 50)
    unread.hold(second, 50)
    unread.hold(first, 40)
    unread.hold(third, 20)
    assert [it.dropped for it in (first, second, third)] == [False, True, False]
    assert unread.total == 60


def test_a_single_answer_may_be_larger_than_the_limit() -> None:
    """The latest connection is never dropped."""
    unread, first, second = Unread(100), Holding(), Holding()
    unread.hold(first, 1_000)
    assert not first.dropped
    unread.hold(second, 1_000)
    assert (first.dropped, second.dropped) == (True, False)
    unread.hold(second, 0)
    unread.hold(first, 0)
    assert unread.total == 0


ITEM = msgspec.Raw(b'{"content_id":"a"}')
LARGE = msgspec.Raw(b'{"x":"%b"}' % (b"y" * 60_000))
VALUES: list[Any] = [
    None, [], {}, {"a": [1] * 100}, [1], ["\u2028\"é"] * 9, [[]] * 100, [LARGE] * 9, [ITEM] * 8_000, [LARGE, ITEM] * 40,
    *(Contents(contents=[ITEM] * n, cursor="a-1", next=None) for n in (0, 1, BATCH_ITEMS, BATCH_ITEMS + 1, 10_000)),
    Contents(contents=[LARGE] * 9, cursor="a-1", next="a-2"),
    Changes(cursor="a-1", reset=True, events=msgspec.Raw(b"[]")),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_pieces_are_the_whole(value: Any) -> None:
    """Joined, they are the JSON that is encoded in one go, of the size that is foretold."""
    pieces = list(_pieces(value))
    assert b"".join(pieces) == msgspec.json.encode(value)
    assert sum(map(len, pieces)) == _size(value)
    assert all(PIECE_BYTES <= len(piece) < PIECE_BYTES + BATCH_ITEMS * 65_536 for piece in pieces[:-1])
