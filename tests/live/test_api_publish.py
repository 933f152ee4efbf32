from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from statushub.hub.config import BODY_BYTES
from statushub.hub.model.publication import EVENT_BYTES
from tests.support.live import LiveHub, live_hub
from tests.support.tokens import SECRET, bearer


@pytest.fixture(scope="module")
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


@pytest.fixture
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.base_url) as client:
        yield client


def event(content_id: str, status: str = "generating", **more: Any) -> dict[str, Any]:
    """A publish request of one event."""
    return {"channel": "publish", "content_id": content_id, "data": {"status": status}} | more


def stored(client: httpx.Client, content_id: str) -> dict[str, Any]:
    """The hub's status of a content."""
    answer = client.post("/api/contents/status/batch", json={"content_ids": [content_id]}).json()
    found: dict[str, Any] = answer["statuses"][0]
    return found


def test_an_accepted_event_has_a_cursor(client: httpx.Client) -> None:
    """The cursor equals the event's id in streams and polls."""
    answer = client.post("/api/publish", json=event("one", attempt=1, seq=1, lease=30.5))
    assert answer.status_code == 200
    assert answer.json() == {"accepted": True, "cursor": answer.json()["cursor"], "attempt": 1}
    assert client.get("/api/contents/publish").json()["cursor"] == answer.json()["cursor"]


def test_a_refused_event_is_a_result(client: httpx.Client) -> None:
    """A late event is answered 200 with the reason, since it is not an error."""
    client.post("/api/publish", json=event("late", "complete"))
    answer = client.post("/api/publish", json=event("late"))
    assert (answer.status_code, answer.json()) == (200, {"accepted": False, "reason": "closed"})
    answer = client.post("/api/publish", json=event("late") | {"channel": "another"})
    assert answer.json() == {"accepted": False, "reason": "wrong_channel", "channel": "publish"}


def delta(content_id: str, seq: int, **more: Any) -> dict[str, Any]:
    """A publish request of a delta that follows the seq before its own."""
    return {"channel": "grown", "content_id": content_id, "seq": seq, "delta": {"follows": seq - 1} | more}


def test_a_content_grows_by_deltas(client: httpx.Client) -> None:
    """Single ones and batches are accepted, and polls answer with the whole state."""
    client.post("/api/publish", json=event("grows", seq=1, channel="grown"))
    answer = client.post("/api/publish", json=delta("grows", 2, append={"text": "Once"}, set={"progress": 10}))
    assert (answer.status_code, answer.json()["accepted"]) == (200, True)
    batch = [delta("grows", 3, append={"text": " upon", "log": ["a"]}), delta("grows", 4, append={"log": ["b"]})]
    answer = client.post("/api/publish", json={"events": batch})
    assert [it["accepted"] for it in answer.json()["results"]] == [True, True]
    found = stored(client, "grows")
    assert (found["text"], found["log"], found["progress"]) == ("Once upon", ["a", "b"], 10)


def test_a_delta_that_does_not_follow_is_told_the_last_seq(client: httpx.Client) -> None:
    """A gap names the content's last seq, and an unknown content is told as such."""
    client.post("/api/publish", json=event("gap", seq=5, channel="grown"))
    answer = client.post("/api/publish", json=delta("gap", 9, append={"text": "x"}))
    assert answer.json() == {"accepted": False, "reason": "gap", "seq": 5}
    answer = client.post("/api/publish", json=delta("never", 2, append={"text": "x"}))
    assert answer.json() == {"accepted": False, "reason": "unknown"}


@pytest.mark.parametrize(("rights", "told"), [({"read": ["a"]}, True), ({"write": ["*"]}, True), ({}, False)])
def test_the_channel_of_a_content_is_told_to_those_who_may_know_it(rights: dict[str, Any], told: bool) -> None:
    """A token that neither reads nor writes a channel does not learn that the content is in it."""
    with live_hub(secret=SECRET) as hub:
        mine = {"read": [], "write": ["b"], **rights}
        httpx.post(f"{hub.base_url}/api/publish", json=event("c") | {"channel": "a"}, headers=bearer())
        late = httpx.post(f"{hub.base_url}/api/publish", json=event("c") | {"channel": "b"}, headers=bearer(**mine))
        assert late.json() == {"accepted": False, "reason": "wrong_channel"} | ({"channel": "a"} if told else {})


