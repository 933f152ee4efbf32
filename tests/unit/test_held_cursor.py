"""What a conditional request says that its client holds."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from statushub.hub.http.response import held_cursor
from statushub.hub.model.cursor import Cursor


def request(*tags: str) -> Request:
    """A request with these lines of If-None-Match."""
    headers = [(b"if-none-match", tag.encode("latin-1")) for tag in tags]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


@pytest.mark.parametrize(
    ("tags", "held"),
    [
        (['"k-5"'], "k-5"),
        (['W/"k-5"'], "k-5"),
        (['"k-5", "k-9", "k-7"'], "k-9"),
        (['"k-9"', 'W/"k-5"'], "k-9"),
        (['"k-9", "m-1"'], "m-1"),
        (['"10-0", "z-9"'], "10-0"),
        (['"another cache\'s", "k-5"'], "k-5"),
    ],
)
def test_the_latest_of_several_tags_is_held(tags: list[str], held: str) -> None:
    """Whatever their order, the client has seen the latest; tags of others are passed over."""
    assert held_cursor(request(*tags)) == Cursor.parse(held)


@pytest.mark.parametrize("tags", [[], ["*"], ['"x"'], ["k-5"], ['"k-01"'], ['""'], ['"' + "k" * 70 + '-1"']])
def test_other_tags_say_nothing(tags: list[str]) -> None:
    """A tag that is no cursor of ours is no error: it may be that of a cache."""
    assert held_cursor(request(*tags)) is None
