"""openapi.json, held against the types that it is generated from."""

from __future__ import annotations

import json
import re
from typing import Annotated

import msgspec
import pytest

from statushub.hub.api import jobs
from tests.support import openapi


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