def test_a_batch_has_a_result_for_each_event(client: httpx.Client) -> None:
    """Results are in the order of the events, each with its content's id."""
    events = [event("m1"), event("m2", "complete"), event("m2"), event("m1", attempt=0)]
    results = client.post("/api/publish", json={"events": events}).json()["results"]
    assert [result["content_id"] for result in results] == ["m1", "m2", "m2", "m1"]
    assert [result.get("reason") for result in results] == [None, None, "closed", "superseded"]
    assert [sorted(result) for result in results[1:3]] == [
        ["accepted", "attempt", "content_id", "cursor"],
        ["accepted", "content_id", "reason"],
    ]


def test_a_batch_may_have_a_thousand_events(client: httpx.Client) -> None:
    """The limit is inclusive."""
    answer = client.post("/api/publish", json={"events": [event(f"k{place}") for place in range(1000)]})
    assert sum(result["accepted"] for result in answer.json()["results"]) == 1000


def test_a_repeated_publish_is_accepted_again(client: httpx.Client) -> None:
    """An event with the same attempt and seq gets the same cursor, and is stored once."""
    first = client.post("/api/publish", json=event("again", attempt=1, seq=7)).json()
    assert client.post("/api/publish", json=event("again", attempt=1, seq=7)).json() == first


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"data": {"status": "nonsense"}}, "data.status"),
        ({"data": {"status": "generating", "progress": 101}}, "data.progress"),
        ({"data": [1]}, "data"),
        ({"channel": 7}, "channel"),
        ({"content_id": ""}, "content_id"),
        ({"type": "heartbeat"}, "type"),
        ({"attempt": "1"}, "attempt"),
        ({"seq": -1}, "seq"),
        ({"lease": -1}, "lease"),
        ({"run": "with space"}, "run"),
        ({"run": "x" * 65}, "run"),
        ({"run": "r", "attempt": 1}, "attempt"),
        ({"age_ms": 5}, "age_ms"),
        ({"restart": True}, "restart"),
        ({"run": "r", "age_ms": -1}, "age_ms"),
        ({"run": "r", "restart": "yes"}, "restart"),
        ({"channel": "a/status"}, "channel"),
        ({"channel": "status/batch"}, "channel"),
        ({"lese": 30}, "lese"),
        ({"delta": {"follows": 1, "set": {"a": 1}}, "seq": 2}, "data"),
        ({"data": None, "delta": {"follows": 1, "set": {"status": "idle"}}, "seq": 2}, "delta.set.status"),
        ({"data": None, "delta": {"follows": 1, "append": {"text": 1}}, "seq": 2}, "delta.append.text"),
        ({"data": None, "delta": {"follows": 2, "append": {"text": "a"}}, "seq": 2}, "seq"),
    ],
)
def test_one_invalid_event_refuses_the_whole_batch(client: httpx.Client, wrong: dict[str, Any], field: str) -> None:
    """The error is 422 with the event's index, and no event is stored."""
    events = [event("before"), event("at-fault") | wrong, event("after")]
    answer = client.post("/api/publish", json={"events": events})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == f"events[1].{field}"
    assert answer.json()["error"]["message"].startswith(f"events[1].{field}")
    assert [stored(client, name)["status"] for name in ("before", "after")] == ["not_found", "not_found"]


@pytest.mark.parametrize("missing", ["channel", "content_id", "data"])
def test_a_missing_field_is_named(client: httpx.Client, missing: str) -> None:
    """The error names it in a single event and in a batch."""
    offer = event("m")
    del offer[missing]
    error = client.post("/api/publish", json=offer).json()["error"]
    assert error == {"code": "invalid", "message": f"{missing} is missing", "field": missing}
    error = client.post("/api/publish", json={"events": [offer]}).json()["error"]
    assert error["field"] == f"events[0].{missing}"


