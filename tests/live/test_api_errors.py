"""Invalid input to every route: a 4xx that names the field, and never a crash or a lost connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statushub.hub.app import ROUTES
from statushub.hub.http.body import POLL_BODY_BYTES
from statushub.hub.http.route import Route
from statushub.hub.model.errors import ConfigError
from tests.support.effort import part
from tests.support.live import live_hub
from tests.support.serving import serving
from tests.support.wire import exchange, request, wire

BATCH, JOBS, PUBLISH = "/api/contents/status/batch", "/v1/ai/jobs/batch-status", "/api/publish"
JSON = {"Content-Type": "application/json"}
LONG = "x" * 129


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with live_hub() as hub, httpx.Client(base_url=hub.base_url, timeout=20) as client:
        yield client


def check(answer: httpx.Response, status: int, field: str | None) -> None:
    """Assert that the error has this status and names this field."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) <= {"code", "message", "field"}
    assert error.get("field") == field
    assert error["message"]


@pytest.mark.parametrize("end", ["", "/status", "/changes", "/events"])
@pytest.mark.parametrize(
    "name",
    ["", LONG, "a*", "%20a", "a%20", "a%00b", "%E2%80%A8", "%1B[31m", "a%0A", "%0Aa", "a%0Ab", "a%0D%0A", "a%C2%85"],
)
def test_an_illegal_channel_is_named(client: httpx.Client, name: str, end: str) -> None:
    """The error is 422 and names channel_id, also for an empty one."""
    check(client.get(f"/api/contents/{name}{end}"), 422, "channel_id")


@pytest.mark.parametrize("route", [route for route in ROUTES if isinstance(route, Route)], ids=lambda route: route.path)
@pytest.mark.parametrize("end", ["%0A", "%0D%0A"])
def test_a_line_break_after_a_path_is_a_part_of_it(client: httpx.Client, route: Route, end: str) -> None:
    """It is never cut off: no route answers such a path but as a channel's, whose name is illegal, or as a video's or a
    user's, which are not read."""
    names = {"channel_id": "c", "content_id": "a", "path": "p", "id": "v", "video_id": "v", "user_id": "u"}
    names |= {"userNo": "1", "months": "1"}
    path = route.path.replace(":path", "").format(**names) + end
    answer = client.get(path)
    expected = (422, "invalid") if path.startswith("/api/contents/") else (404, "not_found")
    if path.startswith(("/v1/likes/", "/v1/follows/", "/api/v1/batch/instagram/sync/")):
        expected = (405, "method_not_allowed")
    assert (answer.status_code, answer.json()["error"]["code"]) == expected


@pytest.mark.parametrize("bad", ["%FF", "a%C3", "%ED%A0%80", "%C0%AF", "%F5%80%80%80"])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/contents/{}", "path"),
        ("/api/contents/{}/status", "path"),
        ("/api/contents/{}/changes", "path"),
        ("/api/contents/{}/events", "path"),
        ("/api/v1/media/videos/{}/progress/", "path"),
        ("/api/events?channel={}", "query"),
        ("/api/contents/c/changes?since={}", "query"),
    ],
)
def test_a_name_that_is_not_utf8_is_refused(client: httpx.Client, path: str, field: str, bad: str) -> None:
    """It is not read as another name, in which its bytes are replaced by U+FFFD."""
    check(client.get(path.format(bad)), 400, field)


@pytest.mark.parametrize("target", ["/api/contents/a#b", "/api/contents/a?since=#b", "/#"])
def test_a_target_with_a_fragment_is_refused(client: httpx.Client, target: str) -> None:
    """The name `a#b` is sent as `a%23b`; what follows a bare `#` is not cut off."""
    [answer] = exchange(str(client.base_url), request("GET", target))
    assert answer.status == 400


