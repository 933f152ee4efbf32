"""The event stream on a real socket, both handed over and on the portable path."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.model.cursor import Cursor, epoch_after
from statushub.hub.viewers.push import PushViewer
from statushub.hub.viewers.session import RETRY_MS
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.sse_client import open_stream, outline, stream
from tests.support.waiting import eventually
from tests.support.wire import request, wire

RETRIES = range(RETRY_MS[0], RETRY_MS[1] + 1)
PATHS = [pytest.param(HandoverProtocol, id="handover"), pytest.param("h11", id="portable")]


@pytest.fixture(params=PATHS)
def http(request: pytest.FixtureRequest) -> Any:
    """uvicorn's HTTP protocol, with and without hand-over."""
    return request.param


@pytest.fixture
def hub(http: Any) -> Iterator[LiveHub]:
    """A hub on an embedded broker in memory."""
    with live_hub(http=http, heartbeat=0.3) as hub:
        yield hub


def test_a_stream_begins_with_the_whole_state_and_then_is_live(http: Any) -> None:
    """A stream sends each content's latest event in offset order, `ready`, then live events; the first has `retry`."""
    # A heartbeat, which may come first on a busy machine, would have the `retry`.
    with live_hub(http=http, heartbeat=3600.0) as hub:
        publish(hub, "a", "generating", progress=1)
        publish(hub, "b", "PROCESSING")
        last = publish(hub, "a", "generating", progress=2)
        with stream(hub) as client:
            frames = client.until("ready")
            assert [frame.retry in RETRIES for frame in frames] == [True, False, False]
            assert outline(frames) == [("encoding_progress", "b"), ("content_status_update", "a"), ("ready", "")]
            assert frames[1].json["progress"] == 2
            assert frames[1].id == frames[2].json["cursor"] == last
            cursor = publish(hub, "b", "READY", hls_path="/b/master.m3u8")
            end = client.event()
            assert (end.event, end.id) == ("processing_complete", cursor)
            assert end.json["hls_path"] == "/b/master.m3u8"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("first", ["content_status_update", "reset", "ready", "heartbeat"])
def test_the_first_frame_has_the_retry(http: Any, first: str, version: str) -> None:
    """No frame but those with data is sent, since many clients dispatch one, and `retry` is in the first of them."""
    # No heartbeat comes first on a busy machine, where it is not what is waited for.
    with live_hub(http=http, heartbeat=0.3 if first == "heartbeat" else 3600.0) as hub:
        here = Cursor.parse(publish(hub, "a", "generating"))
        cursors = {
            "content_status_update": "",
            "reset": "1-1",
            "ready": str(here),
            # Of a life of the clock that this hub does not know yet.
            "heartbeat": f"{epoch_after(here.epoch, 60)}-1",
        }
        headers = {"Last-Event-ID": cursors[first]}
        with open_stream(hub.base_url, "/api/contents/c/events", headers, version=version) as client:
            frame = client.frame()
            assert frame.event == first
            assert frame.retry in RETRIES
            # After `ready` comes nothing before the next event.
            publish(hub, "a", "complete")
            assert client.frame().retry is None


def test_every_event_names_its_content_channel_status_and_time(hub: LiveHub) -> None:
    """The data also hold the extra fields that the producer published."""
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
    """Without a publication, `ready` comes immediately and the first event follows it."""
    with stream(hub) as client:
        assert outline(client.until("ready")) == [("ready", "")]
        publish(hub, "a", "idle")
        assert client.event().json["status"] == "idle"


def test_a_cursor_resumes_without_gap_or_repeat(hub: LiveHub) -> None:
    """Only events after `Last-Event-ID` are sent, the latest one of each content."""
    publish(hub, "old", "complete")
    with stream(hub) as client:
        cursor = client.until("ready")[0].id
    for progress in range(5):
        publish(hub, "a", "generating", progress=progress)
    publish(hub, "b", "error", error_message="no")
    with stream(hub, cursor=cursor) as client:
        frames = client.until("ready")
        assert outline(frames) == [("content_status_update", "a"), ("processing_error", "b"), ("ready", "")]
        assert frames[0].json["progress"] == 4


def test_since_resumes_a_first_connection(hub: LiveHub) -> None:
    """`?since=` is a cursor; `Last-Event-ID`, which a reconnect sends, takes precedence."""
    first = publish(hub, "a", "complete")
    second = publish(hub, "b", "complete")
    with open_stream(hub.base_url, f"/api/contents/c/events?since={first}") as client:
        assert outline(client.until("ready")) == [("processing_complete", "b"), ("ready", "")]
    with open_stream(hub.base_url, f"/api/contents/c/events?since={first}", {"Last-Event-ID": second}) as client:
        frames = client.until("ready")
        assert outline(frames) == [("ready", "")]
        assert frames[0].json["cursor"] == second


