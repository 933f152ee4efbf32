"""The event stream on a real socket, over the hand-over and over the portable path alike."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.viewers.push import PushViewer
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.sse_client import open_stream, said, stream
from tests.support.waiting import eventually
from tests.support.wire import request, wire

PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]


@pytest.fixture(params=PATHS)
def http(request: pytest.FixtureRequest) -> Any:
    """uvicorn's HTTP protocol: with hand-over, and without."""
    return request.param


@pytest.fixture
def hub(http: Any) -> Iterator[LiveHub]:
    """A hub on an embedded broker in memory."""
    with live_hub(http=http, heartbeat=0.3) as hub:
        yield hub


def test_a_stream_begins_with_the_whole_state_and_then_is_live(hub: LiveHub) -> None:
    """First `retry`, then each content's latest event in offset order, `ready`, and what comes after."""
    publish(hub, "a", "generating", progress=1)
    publish(hub, "b", "PROCESSING")
    last = publish(hub, "a", "generating", progress=2)
    with stream(hub) as client:
        assert client.frame().retry in range(1_500, 4_001)
        frames = client.until("ready")
        assert said(frames) == [("encoding_progress", "b"), ("content_status_update", "a"), ("ready", "")]
        assert frames[1].json["progress"] == 2
        assert frames[1].id == frames[2].json["cursor"] == last
        cursor = publish(hub, "b", "READY", hls_path="/b/master.m3u8")
        end = client.event()
        assert (end.event, end.id) == ("processing_complete", cursor)
        assert end.json["hls_path"] == "/b/master.m3u8"


def test_every_event_carries_what_a_page_needs(hub: LiveHub) -> None:
    """Content and channel, status, processing status and time stand in the data, and what was put in, too."""
    publish(hub, "a", "generating", channel="jobs/x", processing_status="summarizing", note="ü\u2028")
    with stream(hub, channel="jobs/x") as client:
        data = client.event().json
        timestamp = data.pop("timestamp")
        assert timestamp.endswith("Z")
        assert data == {
            "content_id": "a",
            "channel_id": "jobs/x",
            "status": "generating",
            "processing_status": "summarizing",
            "note": "ü\u2028",
        }


def test_an_unknown_channel_is_empty_and_ready(hub: LiveHub) -> None:
    """Nothing was published: `ready` comes at once, and the first event after it."""
    with stream(hub) as client:
        assert said(client.until("ready")) == [("ready", "")]
        publish(hub, "a", "idle")
        assert client.event().json["status"] == "idle"


def test_a_cursor_resumes_without_missing_or_repeating(hub: LiveHub) -> None:
    """Only what is newer than `Last-Event-ID` comes, each content once."""
    publish(hub, "old", "complete")
    with stream(hub) as client:
        cursor = client.until("ready")[0].id
    for progress in range(5):
        publish(hub, "a", "generating", progress=progress)
    publish(hub, "b", "error", error_message="no")
    with stream(hub, cursor=cursor) as client:
        frames = client.until("ready")
        assert said(frames) == [("content_status_update", "a"), ("processing_error", "b"), ("ready", "")]
        assert frames[0].json["progress"] == 4


def test_since_resumes_a_first_connection(hub: LiveHub) -> None:
    """`?since=` is a cursor, too; `Last-Event-ID`, which a reconnect brings, is the newer word."""
    first = publish(hub, "a", "complete")
    second = publish(hub, "b", "complete")
    with open_stream(hub.base_url, f"/api/contents/c/events?since={first}") as client:
        assert said(client.until("ready")) == [("processing_complete", "b"), ("ready", "")]
    with open_stream(hub.base_url, f"/api/contents/c/events?since={first}", {"Last-Event-ID": second}) as client:
        frames = client.until("ready")
        assert said(frames) == [("ready", "")]
        assert frames[0].json["cursor"] == second


@pytest.mark.parametrize("void", ["other0epoch-3", "nonsense", "9" * 60])
def test_a_cursor_of_another_life_resets(hub: LiveHub, void: str) -> None:
    """Whoever holds a void cursor is told to forget everything, and gets the whole state."""
    publish(hub, "a", "complete")
    with stream(hub, cursor=void) as client:
        frames = client.until("ready")
        assert said(frames) == [("reset", ""), ("processing_complete", "a"), ("ready", "")]
        assert frames[0].id == ""


def test_a_cursor_ahead_of_the_clock_resets(hub: LiveHub) -> None:
    """An offset that was never given out is void, too."""
    epoch = publish(hub, "a", "complete").rpartition("-")[0]
    with stream(hub, cursor=f"{epoch}-4000") as client:
        assert said(client.until("ready")) == [("reset", ""), ("processing_complete", "a"), ("ready", "")]
        publish(hub, "b", "complete")
        assert client.event().json["content_id"] == "b"


