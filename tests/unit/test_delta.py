"""Deltas: their checks, and what they make of a state, in turn, merged and in parts."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from statushub.hub.model.delta import (
    GROWN_FIELDS,
    GROWN_ITEMS,
    Delta,
    check_delta,
    composed,
    decode,
    encode,
    merged,
)
from statushub.hub.model.errors import Invalid, TooLarge
from statushub.hub.model.growing import Growing
from statushub.hub.model.publication import EVENT_BYTES, publication
from statushub.hub.model.vocabulary import CONTENT_DELTA, Phase

FIELDS = ["a", "b", "größe", "qa_list"]

texts = st.text(max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
states = st.dictionaries(st.sampled_from(FIELDS) | texts, values, max_size=5)


@st.composite
def deltas(draw: st.DrawFn) -> dict[str, Any]:
    """What a producer says: each field set, appended to, or neither."""
    said: dict[str, Any] = {"follows": 1, "set": {}, "append": {}}
    for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, unique=True)):
        if draw(st.booleans()):
            said["set"][name] = draw(values)
        else:
            said["append"][name] = draw(texts | st.lists(values, max_size=3))
    return said


def after(state: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The reference: what a delta makes of a state, in plain Python."""
    state = {**state, **said["set"]}
    for name, addition in said["append"].items():
        before: Any = state.get(name)
        state[name] = before + addition if type(before) is type(addition) else addition
    return state


def applied(state: dict[str, Any], said: Sequence[dict[str, Any]]) -> tuple[bytes, list[Delta], list[dict[str, Any]]]:
    """The state as JSON, the deltas, and the state after each of them, that before the first included."""
    wanted = [state]
    for it in said:
        wanted.append(after(wanted[-1], it))
    return msgspec.json.encode(state), [check_delta(it) for it in said], wanted