@pytest.mark.parametrize("path", ["/api/contents/c/events?", "/api/events?channel=c&channel=d&"])
def test_last_event_id_resumes_where_a_client_cannot_send_the_header(hub: LiveHub, path: str) -> None:
    """`?lastEventId=` comes after the header and before `?since=`; the last of several counts, and an empty one not."""
    first, second = publish(hub, "a", "complete"), publish(hub, "b", "complete")
    for query, header, expected in [
        (f"lastEventId={first}", "", ["b", ""]),
        (f"lastEventId={second}&since={first}", "", [""]),
        (f"lastEventId={first}&since={second}", "", ["b", ""]),
        (f"lastEventId={first}&since=nonsense", "", ["b", ""]),
        (f"lastEventId={second}&lastEventId={first}", "", ["b", ""]),
        (f"lastEventId={first}", second, [""]),
        (f"lastEventId=&since={second}", "", [""]),
        ("lastEventId=", "", ["a", "b", ""]),
    ]:
        with open_stream(hub.base_url, path + query, {"Last-Event-ID": header}) as client:
            assert [content_id for _, content_id in outline(client.until("ready"))] == expected, query


@pytest.mark.parametrize("void", ["other0epoch-3", "nonsense", "9" * 60, "1%20%0a"])
def test_a_void_last_event_id_in_the_query_resets(hub: LiveHub, void: str) -> None:
    """It is read as the header is: an error would end an `EventSource`."""
    publish(hub, "a", "complete")
    with open_stream(hub.base_url, f"/api/contents/c/events?lastEventId={void}") as client:
        assert outline(client.until("ready")) == [("reset", ""), ("processing_complete", "a"), ("ready", "")]


@pytest.mark.parametrize("void", ["other0epoch-3", "nonsense", "9" * 60])
def test_a_void_cursor_resets(hub: LiveHub, void: str) -> None:
    """A client with a void cursor is sent `reset` and then the whole state."""
    publish(hub, "a", "complete")
    with stream(hub, cursor=void) as client:
        frames = client.until("ready")
        assert outline(frames) == [("reset", ""), ("processing_complete", "a"), ("ready", "")]
        assert frames[0].id == ""


def test_a_cursor_ahead_of_the_clock_resets(hub: LiveHub) -> None:
    """An offset that the clock has not reached is void."""
    cursor = Cursor.parse(publish(hub, "a", "complete"))
    with stream(hub, cursor=f"{cursor.epoch}-{cursor.offset + 4000}") as client:
        assert outline(client.until("ready")) == [("reset", ""), ("processing_complete", "a"), ("ready", "")]
        publish(hub, "b", "complete")
        assert client.event().json["content_id"] == "b"


def test_one_stream_carries_many_channels_in_clock_order(hub: LiveHub) -> None:
    """State and live events of several channels come in the order of the tenant's clock."""
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
        *((f"/api/contents/a/events?heartbeat={text}", "heartbeat") for text in ("1", "61", "-4", "4s", "2.5", "04")),
        ("/api/events?channel=a&heartbeat=0", "heartbeat"),
        ("/api/contents/a/events?events=all", "events"),
        ("/api/events?channel=a&events=Named", "events"),
    ],
)
def test_the_error_of_an_invalid_request_names_its_field(hub: LiveHub, query: str, field: str) -> None:
    """The answer is 422 with the field's name in JSON."""
    answer = httpx.get(hub.base_url + query)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field


def test_heartbeats_are_named_events_without_an_id(hub: LiveHub) -> None:
    """A page sees that the connection is alive, and its cursor is unchanged."""
    with stream(hub) as client:
        client.until("ready")
        for _ in range(2):
            beat = client.frame()
            assert (beat.event, beat.id) == ("heartbeat", None)


