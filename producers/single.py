"""A single event, as a program publishes it without a work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from statushub.hub.model.publication import Publication, publication
from statushub.producers.tracing import Trail

NAME_BYTES: Final = 12
"""Of a run's random name: no two runs of a content ever share one."""


def run_name() -> str:
    """A random name for a run."""
    return os.urandom(NAME_BYTES).hex()


def single(status: str | None, data: Mapping[str, Any] | None, event: Mapping[str, Any]) -> Publication:
    """The event with this status and these fields; `event` has the other arguments of `publication`. Raises `Invalid`
    where it breaks a rule."""
    fields = {**(data or {})} if status is None else {**(data or {}), "status": status}
    if event["restart"] and event["run"] is None and event["attempt"] is None:
        # Named here, so that the same request, repeated by the transport, opens one attempt.
        event = {**event, "run": run_name(), "seq": event["seq"] or 1}
    fields = {**Trail().fields(event["channel"], event["content_id"]), **fields}
    return publication(data=fields, **event)
