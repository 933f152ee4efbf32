"""Property-based tests of the description: requests that it allows and requests that it forbids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import assume, given
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from statushub.hub.sources.place import MARK
from tests.hostile.seed import examples, seeded
from tests.support.live import LiveHub
from tests.support.tokens import bearer

DESCRIPTION: Final[dict[str, Any]] = json.loads(
    files("statushub.hub").joinpath("openapi.json").read_text(encoding="utf-8")
)

CONFORMANCE: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
]

EXAMPLES: Final = 20
"""Requests for each operation, of each kind, on each hub."""


OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    f"{method.upper()} {path}": operation
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
}
"""The described operations by the name that schemathesis gives them."""


@cache
def drawn_from(mode: GenerationMode) -> dict[str, Any]:
    """The operations, of which requests of a kind are drawn."""
    schema = schemathesis.openapi.from_dict(DESCRIPTION)
    if mode.is_positive:
        # A schema's pattern cannot say in every dialect what is printable; for ASCII it can.
        schema.config.generation.update(codec="ascii")
    # A stream does not end; its first event always comes immediately.
    schema.config.max_stream_events = 1
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {operation.label: operation for operation in found}


INCOMPLETE: Final = {"POST /api/publish"}
"""Operations of which a schema cannot say all that is required: a status, unless another field implies it."""

NAMED_MAX: Final = 64
"""Most channels and patterns of a request, which a schema can say of either, and not of both together."""


def calls() -> Iterator[tuple[str, GenerationMode]]:
    """Each operation with each kind of request; some have nothing that could be wrong."""
    for label, said in OPERATIONS.items():
        yield label, GenerationMode.POSITIVE
        if "parameters" in said or "requestBody" in said:
            yield label, GenerationMode.NEGATIVE


def checks(label: str, mode: GenerationMode) -> list[Any]:
    """The checks of an answer. Whether it may be a refusal is checked where the description says it completely."""
    said = OPERATIONS[label]
    chosen = [*CONFORMANCE]
    if said["tags"] != ["stream"]:
        # schemathesis checks each event by a schema, and OpenAPI 3.1 describes only the text of all.
        chosen.append(response_schema_conformance)
    if mode.is_positive and label not in INCOMPLETE and "426" not in said["responses"]:
        # No request asks for an upgrade.
        chosen.append(positive_data_acceptance)
    if mode.is_negative and "requestBody" in said:
        # Elsewhere the hub ignores input on purpose: unknown parameters, `since` beside `Last-Event-ID`, invalid tags.
        chosen.append(negative_data_rejection)
    return chosen


def is_a_path(case: Case[Any]) -> bool:
    """Whether the path belongs to the operation: one with a line break is 404."""
    return "%0A" not in case.formatted_path and "\n" not in case.formatted_path


def is_complete(case: Case[Any]) -> bool:
    """Whether a request that the schema allows has what a schema cannot say."""
    match case.operation.label:
        case "GET /api/events" | "GET /api/changes":
            return 1 <= len(case.query.get("channel", [])) + len(case.query.get("match", [])) <= NAMED_MAX
        case "GET /api/channels":
            return "after" not in case.query  # which is taken only from an answer
        case _:
            # So is one that a hub with a system of record has answered.
            return not str(case.query.get("after", "")).startswith(MARK)


@pytest.mark.parametrize("keyed", [False, True], ids=["without a key", "with a key"])
@pytest.mark.parametrize(("label", "mode"), list(calls()))
def test_answers_are_as_described(
    hub: LiveHub, auth_required: LiveHub, label: str, mode: GenerationMode, keyed: bool
) -> None:
    """Status, headers and body of every answer match, for allowed and for forbidden requests."""
    base_url, head = (auth_required.base_url, bearer(revoke=True)) if keyed else (hub.base_url, {})
    chosen = checks(label, mode)
    with requests.Session() as session:

        @seeded
        @examples(EXAMPLES)
        @given(case=drawn_from(mode)[label].as_strategy(generation_mode=mode))
        def answered(case: Case[Any]) -> None:
            assume(is_a_path(case))
            assume(mode.is_negative or is_complete(case))
            if "wait" in case.query:
                case.query["wait"] = 0
            case.call_and_validate(base_url=base_url, session=session, headers=head, checks=chosen, timeout=10)

        answered()


@pytest.mark.parametrize(
    ("label", "mode"),
    [(label, mode) for label, mode in calls() if OPERATIONS[label].get("security") != []],
)
def test_requests_without_a_token_are_refused(auth_required: LiveHub, label: str, mode: GenerationMode) -> None:
    """The answer is 4xx as described where the description requires a token."""
    operation = drawn_from(mode)[label]
    with requests.Session() as session:

        @seeded
        @examples(EXAMPLES // 2)
        @given(case=operation.as_strategy(generation_mode=mode))
        def refused(case: Case[Any]) -> None:
            assume(is_a_path(case))
            answer = case.call(base_url=auth_required.base_url, session=session, timeout=10)
            assert 400 <= answer.status_code < 500
            case.validate_response(answer, checks=[*CONFORMANCE, response_schema_conformance])

        refused()