@given(states, st.lists(deltas(), max_size=5))
def test_a_state_is_what_its_deltas_make_of_it(state: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Texts grow at code points, lists by whole values, and the fields keep their order."""
    data, given_, wanted = applied(state, said)
    for delta, expected in zip(given_, wanted[1:], strict=True):
        data = composed(data, delta)
        assert json.loads(data) == expected
        assert list(json.loads(data)) == list(expected)


@given(states, st.lists(deltas(), min_size=1, max_size=5))
def test_merged_deltas_do_what_they_do_in_turn(state: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """However many are merged, one delta makes the same state."""
    data, given_, wanted = applied(state, said)
    together = given_[0]
    for delta in given_[1:]:
        together = merged(together, delta)
    assert json.loads(composed(data, together)) == wanted[-1]


@given(states, st.lists(deltas(), max_size=5))
def test_parts_make_the_same_state(state: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """A content that is kept in parts has, after each delta, the state that is composed of whole ones."""
    data, given_, _ = applied(state, said)
    growing = Growing(data)
    for delta in given_:
        growing.apply(delta)
        data = composed(data, delta)
        assert growing.data() == data


@given(states, st.lists(deltas(), min_size=1, max_size=6), st.data())
def test_who_is_at_a_mark_gets_the_rest_in_one_delta(
    state: dict[str, Any], said: list[dict[str, Any]], draw: st.DataObject
) -> None:
    """From any mark, the merged delta makes the state of now."""
    data, given_, wanted = applied(state, said)
    growing, place = Growing(data), draw.draw(st.integers(0, len(said)))
    for delta in given_[:place]:
        growing.apply(delta)
    mark, seen = growing.mark(), growing.data()
    for delta in given_[place:]:
        growing.apply(delta)
    assert json.loads(composed(seen, growing.since(mark))) == wanted[-1]


@given(deltas())
def test_an_announced_delta_is_read_back(said: dict[str, Any]) -> None:
    """The data of the event hold all of it, and are JSON on one line."""
    made = publication(channel="c", content_id="x", seq=2, delta=said)
    assert made.delta is not None
    read = decode(made.data)
    assert (read.sets, read.appends) == (made.delta.sets, made.delta.appends)
    announced = json.loads(made.data)
    assert next(iter(announced)) == "content_id"
    assert list(announced)[-1] == "timestamp"
    assert announced.get("append", {}) == said["append"]
    assert {name: announced["set"].get(name) for name in said["set"]} == said["set"]
    assert len(made.data.decode().splitlines()) == 1


def test_a_part_of_the_whole_text_is_not_copied_with_each_delta() -> None:
    """A text of 100 KB in 5,000 parts is kept in less than twice its bytes."""
    growing = Growing(b'{"text":""}')
    delta = check_delta({"follows": 1, "append": {"text": "twenty characters ok"}})
    tracemalloc.start()
    try:
        for _ in range(5_000):
            growing.apply(delta)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert growing.size == 100_000
    assert kept < 2 * growing.size
    assert json.loads(growing.data()) == {"text": "twenty characters ok" * 5_000}


def test_a_mark_in_a_long_text_costs_only_what_came_since() -> None:
    """The delta from a mark has the characters since then, and not those before."""
    growing = Growing(b'{"text":"%b","log":["first"]}' % (b"x" * 100_000))
    mark = growing.mark()
    growing.apply(check_delta({"follows": 1, "append": {"text": "ab", "log": ["second"]}}))
    growing.apply(check_delta({"follows": 2, "append": {"text": "c", "log": [3]}}))
    since = growing.since(mark)
    assert {name: it.value for name, it in since.appends.items()} == {"text": b'"abc"', "log": b'["second",3]'}
    assert since.sets == {}


@pytest.mark.parametrize("data", [b"", b"[1]", b'{"text":', b"\xff", b"null"])
def test_a_delta_of_unreadable_data_begins_them(data: bytes) -> None:
    """A foreign publisher's data that are no object count as an empty one."""
    delta = check_delta({"follows": 1, "append": {"text": "a"}})
    assert composed(data, delta) == b'{"text":"a"}'
    growing = Growing(data)
    growing.apply(delta)
    assert growing.data() == b'{"text":"a"}'


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ("text", "delta", "must be an object"),
        ({"follows": 1}, "delta", "at least one field"),
        ({"follows": 1, "set": {"a": 1}, "log": []}, "delta", "unknown field 'log'"),
        ({"set": {"a": 1}}, "delta.follows", "the seq that the delta builds on"),
        ({"follows": True, "set": {"a": 1}}, "delta.follows", "whole number"),
        ({"follows": -1, "set": {"a": 1}}, "delta.follows", "whole number"),
        ({"follows": 1, "set": [1]}, "delta.set", "must be an object"),
        ({"follows": 1, "append": "a"}, "delta.append", "must be an object"),
        ({"follows": 1, "append": {"text": 1}}, "delta.append.text", "a text or a list"),
        ({"follows": 1, "append": {"text": None}}, "delta.append.text", "a text or a list"),
        ({"follows": 1, "append": {"text": "a\ud83d"}}, "delta.append.text", "surrogate"),
        ({"follows": 1, "append": {"log": ["\ude00b"]}}, "delta.append.log", "surrogate"),
        ({"follows": 1, "set": {"title": "\ude00b"}}, "delta.set.title", "surrogate"),
        ({"follows": 1, "set": {"x": object()}}, "delta.set.x", "cannot be written as JSON"),
        ({"follows": 1, "set": {"a": 1}, "append": {"a": "b"}}, "delta.append.a", "delta.set, too"),
        ({"follows": 1, "set": {"two words": 1}}, "delta.set", "without spaces"),
        ({"follows": 1, "append": {'quo"te': "a"}}, "delta.append", "quotation marks"),
        ({"follows": 1, "set": {"line\u2028": 1}}, "delta.set", "printable"),
        ({"follows": 1, "set": {"": 1}}, "delta.set", "1 to 128"),
        ({"follows": 1, "set": {"x" * 129: 1}}, "delta.set", "1 to 128"),
        ({"follows": 1, "set": {"progress": 101}}, "delta.set.progress", "from 0 to 100"),
        ({"follows": 1, "set": {"timestamp": "noon"}}, "delta.set.timestamp", "ISO 8601"),
        ({"follows": 1, "set": {"processing_status": "completed"}}, "delta.set.processing_status", "phase"),
        ({"follows": 1, "set": {"processing_status": "pending"}}, "delta.set.processing_status", "phase"),
        *(
            ({"follows": 1, "set": {name: "x"}}, f"delta.set.{name}", "must be left out")
            for name in ("status", "content_id", "channel_id", "cancel_requested")
        ),
        *(
            ({"follows": 1, "append": {name: "x"}}, f"delta.append.{name}", "must be left out")
            for name in ("status", "content_id", "cancel_requested", "processing_status", "progress", "timestamp")
        ),
    ],
)
def test_an_unfit_delta_is_refused_with_its_field(said: object, field: str, words: str) -> None:
    """The error names the field at fault, and what is right."""
    with pytest.raises(Invalid, match=words) as raised:
        publication(channel="c", content_id="x", seq=2, delta=said)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"set": {f"f{i}": 1 for i in range(GROWN_FIELDS + 1)}}, "delta.set"),
        ({"append": {f"f{i}": "" for i in range(GROWN_FIELDS + 1)}}, "delta.append"),
        ({"append": {"log": [1] * (GROWN_ITEMS + 1)}}, "delta.append.log"),
        ({"append": {"text": "x" * EVENT_BYTES}}, "delta"),
    ],
)
def test_a_delta_over_a_limit_is_too_large(said: dict[str, Any], field: str) -> None:
    """Fields, items and bytes of one delta have limits."""
    with pytest.raises(TooLarge) as raised:
        publication(channel="c", content_id="x", seq=2, delta={"follows": 1, **said})
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"data": {"status": "generating"}, "seq": 2}, "data"),
        ({"type": "own", "seq": 2}, "type"),
        ({"run": "r", "restart": True, "seq": 2}, "restart"),
        ({}, "seq"),
        ({"seq": 1}, "seq"),
    ],
)
def test_a_delta_stands_in_the_place_of_data(more: dict[str, Any], field: str) -> None:
    """A delta comes with neither data nor type, opens no attempt, and its seq is over the one it follows."""
    with pytest.raises(Invalid) as raised:
        publication(channel="c", content_id="x", delta={"follows": 1, "set": {"a": 1}}, **more)
    assert raised.value.field == field