@pytest.mark.parametrize("path", ["/api/contents/c/events?heartbeat=2", "/api/events?channel=c&heartbeat=2"])
def test_a_stream_may_ask_for_its_own_heartbeats(http: Any, path: str) -> None:
    """`ready` names the interval; another stream of the hub keeps the hub's own, and an empty value is none."""
    with live_hub(http=http, heartbeat=3600.0) as hub, open_stream(hub.base_url, path) as client:
        assert client.until("ready")[-1].json["heartbeat_ms"] == 2_000
        assert [client.frame().event for _ in range(2)] == ["heartbeat"] * 2
        with open_stream(hub.base_url, "/api/contents/c/events?heartbeat=") as other:
            assert other.until("ready")[-1].json["heartbeat_ms"] == 3_600_000
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_has_only_onmessage_sees_every_event(http: Any, version: str) -> None:
    """With `events=message` no frame has a name, and the data of each begin with its type."""
    with live_hub(http=http, heartbeat=0.3) as hub:
        publish(hub, "a", "generating", type="own")
        path, headers = "/api/events?channel=c&channel=d&events=message", {"Last-Event-ID": "1-1"}
        with open_stream(hub.base_url, path, headers, version=version) as client:
            frames = [client.frame() for _ in range(4)]
            publish(hub, "b", "complete", channel="d")
            while frames[-1].json["type"] == "heartbeat":
                frames.append(client.frame())
            hub.stop()
            frames += client.rest()
    assert {frame.event for frame in frames} == {None}
    assert all(frame.data.startswith('{"type":"') for frame in frames)
    said = [frame for frame in frames if frame.json["type"] != "heartbeat"]
    types = ["reset", "content_status_update", "ready", "processing_complete", "drain"]
    assert [frame.json["type"] for frame in said] == types
    # A heartbeat may come before the rest.
    assert [bool(frame.retry) for frame in frames] == [True, *[False] * (len(frames) - 2), True]
    assert said[0].id == ""
    assert said[1].json["content_id"] == "a"


def test_a_hub_has_a_default_for_the_names_of_events(http: Any) -> None:
    """With `--events message` an old page works unchanged, and `events=named` asks for names; so in its refusals."""
    with live_hub(http=http, events="message", max_streams=1) as hub:
        for query, name in (("", None), ("?events=", None), ("?events=named", "ready"), ("?events=message", None)):
            with open_stream(hub.base_url, f"/api/contents/c/events{query}") as client:
                frame = client.frame()
                assert (frame.event, frame.json.get("type", "ready")) == (name, "ready")
                with open_stream(hub.base_url, f"/api/contents/c/events{query}") as refused:
                    assert refused.frame().event == (name and "drain")
            eventually(lambda: len(hub.hub.viewers) == 0)


def test_a_stopping_hub_sends_drain_and_closes(hub: LiveHub) -> None:
    """`drain` gives the delay before a reconnect, and the body ends complete."""
    with stream(hub) as client:
        client.until("ready")
        hub.stop()
        *_, last = client.rest()
        assert last.event == "drain"
        assert last.retry == last.json["retry_ms"] > 0
        assert client.ended


def test_the_head_of_a_stream_forbids_caching_and_buffering(hub: LiveHub) -> None:
    """The head allows the page's origin and sets no `Connection`."""
    origin = {"Origin": "http://localhost:5173"}
    with open_stream(hub.base_url, "/api/contents/c/events", origin) as client:
        assert client.headers["content-type"].startswith("text/event-stream")
        assert client.headers["cache-control"] == "no-store, no-transform"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["access-control-allow-origin"] == "http://localhost:5173"
        assert "connection" not in client.headers


def test_head_answers_with_headers_only(hub: LiveHub) -> None:
    """A HEAD request ends immediately."""
    answer = httpx.head(f"{hub.base_url}/api/contents/c/events", timeout=5)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_http_1_0_is_served_on_the_portable_path(hub: LiveHub) -> None:
    """A client that cannot decode chunks receives the events all the same."""
    publish(hub, "a", "complete")
    with open_stream(hub.base_url, "/api/contents/c/events", version="1.0") as client:
        assert outline(client.until("ready")) == [("processing_complete", "a"), ("ready", "")]


def test_a_disconnected_viewer_is_removed(hub: LiveHub) -> None:
    """Neither the hub nor the replica keeps a reference to it."""
    with stream(hub) as client:
        client.until("ready")
        assert len(hub.hub.viewers) == 1
    publish(hub, "a", "generating")
    eventually(lambda: len(hub.hub.viewers) == 0)
    replica = hub.hub.synchronizer.obtain("default", "c")
    assert not replica.subscribers
    assert not any(replica.writers.values())
    assert not replica.pollers


def test_later_viewers_are_served_from_the_replica(hub: LiveHub) -> None:
    """The first viewer loads the replica; new and resumed viewers after it read nothing from the broker."""
    cursor = publish(hub, "a", "complete")
    with contextlib.ExitStack() as stack:
        for number in range(30):
            client = stack.enter_context(stream(hub, cursor=cursor if number % 2 else None))
            client.until("ready")
        assert hub.hub.counts.syncs == 1
        assert len(hub.hub.viewers) == 30