def test_one_stream_carries_many_channels_in_one_order(hub: LiveHub) -> None:
    """State and live events of several channels come in the order of the tenant's one clock."""
    for number in range(6):
        publish(hub, f"x{number}", "complete", channel=f"ch/{number % 3}")
    with open_stream(hub.base_url, "/api/events?channel=ch/0&channel=ch/2&channel=ch/0") as client:
        frames = client.until("ready")
        assert [frame.json.get("content_id") for frame in frames[:-1]] == ["x0", "x2", "x3", "x5"]
        offsets = [frame.offset for frame in frames[:-1]]
        assert offsets == sorted(offsets)
        publish(hub, "y1", "complete", channel="ch/1")
        publish(hub, "y2", "complete", channel="ch/2")
        publish(hub, "y0", "complete", channel="ch/0")
        assert [client.event().json["content_id"] for _ in range(2)] == ["y2", "y0"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("/api/events", "channel"),
        ("/api/events?" + "&".join(f"channel={n}" for n in range(65)), "channel"),
        ("/api/events?channel=", "channel"),
        ("/api/events?channel=a&channel=%00", "channel"),
        ("/api/contents/" + "x" * 129 + "/events", "channel_id"),
        ("/api/contents/a*/events", "channel_id"),
        ("/api/contents/a/events?since=yesterday", "since"),
        ("/api/contents/a/events?since=k-99999999999999999999", "since"),
    ],
)
def test_bad_requests_are_told_which_field_is_wrong(hub: LiveHub, query: str, field: str) -> None:
    """422, in JSON, with the field."""
    answer = httpx.get(hub.base_url + query)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


def test_heartbeats_are_named_events_without_an_id(hub: LiveHub) -> None:
    """A page can see that the socket lives, and its cursor stays."""
    with stream(hub) as client:
        client.until("ready")
        for _ in range(2):
            beat = client.frame()
            assert (beat.event, beat.id) == ("heartbeat", None)


def test_a_stopping_hub_says_so_and_closes(hub: LiveHub) -> None:
    """`drain`, with when to come back, then the end of a complete body."""
    with stream(hub) as client:
        client.until("ready")
        hub.stop()
        *_, last = client.rest()
        assert last.event == "drain"
        assert last.retry == last.json["retry_ms"] > 0
        assert client.ended


def test_the_head_of_a_stream_keeps_proxies_and_caches_out_of_it(hub: LiveHub) -> None:
    """Headers as the design says, with CORS, and no connection header of our own."""
    origin = {"Origin": "http://localhost:5173"}
    with open_stream(hub.base_url, "/api/contents/c/events", origin) as client:
        assert client.headers["content-type"].startswith("text/event-stream")
        assert client.headers["cache-control"] == "no-store, no-transform"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["access-control-allow-origin"] == "http://localhost:5173"
        assert "connection" not in client.headers


def test_head_answers_with_headers_alone(hub: LiveHub) -> None:
    """HEAD ends at once."""
    answer = httpx.head(f"{hub.base_url}/api/contents/c/events", timeout=5)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_http_1_0_is_served_the_portable_way(hub: LiveHub) -> None:
    """A client that cannot take chunks gets the events nevertheless."""
    publish(hub, "a", "complete")
    with open_stream(hub.base_url, "/api/contents/c/events", version="1.0") as client:
        assert said(client.until("ready")) == [("processing_complete", "a"), ("ready", "")]


def test_a_viewer_that_leaves_is_forgotten(hub: LiveHub) -> None:
    """Nothing of it stays behind in the hub."""
    with stream(hub) as client:
        client.until("ready")
        assert len(hub.hub.viewers) == 1
    publish(hub, "a", "generating")
    eventually(lambda: len(hub.hub.viewers) == 0)
    replica = hub.hub.synchronizer.obtain("default", "c")
    assert not replica.subscribers
    assert not any(replica.writers.values())
    assert not replica.pollers


def test_later_viewers_cost_the_broker_nothing(hub: LiveHub) -> None:
    """The first viewer makes the replica; the others, resumed ones too, are served from it."""
    cursor = publish(hub, "a", "complete")
    with contextlib.ExitStack() as stack:
        for number in range(30):
            client = stack.enter_context(stream(hub, cursor=cursor if number % 2 else None))
            client.until("ready")
        assert hub.hub.counts.syncs == 1
        assert len(hub.hub.viewers) == 30


def test_a_viewer_that_stalls_is_conflated_and_misses_no_ending(hub: LiveHub) -> None:
    """While its socket is full nothing is kept for it; later it gets the latest of each content, in order."""
    padding = "x" * 30_000
    with stream(hub, receive_buffer=4096) as client:
        client.until("ready")
        with httpx.Client(base_url=hub.base_url) as http_client:
            for number in range(1_000):
                data = {"status": "generating", "progress": number / 10, "padding": padding}
                events = [{"channel": "c", "content_id": "a", "data": data}]
                http_client.post("/api/publish", json={"events": events})
        publish(hub, "b", "complete")
        publish(hub, "a", "complete")
        frames = client.until_content(content_id="a", status="complete")
        offsets = [frame.offset for frame in frames]
        assert offsets == sorted(set(offsets))
        assert ("processing_complete", "b") in said(frames)
        assert len(frames) < 900
        publish(hub, "c", "complete")
        assert client.event().json["content_id"] == "c"