def test_names_are_read_as_they_are_sent(client: httpx.Client) -> None:
    """Escapes are read once, and letters that look alike stay apart."""
    names = ["a%b", "a%20b", "a%25b", "é", "e\u0301", "\ufffd", "a+b", "a;b", "a?b", "a#b", "a.", "./a", "a/../b"]
    for number, name in enumerate(names):
        offer = {"channel": name, "content_id": f"as-sent-{number}", "data": {"status": "complete"}}
        client.post(PUBLISH, json=offer).raise_for_status()
    for number, name in enumerate(names):
        # httpx would resolve dots in a URL that is not given as bytes.
        target = f"/api/contents/{quote(name, safe='')}".replace(".", "%2E")
        found = client.get(target).json()["contents"]
        assert [content["content_id"] for content in found] == [f"as-sent-{number}"], name


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/status?view=table", 422, "view"),
        ("/status?view=", 422, "view"),
        ("/status?view=list&view=list", 422, "view"),
        ("/changes?since=nonsense", 422, "since"),
        ("/changes?since=k3", 422, "since"),
        ("/changes?since=K3-1", 422, "since"),
        ("/changes?since=k3-1&since=k3-2", 422, "since"),
        ("/changes?since=k3-99999999999999999999", 422, "since"),
        ("/changes?wait=25.1", 422, "wait"),
        ("/changes?wait=-1", 422, "wait"),
        ("/changes?wait=nan", 422, "wait"),
        ("/changes?wait=inf", 422, "wait"),
        ("/changes?wait=soon", 422, "wait"),
        ("/changes?wait=1&wait=2", 422, "wait"),
        ("/changes?more=" + "x" * 9000, 413, "query"),
        ("/status?more=" + "x" * 9000, 413, "query"),
    ],
)
def test_a_wrong_query_is_named(client: httpx.Client, path: str, status: int, field: str) -> None:
    """An invalid parameter is refused rather than ignored."""
    check(client.get(f"/api/contents/ch{path}"), status, field)


@pytest.mark.parametrize(("path", "key", "most"), [(BATCH, "content_ids", 100), (JOBS, "job_ids", 50)])
def test_a_wrong_batch_is_named(client: httpx.Client, path: str, key: str, most: int) -> None:
    """The error is 422 and names the list or the index in it."""
    wrong: list[tuple[Any, str]] = [
        ({}, key),
        ({key: None}, key),
        ({key: "a"}, key),
        ({key: {}}, key),
        ({key: []}, key),
        ({key: ["a"] * (most + 1)}, key),
        ({key: ["a", 7]}, f"{key}[1]"),
        ({key: [None]}, f"{key}[0]"),
        ({key: ["a", ["b"]]}, f"{key}[1]"),
        ({key: [""]}, f"{key}[0]"),
        ({key: ["a", "b", LONG]}, f"{key}[2]"),
        ({key: ["a", "b\n"]}, f"{key}[1]"),
        ({key: ["a\nb"]}, f"{key}[0]"),
        ({key: ["a", " b"]}, f"{key}[1]"),
        ({key: ["a", "/b"]}, f"{key}[1]"),
        ({key: ["a/", "b"]}, f"{key}[0]"),
        ({key: ["*"]}, f"{key}[0]"),
        ({key: ["a"], "channel": "ch"}, "channel"),
        ({key: ["a"], "a`b": 1}, "a`b"),
    ]
    for body, field in wrong:
        check(client.post(path, json=body), 422, field)


OFFER = {"channel": "ch", "content_id": "a", "data": {"status": "generating"}}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"channel": None}, "channel"),
        ({"channel": LONG}, "channel"),
        ({"channel": "a*"}, "channel"),
        ({"content_id": ["a"]}, "content_id"),
        ({"content_id": "a\u2028b"}, "content_id"),
        ({"data": None}, "data"),
        ({"data": "x"}, "data"),
        ({"data": {}}, "data.status"),
        ({"data": {"status": 7}}, "data.status"),
        ({"data": {"status": "generating", "progress": True}}, "data.progress"),
        ({"data": {"status": "generating", "timestamp": "soon"}}, "data.timestamp"),
        ({"data": {"status": "generating", "timestamp": "2025-07-31T13:00:00"}}, "data.timestamp"),
        ({"data": {"status": "generating", "content_id": "b"}}, "data.content_id"),
        ({"data": {"status": "generating", "channel_id": "b"}}, "data.channel_id"),
        ({"data": {"status": "generating", "processing_status": "completed"}}, "data.processing_status"),
        ({"type": "drain"}, "type"),
        ({"type": "two words"}, "type"),
        ({"type": 7}, "type"),
        ({"type": "processing_complete"}, "type"),
        ({"attempt": 1.5}, "attempt"),
        ({"attempt": 2**53}, "attempt"),
        ({"seq": "1"}, "seq"),
        ({"seq": True}, "seq"),
        ({"lease": -1}, "lease"),
        ({"lease": "30s"}, "lease"),
        ({"lease": 86401}, "lease"),
        ({"lese": 30}, "lese"),
        ({"events": [OFFER]}, "channel"),
    ],
)
def test_a_wrong_publication_is_named(client: httpx.Client, wrong: dict[str, Any], field: str) -> None:
    """The error is 422 and names the field."""
    check(client.post(PUBLISH, json=OFFER | wrong), 422, field)


