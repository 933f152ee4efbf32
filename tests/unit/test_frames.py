"""The parser with which tests read event streams."""

from __future__ import annotations

import pytest

from tests.support.frames import Frame, Frames

TEXT = b"retry: 2000\n\nid: e-1\nevent: x\ndata: {}\n\n"
CHUNKED = b"d\r\n" + TEXT[:13] + b"\r\n" + b"%x\r\n" % len(TEXT[13:]) + TEXT[13:] + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(("body", "chunked"), [(TEXT, False), (CHUNKED, True)], ids=["plain", "chunked"])
def test_a_stream_may_be_cut_anywhere(body: bytes, chunked: bool) -> None:
    """The frames are the same when the bytes arrive one at a time."""
    frames = Frames(chunked=chunked)
    seen = [frame for byte in body for frame in frames.feed(bytes([byte]))]
    assert seen == [Frame(retry=2000), Frame(id="e-1", event="x", data="{}")]
    assert frames.ended == chunked


def test_a_chunk_of_the_wrong_size_is_refused() -> None:
    """A hub's framing error fails the test that reads it."""
    with pytest.raises(ValueError, match="chunk"):
        Frames(chunked=True).feed(b"1\r\nab\r\n")
