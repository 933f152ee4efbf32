"""The description, compared with the routes, the limits and real answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from statushub.hub import __version__, config
from statushub.hub.api import access, batch, events, jobs, matching, removal
from statushub.hub.app import ROUTES
from statushub.hub.auth import patterns, revocations, tickets, verification
from statushub.hub.brokers.contract import PAGE_CHANNELS
from statushub.hub.http import query
from statushub.hub.model.cursor import COUNTER_MAX, CURSOR_CHARACTERS
from statushub.hub.model.delta import GROWN_FIELDS, GROWN_ITEMS
from statushub.hub.model.names import DEFAULT_TENANT, NAME_CHARACTERS
from statushub.hub.model.publication import BATCH_EVENTS, EVENT_BYTES, LEASE_SECONDS_MAX
from statushub.hub.model.receipt import Refusal
from statushub.hub.model.vocabulary import CONTENT_STATUS, PHASES, RESERVED_TYPES, WORDS
from statushub.hub.wire.sse import FORMATS
from tests.support.live import live_hub
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

UNDESCRIBED = {"/", "/documents/", "/documents", "/results/{channel_id}/{content_id}/{path:path}"}
"""Pages and files, which are no part of the API."""


@cache
def description() -> dict[str, Any]:
    """The description, as it is shipped."""
    loaded: dict[str, Any] = json.loads(files("statushub.hub").joinpath("openapi.json").read_text(encoding="utf-8"))
    return loaded


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The component that `node` refers to; `node` itself where it is no reference."""
    for key in node.get("$ref", "").removeprefix("#/").split("/") if "$ref" in node else []:
        node = description() if node.get("$ref") else node
        node = node[key]
    return node


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of each described operation."""
    for path, item in description()["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator of a schema that may refer to the description's components."""
    return Draft202012Validator(schema | {"components": description()["components"]})


def valid(schema: dict[str, Any], value: Any) -> bool:
    return bool(validator(schema).is_valid(value))


