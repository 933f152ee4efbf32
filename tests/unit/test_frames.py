"""The parser with which tests read event streams."""

from __future__ import annotations

import pytest

from tests.support.frames import Frame, Frames

TEXT = b"retry: 2000\nevent: x\ndata: {}\nid: e-1\n\n"
CHUNKED = b"c\r\n" + TEXT[:12] + b"\r\n" + b"%x\r\n" % len(TEXT[12:]) + TEXT[12:] + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(("body", "chunked"), [(TEXT, False), (CHUNKED, True)], ids=["plain", "chunked"])
def test_a_stream_may_be_cut_anywhere(body: bytes, chunked: bool) -> None:
    """The frames are the same when the bytes arrive one at a time."""
    frames = Frames(chunked=chunked)
    seen = [frame for byte in body for frame in frames.feed(bytes([byte]))]
    assert seen == [Frame(retry=2000, id="e-1", event="x", data="{}")]
    assert frames.ended == chunked


@pytest.mark.parametrize(
    "frame",
    [b"retry: 2000\n\n", b"id: e-1\nevent: x\ndata: {}\n\n", b'data: {"x":"\xe2\x80\xa8"}\n\n'],
    ids=["no data", "id first", "raw separator"],
)
def test_a_frame_that_clients_take_differently_is_refused(frame: bytes) -> None:
    """Each test that reads a stream fails where a frame has no data, an early id, or another line break than LF."""
    with pytest.raises(ValueError, match=r"clients|cut"):
        Frames(chunked=False).feed(frame)


def test_a_chunk_of_the_wrong_size_is_refused() -> None:
    """A hub's framing error fails the test that reads it."""
    with pytest.raises(ValueError, match="chunk"):
        Frames(chunked=True).feed(b"1\r\nab\r\n")