def test_fields_beside_the_events_are_refused(client: httpx.Client) -> None:
    """A channel for the whole batch would otherwise be ignored silently."""
    answer = client.post("/api/publish", json={"channel": "publish", "events": [event("a")]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "channel")


def test_a_run_that_restarts_opens_another_attempt(client: httpx.Client) -> None:
    """The content is open again; the same request, repeated, opens no further attempt, even where it ends the work."""
    first = {"channel": "again", "content_id": "clip", "data": {"status": "complete"}}
    assert client.post("/api/publish", json=first).json()["attempt"] == 1
    assert client.post("/api/publish", json=first).json()["reason"] == "closed"
    for run, status, attempt in (("second", "generating", 2), ("third", "complete", 3)):
        again = {**first, "data": {"status": status}, "run": run, "seq": 1, "restart": True}
        answers = [client.post("/api/publish", json=again).json() for _ in range(3)]
        assert {(answer["accepted"], answer.get("attempt")) for answer in answers} == {(True, attempt)}
        assert len({answer["cursor"] for answer in answers}) == 1
        assert client.get("/api/contents/again").json()["contents"][0]["status"] == status


def test_data_over_the_limit_are_refused(client: httpx.Client) -> None:
    """The error is 413 and names the field, in a single event and in a batch."""
    large = event("large", data={"status": "generating", "text": "x" * EVENT_BYTES})
    answer = client.post("/api/publish", json=large)
    assert (answer.status_code, answer.json()["error"]["field"]) == (413, "data")
    answer = client.post("/api/publish", json={"events": [event("small"), large]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (413, "events[1].data")


HEAD = b"POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def received(connection: socket.socket) -> bytes:
    """Head and body of an answer under 64 KiB."""
    answer = b""
    while b"}}" not in answer:
        taken = connection.recv(65536)
        assert taken, answer
        answer += taken
    return answer


def connect(hub: LiveHub) -> socket.socket:
    """A plain connection to the hub."""
    url = httpx.URL(hub.base_url)
    return socket.create_connection((url.host, url.port or 80), timeout=20)


def test_a_body_with_too_large_a_length_is_not_read(hub: LiveHub) -> None:
    """The answer comes before a byte of the body is sent."""
    with connect(hub) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (BODY_BYTES + 1))
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"field":"body"' in answer


def test_a_body_of_unknown_length_is_refused_at_the_limit(hub: LiveHub) -> None:
    """The answer comes while the endless body is being sent."""
    chunk = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20))
    with connect(hub) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(BODY_BYTES >> 20):
            connection.sendall(chunk)
        connection.sendall(b"1\r\n \r\n")
        assert received(connection).startswith(b"HTTP/1.1 413 ")


def test_a_connection_outlives_a_refused_body(client: httpx.Client) -> None:
    """The rest of the body is discarded, and the next request on the connection is answered."""
    answer = client.post("/api/publish", content=b" " * (BODY_BYTES + 1), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_body_that_ends_early_stores_nothing(hub: LiveHub, client: httpx.Client) -> None:
    """A producer that disconnects within an event publishes nothing."""
    with connect(hub) as connection:
        connection.sendall(HEAD + b"Content-Length: 500\r\n\r\n" + b'{"channel":"publish","content_id":"cut",')
    assert stored(client, "cut")["status"] == "not_found"


@pytest.mark.parametrize(
    "declared", ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"']
)
def test_json_has_several_content_types(client: httpx.Client, declared: str) -> None:
    """The type may be in any case, and have a UTF-8 charset."""
    answer = client.post(
        "/api/publish",
        content=b'{"channel":"publish","content_id":"j","data":{"status":"idle"}}',
        headers={"content-type": declared},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "declared",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonp"],
)
def test_other_content_types_are_refused(client: httpx.Client, declared: str) -> None:
    """A form of a foreign page can send these without a CORS preflight (CSRF)."""
    answer = client.post("/api/publish", content=b"{}", headers={"content-type": declared})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
