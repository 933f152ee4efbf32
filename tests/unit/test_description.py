"""openapi.json, held against the types that it is generated from."""

from __future__ import annotations

import json
import re
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statushub.hub.api import jobs
from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.sources.place import MARK, Place, parse_place
from statushub.hub.sources.row import Position
from tests.support import openapi


def matching(component: str) -> st.SearchStrategy[str]:
    """The texts that a component of the description allows."""
    schema = openapi.read()["components"]["schemas"][component]
    texts = st.from_regex(re.compile(schema["pattern"].removesuffix("$"), re.ASCII), fullmatch=True)
    return texts.filter(lambda text: len(text) <= schema["maxLength"])


def test_the_description_is_up_to_date() -> None:
    """A change of a body requires a run of `python -m tests.support.openapi`."""
    assert openapi.read() == openapi.regenerated(openapi.read())


def test_every_component_is_referred_to() -> None:
    """No component stays that bodies no longer use; the events of a stream are named in its description."""
    description = openapi.read()
    schemas = set(description["components"]["schemas"])
    text = json.dumps(description)
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', text)) | set(re.findall(r"\| (\w+Data) \|", text))
    assert schemas == referred


def test_a_changed_type_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another field and another limit both change the generated components."""
    ids = Annotated[list[str], msgspec.Meta(min_length=1, max_length=jobs.BATCH_IDS + 1)]
    changed = msgspec.defstruct("JobBatchRequest", [("job_ids", ids), ("more", bool, False)], module=jobs.__name__)
    monkeypatch.setattr(jobs, "JobBatchRequest", changed)
    schema = openapi.regenerated(openapi.read())["components"]["schemas"]["JobBatchRequest"]
    assert schema["properties"]["job_ids"]["maxItems"] == jobs.BATCH_IDS + 1
    assert schema["properties"]["more"] == {"type": "boolean", "default": False}


@given(matching("Cursor"))
def test_each_cursor_that_is_described_is_read(text: str) -> None:
    """What the pattern allows is written as it was read."""
    assert str(Cursor.parse(text)) == text


@pytest.mark.parametrize("component", ["Cursor", "Place"])
def test_no_cursor_is_described_that_is_not_counted(component: str) -> None:
    """An offset has as many digits as one that is too large."""
    described = re.compile(openapi.read()["components"]["schemas"][component]["pattern"])
    assert not described.fullmatch(f"k3f9a2-{COUNTER_MAX + 1}")


@given(matching("Place").filter(lambda text: not text.startswith(MARK)))
def test_the_place_of_a_page_is_a_cursor(text: str) -> None:
    """What the pattern allows beside the places of a record is read as one."""
    assert parse_place(text) == Place(cursor=text)


PLACE = openapi.read()["components"]["schemas"]["Place"]
positions = st.builds(Position, updated=st.none() | st.text(max_size=40) | st.floats(0, 1e12), id=st.text(max_size=128))


@given(st.builds(Place, cursor=st.none() | matching("Cursor"), position=st.none() | positions, ended=st.booleans()))
def test_each_place_of_a_record_is_described(place: Place) -> None:
    """The pattern allows every `next` that an answer can have."""
    assert re.fullmatch(PLACE["pattern"], str(place))