def body_schema(operation: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema


def response(path: str, method: str, status: int) -> dict[str, Any]:
    """The described answer."""
    return resolved(description()["paths"][path][method.lower()]["responses"][str(status)])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a hub that has every route; its sync has no account, so that it calls nothing."""
    database = f"sqlite:///{tmp_path_factory.mktemp('sync') / 'sync.db'}"
    with (
        live_hub(feed=True, instagram=True, instagram_database=database, instagram_time="off") as live,
        httpx.Client(base_url=live.base_url) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def auth_required() -> Iterator[httpx.Client]:
    """A client of a hub that requires tokens and has a low rate limit."""
    with live_hub(secret=SECRET, publish_rate=1.0, feed=True) as live, httpx.Client(base_url=live.base_url) as client:
        yield client


def test_the_description_is_valid_openapi() -> None:
    """The specification's own schema of version 3.1 accepts it."""
    OpenAPIV31SpecValidator(description()).validate()


def test_the_description_is_of_this_version() -> None:
    """Clients that are generated from it have the same version."""
    assert description()["info"]["version"] == __version__


def test_described_routes_equal_the_real_ones() -> None:
    """HEAD follows from GET and is described in the introduction."""
    routes = {
        (route.path.replace(":path}", "}"), method)
        for route in ROUTES
        if isinstance(route, Route) and route.path not in UNDESCRIBED
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {(path, method) for path, method, _operation in operations()} == routes


def test_described_limits_equal_the_real_ones() -> None:
    """Each number in a schema equals its constant."""
    schemas = description()["components"]["schemas"]
    paths = description()["paths"]
    wait = next(p for p in paths["/api/contents/{channel_id}/changes"]["get"]["parameters"] if p.get("name") == "wait")
    assert wait["schema"]["maximum"] == query.WAIT_SECONDS_MAX
    assert schemas["StatusBatchRequest"]["properties"]["content_ids"]["maxItems"] == batch.BATCH_IDS
    limits = {p["name"]: p["schema"] for p in paths["/api/channels"]["get"]["parameters"] if "name" in p}
    assert (limits["prefix"]["maxLength"], limits["limit"]["maximum"]) == (NAME_CHARACTERS, PAGE_CHANNELS)
    assert schemas["JobBatchRequest"]["properties"]["job_ids"]["maxItems"] == jobs.BATCH_IDS
    assert schemas["PublishBatchRequest"]["properties"]["events"]["maxItems"] == BATCH_EVENTS
    assert schemas["RemoveRequest"]["properties"]["content_ids"]["maxItems"] == removal.REMOVED_IDS
    assert paths["/api/events"]["get"]["parameters"][0]["schema"]["maxItems"] == matching.STREAM_CHANNELS
    heartbeat = description()["components"]["parameters"]["Heartbeat"]["schema"]
    assert (heartbeat["minimum"], heartbeat["maximum"]) == events.HEARTBEAT_SECONDS
    kinds = description()["components"]["parameters"]["Events"]["schema"]["enum"]
    assert tuple(kinds) == get_args(config.EventNames) == tuple(FORMATS)
    assert schemas["Name"]["maxLength"] == NAME_CHARACTERS
    assert schemas["Cursor"]["maxLength"] == CURSOR_CHARACTERS
    publication = schemas["PublishRequest"]["properties"]
    assert publication["seq"]["maximum"] == publication["attempt"]["maximum"] == COUNTER_MAX
    assert publication["lease"]["maximum"] == LEASE_SECONDS_MAX
    delta = publication["delta"]["properties"]
    assert delta["set"]["maxProperties"] == delta["append"]["maxProperties"] == GROWN_FIELDS
    assert delta["append"]["additionalProperties"]["maxItems"] == GROWN_ITEMS
    assert set(publication["type"]["not"]["enum"]) == RESERVED_TYPES
    assert {s for s in schemas["PublishedData"]["properties"]["status"]["enum"] if s} == {*PHASES, *WORDS}
    assert set(schemas["ContentStatus"]["enum"]) == set(CONTENT_STATUS.values())
    assert set(schemas["Refusal"]["enum"]) == set(Refusal)
    assert schemas["Pattern"]["maxLength"] == patterns.PATTERN_CHARACTERS
    assert schemas["TicketRequest"]["properties"]["read"]["maxItems"] == access.TICKET_PATTERNS
    assert schemas["Ticket"]["properties"]["ticket"]["maxLength"] == tickets.TICKET_CHARACTERS
    for name in ("jti", "sub"):
        assert schemas["RevokeRequest"]["properties"][name]["maxLength"] == revocations.NAME_CHARACTERS


def test_limits_in_descriptions_equal_the_real_ones() -> None:
    """Limits that only descriptions mention equal their constants."""
    paths, components = description()["paths"], description()["components"]
    responses, schemes = components["responses"], components["securitySchemes"]
    for text, limits in (
        (
            description()["info"]["description"],
            (
                f"{config.HEAD_BYTES >> 10} KiB",
                f"{query.QUERY_BYTES >> 10} KiB",
                f"{config.REQUEST_SECONDS:g} s",
                f"`{DEFAULT_TENANT}`",
            ),
        ),
        (
            paths["/api/publish"]["post"]["description"],
            (f"{config.BODY_BYTES >> 20} MiB", f"{EVENT_BYTES >> 10} KiB"),
        ),
        (paths["/api/tickets"]["post"]["description"], (f"{access.ACCESS_BODY_BYTES >> 10} KiB",)),
        (paths["/api/revoke"]["post"]["description"], (f"{access.ACCESS_BODY_BYTES >> 10} KiB",)),
        (paths["/api/session"]["post"]["description"], (f"{access.COOKIE_CHARACTERS:,}",)),
        (components["schemas"]["Ticket"]["properties"]["expires_in"]["description"], (f"{config.TICKET_SECONDS:g},",)),
        (responses["HeadTooLarge"]["description"], (f"{config.HEAD_BYTES >> 10} KiB",)),
        (responses["RequestTimeout"]["description"], (f"{config.REQUEST_SECONDS:g} s",)),
        (responses["TooManyRequests"]["description"], (f"{config.PUBLISH_RATE:,.0f} events",)),
        (
            schemes["bearer"]["description"],
            (
                f"{verification.TOKEN_BYTES >> 10} KiB",
                f"{revocations.TOKEN_SECONDS_MAX / 86_400:g} days",
                f"{patterns.PATTERNS} each",
            ),
        ),
    ):
        assert [limit for limit in limits if limit not in text] == []
    assert schemes["cookie"]["name"] == config.Config().cookie


def examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each schema below `node` with each of its examples."""
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield node["schema"], node["example"]
        if "schema" in node and "examples" in node:
            yield from ((node["schema"], example["value"]) for example in node["examples"].values())
        if isinstance(node.get("examples"), list):
            yield from ((node, example) for example in node["examples"])
        for key, value in node.items():
            if key not in ("example", "examples"):
                yield from examples(value)
    elif isinstance(node, list):
        for value in node:
            yield from examples(value)


def test_the_examples_are_valid() -> None:
    """Each example matches the schema beside it."""
    found = list(examples(description()))
    assert len(found) > 20
    for schema, example in found:
        assert valid(schema, example), (schema, example)


def test_every_answer_has_an_example_and_every_error_one_form() -> None:
    """Each JSON answer has an example, and each answer of 400 and up the Error schema."""
    for path, method, operation in operations():
        for status, answer in operation["responses"].items():
            for media in resolved(answer).get("content", {}).values():
                if int(status) >= 400:
                    assert media["schema"] in (ERROR, DOCUMENT_ERROR), (path, method, status)
                    assert media["schema"] == ERROR or "documents" in operation["tags"], (path, method, status)
                if path != "/openapi.json":
                    assert "example" in media or "examples" in media, (path, method, status)


def publish_everything(client: httpx.Client) -> None:
    """Publish a content in each phase, and remove one."""
    events = [
        {"channel": "ch", "content_id": "waiting", "data": {"status": "pending"}},
        {"channel": "ch", "content_id": "idle", "data": {"status": "idle"}},
        {
            "channel": "ch",
            "content_id": "running",
            "data": {"status": "PROCESSING", "progress": 43.5, "step": "transcoding", "step_index": 4},
            "lease": 600,
        },
        {"channel": "ch", "content_id": "done", "data": {"status": "completed", "result_url": "/r", "x": {}}},
        {"channel": "ch", "content_id": "failed", "data": {"status": "error", "error_message": "no"}},
    ]
    events.append({"channel": "ch", "content_id": "gone", "data": {"status": "idle"}})
    client.post("/api/publish", json={"events": events}).raise_for_status()
    client.post("/api/contents/ch/remove", json={"content_ids": ["gone"]}).raise_for_status()


ERROR = {"$ref": "#/components/schemas/Error"}
DOCUMENT_ERROR = {"anyOf": [{"$ref": "#/components/schemas/DocumentError"}, ERROR]}
"""What the pages of an older system know, beside what the hub answers before the route is reached."""

JSON = {"Content-Type": "application/json"}
ALL = ["waiting", "idle", "running", "done", "failed", "unknown"]
EVENT = {"channel": "ch2", "content_id": "e", "data": {"status": "idle"}}
LATE = {"channel": "ch", "content_id": "done", "data": {"status": "idle"}}
VIDEO = "/api/v1/media/videos/{id}/progress"
SYNC = "/api/v1/batch/instagram"
PLACES = {"channel_id": "ch", "id": "v", "video_id": "v1", "user_id": "bob", "userNo": "1", "months": "1"}
"""What the paths of the calls are filled with."""
CONTENTS = "/api/contents/{channel_id}"

CALLS: list[tuple[int, str, str, dict[str, Any]]] = [
    (200, "GET", CONTENTS, {}),
    (304, "GET", CONTENTS, {"headers": {"If-None-Match": "*"}}),
    (200, "GET", f"{CONTENTS}/status", {}),
    (200, "GET", f"{CONTENTS}/status", {"params": {"view": "list"}}),
    (422, "GET", f"{CONTENTS}/status", {"params": {"view": "x"}}),
    (200, "GET", "/api/channels", {}),
    (200, "GET", "/api/channels", {"params": {"prefix": "c", "limit": "1"}}),
    (304, "GET", "/api/channels", {"headers": {"If-None-Match": "*"}}),
    (422, "GET", "/api/channels", {"params": {"prefix": "/"}}),
    (200, "GET", f"{CONTENTS}/changes", {"params": {"wait": "1"}}),
    (200, "GET", f"{CONTENTS}/changes", {"params": {"since": "zzz-1"}}),
    (422, "GET", f"{CONTENTS}/changes", {"params": {"since": "x"}}),
    (413, "GET", f"{CONTENTS}/changes", {"params": {"x": "x" * 9000}}),
    (200, "GET", "/api/changes", {"params": {"match": ["ch*", "x/**"], "channel": ["a", "b"], "wait": "0.1"}}),
    (304, "GET", "/api/changes", {"params": {"match": "ch*"}, "headers": {"If-None-Match": "*"}}),
    (422, "GET", "/api/changes", {"params": {"channel": "a"}}),
    (422, "GET", "/api/events", {}),
    (422, "GET", f"{CONTENTS}/events", {"params": {"since": "x"}}),
    (200, "POST", "/api/contents/status/batch", {"json": {"content_ids": ALL}}),
    (304, "POST", "/api/contents/status/batch", {"json": {"content_ids": ALL}, "headers": {"If-None-Match": "*"}}),
    (400, "POST", "/api/contents/status/batch", {"content": b"", "headers": {"Content-Type": "application/json"}}),
    (415, "POST", "/api/contents/status/batch", {"content": b""}),
    (422, "POST", "/api/contents/status/batch", {"json": {}}),
    (200, "POST", "/v1/ai/jobs/batch-status", {"json": {"job_ids": ALL}}),
    (422, "POST", "/v1/ai/jobs/batch-status", {"json": {"job_ids": [1]}}),
    *((200, "GET", f"{VIDEO}{slash}", {"id": name}) for name in ALL for slash in ("", "/")),
    (200, "POST", f"{SYNC}/sync", {}),
    (200, "POST", f"{SYNC}/sync/months/{{months}}", {}),
    (400, "POST", f"{SYNC}/sync/months/{{months}}", {"months": "13"}),
    (200, "POST", f"{SYNC}/sync/user/{{userNo}}", {}),
    (400, "POST", f"{SYNC}/sync/user/{{userNo}}", {"userNo": "x"}),
    (200, "POST", f"{SYNC}/sync/user/{{userNo}}/months/{{months}}", {}),
    (200, "GET", f"{SYNC}/status", {}),
    (200, "GET", f"{SYNC}/executions", {"params": {"limit": "3"}}),
    (422, "GET", f"{SYNC}/executions", {"params": {"limit": "0"}}),
    (200, "POST", "/api/publish", {"json": EVENT}),
    (200, "POST", "/api/publish", {"json": LATE}),
    (200, "POST", "/api/publish", {"json": {"events": [EVENT, LATE]}}),
    (422, "POST", "/api/publish", {"json": {"lese": 1}}),
    (200, "POST", f"{CONTENTS}/remove", {"json": {"content_ids": ["failed", "unknown"]}}),
    (200, "POST", f"{CONTENTS}/remove", {"json": {"all": True}}),
    (422, "POST", f"{CONTENTS}/remove", {"json": {}}),
    (200, "POST", f"{CONTENTS}/cancel", {"json": {"content_id": "running", "reason": "x"}}),
    (404, "POST", f"{CONTENTS}/cancel", {"json": {"content_id": "unknown"}}),
    (409, "POST", f"{CONTENTS}/cancel", {"json": {"content_id": "done"}}),
    (422, "POST", f"{CONTENTS}/cancel", {"json": {"content_id": "done", "reason": "a\nb"}}),
    (200, "GET", "/api/cancels", {}),
    (422, "GET", "/api/cancels", {"params": {"since": "x"}}),
    (413, "POST", "/api/publish", {"json": EVENT | {"data": {"status": "idle", "x": "x" * 70000}}}),
    (431, "GET", CONTENTS, {"headers": {"X": "x" * 17_000}}),
    (200, "POST", "/api/tickets", {}),
    (200, "POST", "/api/tickets", {"json": {"read": ["a", "b/**"]}}),
    (400, "POST", "/api/tickets", {"content": b"{", "headers": JSON}),
    (422, "POST", "/api/tickets", {"json": {"read": []}}),
    (200, "GET", "/api/session", {}),
    (200, "GET", "/api/session", {"params": {"channel": "c"}}),
    (422, "GET", "/api/session", {"params": {"channel": "c*"}}),
    (204, "POST", "/api/session", {"headers": {"Authorization": "Bearer x"}}),
    (401, "POST", "/api/session", {}),
    (422, "POST", "/api/session", {"headers": {"Authorization": "Bearer " + "x" * 5000}}),
    (204, "DELETE", "/api/session", {}),
    (204, "POST", "/api/revoke", {"json": {"jti": "4f9c"}}),
    (422, "POST", "/api/revoke", {"json": {}}),
    (403, "GET", "/healthz", {"headers": {"Host": "example.com"}}),
    (403, "GET", CONTENTS, {"headers": {"Host": "example.com"}}),
    (403, "POST", "/api/session", {"headers": {"Host": "example.com"}}),
    (200, "POST", "/v1/likes/check-batch", {"json": {"video_ids": ["v1"]}}),
    (422, "POST", "/v1/likes/check-batch", {"json": {"video_ids": ["v"] * 101}}),
    (200, "POST", "/v1/follows/check-batch", {"json": {"user_ids": ["bob"]}}),
    (200, "POST", "/v1/videos/batch-metadata", {"json": {"video_ids": ["v1"]}}),
    *((200, "GET", f"/v1/videos{slash}", {"params": {"sort": "trending"}}) for slash in ("", "/")),
    (422, "GET", "/v1/videos/", {"params": {"cursor": "x"}}),
    (200, "POST", "/v1/feed/writes", {"json": {"writes": [{"op": "notify", "user_id": "anonymous", "category": "c"}]}}),
    *((200, "GET", f"/v1/notifications{slash}", {"params": {"limit": "1"}}) for slash in ("", "/")),
    (200, "GET", "/v1/notifications/unread-count", {}),
    (200, "POST", "/v1/notifications/batch-mark-read", {"json": {"notification_ids": ["n1"]}}),
    (200, "POST", "/v1/notifications/mark-all-read", {}),
    *(
        (200, method, f"/v1/{kind}", {})
        for method in ("PUT", "DELETE")
        for kind in ("likes/{video_id}", "follows/{user_id}")
    ),
    (200, "POST", "/v1/videos/{id}/view", {}),
    (200, "GET", "/healthz", {}),
    (200, "GET", "/readyz", {}),
    (200, "GET", "/metrics", {}),
    (200, "GET", "/openapi.json", {}),
]


@pytest.mark.parametrize(("status", "method", "path", "call"), CALLS)
def test_real_answers_are_as_described(
    client: httpx.Client, status: int, method: str, path: str, call: dict[str, Any]
) -> None:
    """Status, media type, headers and body of each answer match the description."""
    publish_everything(client)
    call = dict(call)
    given = {name: call.pop(name) for name in ("id", "userNo", "months") if name in call}
    answer = client.request(method, path.format(**PLACES | {"id": "v1"} | given), **call)
    assert answer.status_code == status, answer.text
    check_described(answer, path, method)


def check_described(answer: httpx.Response, path: str, method: str) -> None:
    """Assert that the answer's status, media type, headers and body are as described."""
    described = response(path, method, answer.status_code)
    for name, header in described.get("headers", {}).items():
        if name in answer.headers:
            schema = resolved(header)["schema"]
            text = answer.headers[name]
            assert valid(schema, int(text) if schema["type"] == "integer" else text), name
    content = described.get("content", {})
    media = answer.headers.get("content-type", "").partition(";")[0]
    assert ({media} if answer.content else set()) == set(content)
    if media == "application/json":
        problems = [error.message for error in validator(content[media]["schema"]).iter_errors(answer.json())]
        assert problems == []


OTHERS = {"stream", "documents"}


def test_every_json_operation_was_called() -> None:
    """The calls above miss none, except for the streams and the counts of documents, which have other tests."""
    called = {(path, method) for status, method, path, _call in CALLS if status < 300}
    described = {(path, method) for path, method, operation in operations() if not OTHERS & {*operation["tags"]}}
    assert called == described


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()))
def test_operations_that_require_a_token_are_described(
    auth_required: httpx.Client, path: str, method: str, operation: dict[str, Any]
) -> None:
    """A request without credentials is 401 exactly where the description has a security scheme."""
    schemes = operation.get("security", description()["security"])
    answer = auth_required.request(method, path.format(**PLACES), params={"channel": "ch"})
    check_described(answer, path, method)
    assert (answer.status_code == 401) == bool(schemes)