def test_a_viewer_that_stalls_for_good_is_closed(http: Any) -> None:
    """After the stall timeout its connection is cut."""
    with live_hub(http=http, heartbeat=0.2, stall_timeout=0.3) as hub, stream(hub, receive_buffer=4096) as client:
        client.until("ready")
        padding = "x" * 60_000

        def stalled() -> bool:
            publish(hub, "a", "generating", padding=padding)
            return len(hub.hub.viewers) == 0

        eventually(stalled)


def test_a_large_state_comes_in_steps_and_stays_in_order(hub: LiveHub) -> None:
    """A client that reads slowly is written to as its socket drains, while the state goes on changing."""
    padding = "x" * 60_000
    with httpx.Client(base_url=hub.base_url) as http_client:
        for number in range(0, 200, 20):
            data = {"status": "generating", "padding": padding}
            events = [{"channel": "c", "content_id": f"x{n}", "data": data} for n in range(number, number + 20)]
            assert http_client.post("/api/publish", json={"events": events}).status_code == 200
    with stream(hub, receive_buffer=4096) as client:
        assert client.event().json["content_id"] == "x0"
        publish(hub, "x1", "complete")
        frames = client.until("ready")
        offsets = [frame.offset for frame in frames[:-1]]
        assert offsets == sorted(set(offsets))
        assert {frame.json["content_id"] for frame in frames[:-1]} == {f"x{n}" for n in range(1, 200)}
        assert [f.event for f in frames if f.json.get("content_id") == "x1"][-1] == "processing_complete"
        publish(hub, "x2", "complete")
        assert client.event().json["status"] == "complete"


def test_a_stopping_hub_does_not_wait_for_a_stalled_viewer(http: Any) -> None:
    """What is stuck in a socket cannot be followed by a farewell; the connection is cut."""
    with live_hub(http=http, grace=1.0) as hub, stream(hub, receive_buffer=4096) as client:
        client.until("ready")
        for _ in range(150):
            publish(hub, "a", "generating", padding="x" * 60_000)
        hub.stop()
        assert all(frame.event != "drain" for frame in client.rest())
        assert not client.ended


def test_a_full_hub_turns_streams_away_politely(http: Any) -> None:
    """200 with a long retry and a farewell: any other status would end an EventSource for good."""
    with live_hub(http=http, max_streams=1) as hub, stream(hub) as first:
        first.until("ready")
        with stream(hub) as second:
            (farewell,) = second.rest() if second.headers.get("transfer-encoding") else [second.frame()]
            assert farewell.event == "drain"
            assert farewell.retry is not None
            assert farewell.retry >= 10_000
        publish(hub, "a", "complete")
        assert first.event().json["content_id"] == "a"


def test_a_hub_that_restarts_resumes_its_viewers(http: Any, tmp_path: Path) -> None:
    """The embedded broker's file keeps the clock: a cursor of before is good after, and nothing is missed."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    with live_hub(url, http=http) as hub:
        cursor = publish(hub, "a", "generating")
        publish(hub, "b", "complete")
    with live_hub(url, http=http) as hub, stream(hub, cursor=cursor) as client:
        assert said(client.until("ready")) == [("processing_complete", "b"), ("ready", "")]
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"


def test_handing_over_frees_the_request() -> None:
    """An idle viewer has no task, and its connection belongs to the viewer alone."""
    with live_hub() as hub, stream(hub) as client:
        client.until("ready")
        state = hub.server_state
        eventually(lambda: not state.tasks)
        (connection,) = list[object](state.connections)
        assert isinstance(connection, PushViewer)


def test_what_a_client_says_after_its_request_means_nothing() -> None:
    """Bytes after the request, pipelined requests included, neither end the stream nor are answered."""
    with live_hub() as hub, stream(hub) as client:
        client.until("ready")
        client.socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\x00garbage" * 100)
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"


def test_whoever_waits_for_an_answer_can_leave() -> None:
    """Though other requests of theirs wait behind it."""
    with live_hub() as hub:
        with wire(hub.base_url) as opened:
            opened.send(request("GET", "/api/contents/c/changes?wait=25") + request("GET", "/") * 1_000)
            eventually(lambda: len(hub.hub.viewers))
            opened.send(request("GET", "/") * 100)
        eventually(lambda: not len(hub.hub.viewers))


def test_whoever_said_much_with_their_request_can_leave() -> None:
    """What came behind it is read and forgotten, so that the end of the connection is seen."""
    with live_hub(heartbeat=60) as hub:
        with wire(hub.base_url) as opened:
            opened.send(request("GET", "/api/contents/c/events") + request("GET", "/") * 5_000)
            opened.until(b"event: ready")
            assert len(hub.hub.viewers) == 1
        eventually(lambda: not len(hub.hub.viewers))


def test_a_connection_can_be_kept_alive_before_it_is_handed_over() -> None:
    """A keep-alive connection that polled first may become a stream, and outlives the keep-alive timeout."""
    with live_hub() as hub:
        host, _, port = hub.base_url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.sendall(b"GET /api/contents/c/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while b"event: ready" not in received:
                received += connection.recv(65536)
            publish(hub, "a", "complete")
            while b"processing_complete" not in received:
                received += connection.recv(65536)