@pytest.mark.parametrize(
    ("events", "field"),
    [
        (None, "events"),
        ({}, "events"),
        ([], "events"),
        ([OFFER] * 1001, "events"),
        ([OFFER, 7], "events[1]"),
        ([OFFER, OFFER, None], "events[2]"),
        ([OFFER | {"events": []}], "events[0].events"),
    ],
)
def test_a_wrong_batch_of_events_is_named(client: httpx.Client, events: Any, field: str) -> None:
    """The error is 422 and names the list or the index in it."""
    check(client.post(PUBLISH, json={"events": events}), 422, field)


@pytest.mark.parametrize(("path", "key"), [(BATCH, b"content_ids"), (JOBS, b"job_ids"), (PUBLISH, b"channel")])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{'KEY':1}",
        b'{"KEY":["a"]} x',
        b'{"KEY":["a"],}',
        b'{"KEY":["\xff"]}',
        b'{"KEY":["\\ud800"]}',
        b'{"KEY":[NaN]}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_body_that_is_not_a_json_object_is_malformed(
    client: httpx.Client, path: str, key: bytes, body: bytes
) -> None:
    """The error is 400 and names no field."""
    body = body.replace(b"KEY", key)
    answer = client.post(path, content=body, headers=JSON)
    check(answer, 400, None)
    assert answer.json()["error"]["code"] == "malformed"


@pytest.mark.parametrize("path", [BATCH, JOBS, PUBLISH])
@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_deep_nesting_is_refused(client: httpx.Client, path: str, depth: int) -> None:
    """A body nested to any depth is refused on every route."""
    nest = b"[" * depth + b"]" * depth
    for body in (nest, b'{"content_ids":%b,"job_ids":%b,"channel":%b}' % (nest, nest, nest)):
        assert 400 <= client.post(path, content=body, headers=JSON).status_code < 500
    body = b'{"channel":"ch","content_id":"deep","data":{"status":"idle","x":%b}}' % nest
    assert client.post(PUBLISH, content=body, headers=JSON).status_code < 500
    assert client.get("/api/contents/ch").status_code == 200


@pytest.mark.parametrize("path", [BATCH, JOBS])
def test_a_large_batch_is_refused(client: httpx.Client, path: str) -> None:
    """A body larger than the largest valid batch is answered 413."""
    check(client.post(path, content=b" " * (POLL_BODY_BYTES + 1), headers=JSON), 413, "body")


@pytest.mark.parametrize("path", [BATCH, JOBS, PUBLISH])
@pytest.mark.parametrize(("length", "status"), [("0" * 9_000 + "2", 422), ("0" * 9_000 + "9" * 15, 413)])
def test_a_length_may_have_leading_zeros(client: httpx.Client, path: str, length: str, status: int) -> None:
    """HTTP allows any number of digits, and Python's limit would raise an exception."""
    head = request("POST", path, "Content-Type: application/json", f"Content-Length: {length}", body=b"{}")
    with wire(str(client.base_url)) as opened:
        opened.send(head.replace(b"Content-Length: 2\r\n", b""))
        assert opened.answer().status == status


@pytest.mark.parametrize("path", [BATCH, JOBS, PUBLISH])
def test_a_body_has_to_be_declared(client: httpx.Client, path: str) -> None:
    """The content types that a form of a foreign page could send are answered 415 (CSRF)."""
    check(client.post(path, content=b"{}", headers={"Content-Type": "text/plain"}), 415, None)