def test_a_delta_fills_in_its_times() -> None:
    """The timestamp, and when the work will be done where the delta says what remains."""
    made = publication(
        channel="c",
        content_id="x",
        seq=2,
        delta={"follows": 1, "set": {"remaining_seconds": 60, "timestamp": "2026-01-01T12:00:00+01:00"}},
    )
    assert made.delta is not None
    assert made.delta.sets["timestamp"] == b'"2026-01-01T11:00:00.000Z"'
    assert made.delta.sets["estimated_completion"] == b'"2026-01-01T11:01:00.000Z"'
    assert (made.type, made.phase, made.terminal) == (CONTENT_DELTA, Phase.PROCESSING, False)
    assert made.delta.follows == 1


@pytest.mark.parametrize("data", [b"", b"[]", b'{"append":{"text":1}}', b'{"set":[1]}', b'{"append":{"l":[1,]}}'])
def test_data_of_another_form_are_no_delta(data: bytes) -> None:
    """What a foreign publisher announces as a delta is checked."""
    with pytest.raises(Invalid):
        decode(data)


def test_the_data_of_a_delta_say_what_changed() -> None:
    """Not the status, which a delta never changes, nor a part that it does not have."""
    both = check_delta({"follows": 1, "set": {"progress": 5}, "append": {"text": "a"}})
    ids = {"content_id": "x"}
    assert json.loads(encode("x", both)) == {**ids, "set": {"progress": 5}, "append": {"text": "a"}}
    timed = replace(both, sets={"timestamp": b'"1"'})
    assert json.loads(encode("x", timed)) == {**ids, "append": {"text": "a"}, "timestamp": "1"}
    assert json.loads(encode("x", replace(timed, appends={}))) == {**ids, "timestamp": "1"}
