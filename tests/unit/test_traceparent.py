"""The place in a trace is read and written as the W3C specifies it."""

from __future__ import annotations

import json

import pytest

from statushub.hub.model.traceparent import TraceParent, carried, carrying, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PLACE = TraceParent(trace_id=int(TRACE, 16), span_id=int(SPAN, 16), sampled=True)


def test_a_place_is_written_and_read() -> None:
    """Both ways, recorded or not."""
    assert str(PLACE) == f"00-{TRACE}-{SPAN}-01"
    assert parse(str(PLACE)) == PLACE
    unrecorded = parse(f"00-{TRACE}-{SPAN}-00")
    assert unrecorded is not None
    assert not unrecorded.sampled
    assert str(unrecorded).endswith("-00")


@pytest.mark.parametrize("flags", ["01", "03", "ff"])
def test_other_flags_are_left_out(flags: str) -> None:
    """Of the flags only the one for recorded traces is defined."""
    assert parse(f"00-{TRACE}-{SPAN}-{flags}") == PLACE


def test_a_later_version_is_read_as_far_as_known() -> None:
    """What follows the known parts is ignored."""
    assert parse(f"01-{TRACE}-{SPAN}-01-what-ever") == PLACE


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_no_place_is_none(text: object) -> None:
    """Malformed and forbidden values are ignored."""
    assert parse(text) is None


def test_a_status_carries_its_place() -> None:
    """In place of a former one; only a field of the status itself counts."""
    data = carrying(b'{"status":"idle","traceparent":"x"}', PLACE)
    assert json.loads(data) == {"status": "idle", "traceparent": str(PLACE)}
    assert carried(data) == PLACE
    nested = json.dumps({"log": [{"traceparent": str(PLACE)}]}).encode()
    for other in (b"{}", nested, b'"traceparent"', b'{"traceparent":1}', b'{"traceparent":'):
        assert carried(other) is None