@pytest.mark.parametrize("path", ["/nope", "/api", "/api/publish/x", "/v1/ai/jobs", "/api/v1/media/videos/x"])
def test_an_unknown_path_is_not_found(client: httpx.Client, path: str) -> None:
    """The error is 404 in the form of every error."""
    answer = client.get(path)
    check(answer, 404, None)
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PUBLISH, {"POST"}),
        ("GET", JOBS, {"POST"}),
        ("GET", BATCH, {"POST"}),
        ("DELETE", BATCH, {"POST"}),
        ("POST", "/api/contents/ch", {"GET", "HEAD"}),
        ("PUT", "/api/contents/ch/status", {"GET", "HEAD"}),
        ("POST", "/api/v1/media/videos/x/progress/", {"GET", "HEAD"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/openapi.json", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_answered_with_the_allowed_ones(
    client: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    """The error is 405 with `Allow` (RFC 9110, section 15.5.6)."""
    answer = client.request(method, path)
    check(answer, 405, None)
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.anyio
@pytest.mark.parametrize("error", [RuntimeError("the secret"), ConfigError("the secret", field="broker")])
async def test_a_crash_is_answered_without_details(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The error is 500 as JSON, readable for a page of another origin, without a part of the exception."""

    async def crash(*_arguments: object) -> None:
        raise error

    async with serving(cors_origins=("https://page.example",)) as (hub, client):
        monkeypatch.setattr(hub, "read", crash)
        answer = await client.get("/api/contents/ch", headers={"Origin": "https://page.example"})
        monkeypatch.undo()
        after = await client.get("/api/contents/ch")
    check(answer, 500, None)
    assert answer.json()["error"]["code"] == "internal"
    assert "secret" not in answer.text
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert after.status_code == 200


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
words = st.sampled_from(["ch", "a", "", "*", "idle", "generating", "complete", "READY", "processing_error", "k3-1"])
data = st.dictionaries(
    st.sampled_from(["status", "processing_status", "progress", "timestamp", "content_id", "x"]), words | values
)
offers = st.fixed_dictionaries(
    {"channel": words | values, "content_id": words | values, "data": data | values},
    optional=dict.fromkeys(("type", "attempt", "seq", "lease", "lese"), words | values),
)
bodies = st.one_of(
    values,
    offers,
    st.fixed_dictionaries({"events": st.lists(offers | values, max_size=3) | values}),
    st.fixed_dictionaries({"content_ids": st.lists(words | values, max_size=3) | values}),
    st.fixed_dictionaries({"job_ids": st.lists(words | values, max_size=3) | values}),
)


@settings(max_examples=part(150), deadline=None)
@given(
    path=st.sampled_from([BATCH, JOBS, PUBLISH]), body=bodies.map(lambda body: json.dumps(body).encode()) | st.binary()
)
def test_no_body_crashes_the_hub(client: httpx.Client, path: str, body: bytes) -> None:
    """Every body is answered with JSON, below 500, on a connection that stays open."""
    answer = client.post(path, content=body, headers=JSON)
    assert answer.status_code in (200, 400, 413, 422)
    assert isinstance(answer.json(), dict)
    assert "connection" not in answer.headers
    answers = [
        client.get("/api/contents/ch"),
        client.get("/api/contents/ch/status"),
        client.get("/api/contents/ch/changes"),
        client.post(BATCH, json={"content_ids": ["a"]}),
        client.get("/api/v1/media/videos/a/progress/"),
    ]
    assert {answer.status_code for answer in answers} == {200}


@settings(max_examples=part(150), deadline=None)
@given(query=st.dictionaries(st.sampled_from(["since", "wait", "view", "x"]), st.text(), max_size=4), name=st.text())
def test_no_url_crashes_the_hub(client: httpx.Client, query: dict[str, str], name: str) -> None:
    """Any channel name and any query are answered below 500."""
    # No route matches a line break, which names may not hold.
    escaped = "".join(f"%{byte:02X}" for byte in name.replace("\n", "").encode(errors="replace"))
    query = {key: value.encode(errors="replace").decode() for key, value in query.items()}
    for end in ("", "/status", "/changes"):
        answer = client.get(f"/api/contents/{escaped}{end}", params=query)
        assert answer.status_code in (200, 405, 422), answer.text
    answer = client.get(f"/api/v1/media/videos/{escaped}/progress/", params=query)
    assert answer.status_code == 200