def test_a_stalled_viewer_is_conflated_and_misses_no_final_state(hub: LiveHub) -> None:
    """Nothing is buffered while its socket is full; later it is sent the latest of each content, in order."""
    padding = "x" * 30_000
    with stream(hub, receive_buffer=4096) as client:
        client.until("ready")
        with httpx.Client(base_url=hub.base_url) as http_client:
            for number in range(200):
                data = {"status": "generating", "progress": number / 10, "padding": padding}
                events = [{"channel": "c", "content_id": "a", "data": data}]
                http_client.post("/api/publish", json={"events": events})
        publish(hub, "b", "complete")
        publish(hub, "a", "complete")
        frames = client.until_content(content_id="a", status="complete")
        offsets = [frame.offset for frame in frames]
        assert offsets == sorted(set(offsets))
        assert ("processing_complete", "b") in outline(frames)
        assert len(frames) < 150
        publish(hub, "c", "complete")
        assert client.event().json["content_id"] == "c"


def test_a_viewer_that_stays_stalled_is_closed(http: Any) -> None:
    """Its connection is aborted after the stall timeout."""
    with live_hub(http=http, heartbeat=0.2, stall_timeout=0.3) as hub, stream(hub, receive_buffer=4096) as client:
        client.until("ready")
        padding = "x" * 60_000

        def stalled() -> bool:
            publish(hub, "a", "generating", padding=padding)
            return len(hub.hub.viewers) == 0

        eventually(stalled)


def test_a_large_state_is_sent_in_steps_and_in_order(hub: LiveHub) -> None:
    """A slow reader is written to as its socket drains, while the state goes on changing."""
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
    """A full socket cannot take `drain`, so that the connection is aborted."""
    with live_hub(http=http, grace=1.0) as hub, stream(hub, receive_buffer=4096) as client:
        client.until("ready")
        for _ in range(150):
            publish(hub, "a", "generating", padding="x" * 60_000)
        hub.stop()
        assert all(frame.event != "drain" for frame in client.rest())
        assert not client.ended


def test_a_full_hub_answers_a_stream_with_drain_and_a_long_retry(http: Any) -> None:
    """The status is 200, since any other one ends an EventSource permanently."""
    with live_hub(http=http, max_streams=1) as hub, stream(hub) as first:
        first.until("ready")
        with stream(hub) as second:
            (last_frame,) = second.rest() if second.headers.get("transfer-encoding") else [second.frame()]
            assert last_frame.event == "drain"
            assert last_frame.retry is not None
            assert last_frame.retry >= 10_000
        publish(hub, "a", "complete")
        assert first.event().json["content_id"] == "a"


def test_a_restarted_hub_resumes_its_viewers(http: Any, tmp_path: Path) -> None:
    """The embedded broker's file keeps the clock, so that an earlier cursor stays valid."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    with live_hub(url, http=http) as hub:
        cursor = publish(hub, "a", "generating")
        publish(hub, "b", "complete")
    with live_hub(url, http=http) as hub, stream(hub, cursor=cursor) as client:
        assert outline(client.until("ready")) == [("processing_complete", "b"), ("ready", "")]
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"


def test_hand_over_ends_the_request_task() -> None:
    """An idle viewer has no task, and its connection's protocol is the viewer."""
    with live_hub() as hub, stream(hub) as client:
        client.until("ready")
        state = hub.server_state
        eventually(lambda: not state.tasks)
        (connection,) = list[object](state.connections)
        assert isinstance(connection, PushViewer)


def test_bytes_after_the_request_are_ignored() -> None:
    """Neither garbage nor a pipelined request ends the stream or is answered."""
    with live_hub() as hub, stream(hub) as client:
        client.until("ready")
        client.socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\x00garbage" * 100)
        publish(hub, "a", "complete")
        assert client.event().json["content_id"] == "a"


def test_a_client_can_leave_a_long_poll() -> None:
    """The disconnect is noticed although pipelined requests fill the connection's buffer."""
    with live_hub() as hub:
        with wire(hub.base_url) as opened:
            opened.send(request("GET", "/api/contents/c/changes?wait=25") + request("GET", "/") * 1_000)
            eventually(lambda: len(hub.hub.viewers))
            opened.send(request("GET", "/") * 100)
        eventually(lambda: not len(hub.hub.viewers))


def test_a_client_with_pipelined_requests_can_leave_a_stream() -> None:
    """Pipelined bytes are read and dropped, so that the end of the connection is noticed."""
    with live_hub(heartbeat=60) as hub:
        with wire(hub.base_url) as opened:
            opened.send(request("GET", "/api/contents/c/events") + request("GET", "/") * 5_000)
            opened.until(b"event: ready")
            assert len(hub.hub.viewers) == 1
        eventually(lambda: not len(hub.hub.viewers))


def test_a_kept_alive_connection_can_become_a_stream() -> None:
    """The stream on a connection that polled first outlives the keep-alive timeout."""
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
