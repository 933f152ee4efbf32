"""The parser of the SDK's event streams."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.producers.following import frames
from statushub.producers.following.frames import Frame, Frames, TooLong

BODY = (
    "\ufeff: a comment\nretry: 2500\nevent: x\ndata: {}\nid: k-1\n\n"
    "data: a\u2028b\u0085c\u2029d\n\n"
    "event: two lines\r\ndata:first\r\ndata:  second\r\nid: bad\0id\r\n\r\n"
    "event: old\rdata: mac\rid:\r\r"
    "retry: soon\nunknown: field\nname only\n\n"
    "data: never dispatched\nid: k-9\n"
).encode()
FRAMES = [
    Frame(event="x", data="{}", id="k-1", retry=2.5),
    Frame(data="a\u2028b\u0085c\u2029d"),
    Frame(event="two lines", data="first\n second"),
    Frame(event="old", data="mac", id=""),
    Frame(),
]


def parsed(*portions: bytes) -> list[Frame]:
    frames = Frames()
    return [frame for portion in portions for frame in frames.feed(portion)]


def test_frames_are_those_of_the_standard() -> None:
    """With any line ends, a byte order mark, comments and unknown fields; a frame that has no end is none."""
    assert parsed(BODY) == FRAMES


@pytest.mark.parametrize("place", range(len(BODY) + 1))
def test_a_body_may_be_cut_anywhere(place: int) -> None:
    """Within a character, within a CR LF, and within a line."""
    assert parsed(BODY[:place], BODY[place:]) == FRAMES


@given(st.lists(st.integers(0, len(BODY)), max_size=20))
def test_a_body_may_come_in_any_parts(places: list[int]) -> None:
    """Empty ones included."""
    bounds = [0, *sorted(places), len(BODY)]
    assert parsed(*(BODY[a:b] for a, b in pairwise(bounds))) == FRAMES


@pytest.mark.parametrize("portion", [b"data: xxxx", b"data: xxxx\n"], ids=["a line", "lines"])
def test_a_frame_without_an_end_is_refused(portion: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with what a server sends."""
    monkeypatch.setattr(frames, "FRAME_BYTES", 100)
    with pytest.raises(TooLong, match="more than 100 bytes"):
        parsed(*[portion] * 11)


@pytest.mark.parametrize(("data", "expected"), [('{"a": 1}', {"a": 1}), ("[1]", {}), ("", {}), ("[" * 9999, {})])
def test_data_are_an_object_or_nothing(data: str, expected: dict[str, int]) -> None:
    """Any producer may have written them."""
    assert Frame(data=data).json == expected
