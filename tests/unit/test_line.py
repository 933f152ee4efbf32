"""JSON is brought onto one line, whatever a reader takes for the end of a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.model.line import one_line

BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
texts = st.text(st.sampled_from([*BREAKS, "\\", '"', "u", "é", "a"]), max_size=8)


@given(st.dictionaries(texts, st.lists(texts, max_size=3), max_size=3), st.sampled_from([None, 1]))
def test_json_keeps_its_meaning(value: object, indent: int | None) -> None:
    """Keys and values are the same, and `str.splitlines` finds one line."""
    line = one_line(json.dumps(value, ensure_ascii=False, indent=indent).encode())
    assert json.loads(line) == value
    assert len(line.decode().splitlines()) == 1


@given(st.binary(max_size=60) | st.lists(st.sampled_from(BREAKS), max_size=9).map("".join).map(str.encode))
def test_bytes_of_any_kind_are_on_one_line(data: bytes) -> None:
    """What is no JSON adds no line either, in whatever way its broken UTF-8 is read."""
    for errors in ("replace", "ignore", "surrogateescape"):
        assert len(one_line(data).decode(errors=errors).splitlines()) <= 1


@pytest.mark.parametrize("mark", BREAKS, ids=ascii)
def test_each_break_is_found_where_it_is_the_only_one(mark: str) -> None:
    """None depends on another one for being looked for."""
    assert len(one_line(f'{{"a":{mark}"b"}}'.encode()).decode().splitlines()) == 1


def test_plain_data_are_not_copied() -> None:
    """The fan-out of an ordinary event allocates nothing for it."""
    data = b'{"status":"generating"}'
    assert one_line(data) is data