@pytest.mark.parametrize(
    ("path", "method", "operation"), [operation for operation in operations() if "security" in operation[2]]
)
def test_operations_that_refuse_tickets_are_described(
    auth_required: httpx.Client, path: str, method: str, operation: dict[str, Any]
) -> None:
    """A ticket is 401 or 403 exactly where the description has other schemes only."""
    ticket = auth_required.post("/api/tickets", headers=bearer()).json()["ticket"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
    sent = {"json": next(iter(body.values()))["value"]} if body else {}
    answer = auth_required.request(method, path.format(**PLACES), params={"ticket": ticket}, **sent)
    check_described(answer, path, method)
    assert (answer.status_code in (401, 403)) == bool(operation["security"])


def test_refusals_for_a_token_are_as_described(auth_required: httpx.Client) -> None:
    """The answer is 403 for a token that does not suffice, and 429 over its rate limit."""
    powerless = bearer(read=[], write=[])
    for path, method, call in (
        (CONTENTS, "GET", {}),
        (f"{CONTENTS}/events", "GET", {}),
        ("/api/publish", "POST", {"json": EVENT}),
        (f"{CONTENTS}/remove", "POST", {"json": {"all": True}}),
        (f"{CONTENTS}/cancel", "POST", {"json": {"content_id": "a"}}),
        ("/api/tickets", "POST", {"json": {"read": ["a"]}}),
        ("/api/revoke", "POST", {"json": {"sub": "x"}}),
        (f"{SYNC}/sync", "POST", {}),
        (f"{SYNC}/status", "GET", {}),
    ):
        answer = auth_required.request(method, path.format(channel_id="ch"), headers=powerless, **call)
        assert answer.status_code == 403
        check_described(answer, path, method)
    statuses = []
    for _ in range(2):
        answer = auth_required.post("/api/publish", json={"events": [EVENT] * 3}, headers=bearer(jti="busy"))
        check_described(answer, "/api/publish", "POST")
        statuses.append(answer.status_code)
    assert statuses == [200, 429]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/contents/status/batch", {"content_ids": ["a"] * 100}),
        ("/api/contents/status/batch", {"content_ids": ["a"] * 101}),
        ("/api/contents/status/batch", {"content_ids": []}),
        ("/api/contents/status/batch", {"content_ids": [""]}),
        ("/api/contents/status/batch", {"content_ids": ["x" * 129]}),
        ("/api/contents/status/batch", {"content_ids": ["a*"]}),
        ("/api/contents/status/batch", {"content_ids": [" a"]}),
        ("/api/contents/status/batch", {"content_ids": ["a "]}),
        ("/api/contents/status/batch", {"content_ids": ["/a"]}),
        ("/api/contents/status/batch", {"content_ids": ["a/"]}),
        ("/api/contents/status/batch", {"content_ids": ["a/b"]}),
        ("/api/contents/status/batch", {"content_ids": ["a\nb"]}),
        ("/api/contents/status/batch", {"content_ids": ["a\u2028b"]}),
        ("/api/contents/status/batch", {"content_ids": ["ä b"]}),
        ("/api/contents/status/batch", {"content_ids": ["a"], "more": 1}),
        ("/v1/ai/jobs/batch-status", {"job_ids": ["a"] * 50}),
        ("/v1/ai/jobs/batch-status", {"job_ids": ["a"] * 51}),
        ("/v1/ai/jobs/batch-status", {}),
        ("/api/publish", EVENT | {"attempt": None, "seq": 0, "lease": 86400, "type": "my.type"}),
        ("/api/publish", EVENT | {"attempt": -1}),
        ("/api/publish", EVENT | {"seq": 1.5}),
        ("/api/publish", EVENT | {"seq": 2**53}),
        ("/api/publish", EVENT | {"lease": 0}),
        ("/api/publish", EVENT | {"lease": 86401}),
        ("/api/publish", EVENT | {"type": "ready"}),
        ("/api/publish", EVENT | {"type": "a b"}),
        ("/api/publish", EVENT | {"lese": 1}),
        ("/api/publish", EVENT | {"data": []}),
        ("/api/publish", EVENT | {"data": {"status": "x"}}),
        ("/api/publish", EVENT | {"data": {"status": "idle", "progress": 100, "more": [1]}}),
        ("/api/publish", EVENT | {"data": {"status": "idle", "progress": 101}}),
        ("/api/publish", {"events": []}),
        ("/api/publish", {"events": [EVENT, EVENT | {"channel": 1}]}),
        ("/api/publish", {"events": [EVENT] * 2, "channel": "ch"}),
        ("/api/publish", {"channel": "ch", "content_id": "x"}),
        (f"{CONTENTS}/remove", {}),
        (f"{CONTENTS}/remove", {"all": True}),
        (f"{CONTENTS}/remove", {"all": False}),
        (f"{CONTENTS}/remove", {"content_ids": ["a"] * 100}),
        (f"{CONTENTS}/remove", {"content_ids": ["a"] * 101}),
        (f"{CONTENTS}/remove", {"content_ids": []}),
        (f"{CONTENTS}/remove", {"content_ids": ["a*"]}),
        (f"{CONTENTS}/remove", {"content_ids": ["a"], "all": True}),
        (f"{CONTENTS}/remove", {"content_id": "a"}),
        ("/api/tickets", {}),
        ("/api/tickets", {"read": None}),
        ("/api/tickets", {"read": ["a"] * 16}),
        ("/api/tickets", {"read": ["a"] * 17}),
        ("/api/tickets", {"read": []}),
        ("/api/tickets", {"read": [""]}),
        ("/api/tickets", {"read": ["x" * 257]}),
        ("/api/tickets", {"read": ["a\nb"]}),
        ("/api/tickets", {"read": ["a/**/b/**"]}),
        ("/api/tickets", {"read": ["a/***"]}),
        ("/api/tickets", {"read": ["**/a/**/b/**"]}),
        ("/api/tickets", {"reed": ["a"]}),
        ("/api/revoke", {"jti": "a", "sub": None}),
        ("/api/revoke", {"sub": "x" * 256}),
        ("/api/revoke", {"sub": "x" * 257}),
        ("/api/revoke", {"sub": "a\nb"}),
        ("/api/revoke", {"sub": ""}),
        ("/api/revoke", {"jti": "a", "sub": "b"}),
        ("/api/revoke", {"jti": None}),
        ("/api/revoke", {"jti": 7}),
        ("/api/revoke", {"subject": "a"}),
    ],
)
def test_bodies_are_accepted_as_described(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    """A body that the description allows is accepted, and one that it forbids is refused."""
    described = valid(body_schema(description()["paths"][path]["post"]), body)
    answer = client.post(path.format(channel_id="bodies"), json=body)
    assert answer.status_code == 422 if not described else answer.is_success


def test_the_description_is_served(client: httpx.Client) -> None:
    """The route answers with the shipped file."""
    assert client.get("/openapi.json").json() == description()


def test_answers_about_documents_are_as_described(tmp_path: Path) -> None:
    """A batch from its start to its end, the count of a keyword, and errors."""
    (tmp_path / "documents/blog").mkdir(parents=True)
    options: dict[str, Any] = {
        "documents": str(tmp_path / "documents"),
        "documents_index": str(tmp_path / "i.db"),
        "jobs": True,
    }
    with (
        live_hub("memory:", documents_pace=0.0, **options) as hub,
        httpx.Client(base_url=hub.base_url, timeout=60) as client,
    ):

        def called(status: int, method: str, name: str, **call: Any) -> Any:
            answer = client.request(method, f"/api/documents/{name}", **call)
            assert answer.status_code == status
            check_described(answer, f"/api/documents/{name}", method)
            return answer.json()

        job_id = called(200, "POST", "batch", json={"keywords": ["a", "b"]})["jobId"]
        eventually(lambda: called(200, "GET", "status", params={"jobId": job_id})["job"]["completedAt"])
        called(200, "GET", "count", params={"keyword": "a"})
        called(400, "POST", "batch", json={"keywords": [""]})
        called(415, "POST", "batch", content="{}", headers={"Content-Type": "text/html"})
        called(404, "GET", "status", params={"jobId": "none"})
        called(400, "GET", "count")
