"""The stream over WebSocket, handed over and by the server's own protocol: both behave alike."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection as socket_to
from typing import Any

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from statushub.hub.app import create_app
from statushub.hub.config import Config
from statushub.hub.intervals import Intervals
from statushub.hub.viewers.commands import SOCKET_CHANNELS
from statushub.hub.viewers.socket import BURST
from statushub.hub.wire.frames import MESSAGE_BYTES
from tests.support.asgi_server import live_server
from tests.support.certificate import certificate
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.serving import write
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

RECEIVE_SECONDS = 20.0
OWN = "/api/contents/c/ws"
KINDS = {"handed over": None, "portable": "h11"}


@pytest.fixture(params=KINDS.values(), ids=list(KINDS), scope="module")
def http(request: pytest.FixtureRequest) -> Any:
    """uvicorn's HTTP protocol: with hand-over, or without."""
    return request.param


@pytest.fixture(scope="module")
def hub(http: Any) -> Iterator[LiveHub]:
    """A hub without a key, that all tests share: each uses channels of its own."""
    with live_hub(http=http) as hub:
        yield hub


@pytest.fixture(scope="module")
def guarded(http: Any) -> Iterator[LiveHub]:
    """A hub with the key `SECRET`, on which expiry is checked often."""
    with live_hub(http=http, secret=SECRET, intervals=Intervals(expiry=0.05)) as hub:
        yield hub


@contextlib.contextmanager
def opened(hub: LiveHub, path: str = OWN, **options: Any) -> Iterator[ClientConnection]:
    """A socket for the block."""
    with connect(hub.base_url.replace("http", "ws", 1) + path, proxy=None, **options) as socket:
        yield socket


def say(socket: ClientConnection, **message: Any) -> None:
    """Send a message."""
    socket.send(msgspec.json.encode(message).decode())


def message(socket: ClientConnection, *types: str) -> dict[str, Any]:
    """The next message, of one of these types where any are given; heartbeats are skipped."""
    while True:
        said: dict[str, Any] = msgspec.json.decode(socket.recv(RECEIVE_SECONDS))
        if said["type"] in types or (not types and said["type"] != "heartbeat"):
            return said


def until(socket: ClientConnection, *types: str) -> list[dict[str, Any]]:
    """The messages up to and including the next of these types."""
    messages = [message(socket)]
    while messages[-1]["type"] not in types:
        messages.append(message(socket))
    return messages


def ending(socket: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """The messages until the close, its code and its reason."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(message(socket))
    assert socket.close_code is not None
    return messages, socket.close_code, socket.close_reason or ""


def ids(messages: list[dict[str, Any]]) -> list[str]:
    """The content ids of the events among the messages."""
    return [said["data"]["content_id"] for said in messages if "data" in said]


def test_a_socket_of_a_channel_is_sent_its_state_and_what_follows(hub: LiveHub) -> None:
    """`subscribed`, the state, `ready` with the cursor of all that, then each event as it comes."""
    first = publish(hub, "a", "generating", progress=40)
    with opened(hub) as socket:
        subscribed, update, ready = until(socket, "ready")
        assert (subscribed["type"], subscribed["channel_id"], subscribed["cursor"]) == ("subscribed", "c", None)
        assert (update["type"], update["id"], update["data"]["progress"]) == ("content_status_update", first, 40)
        assert (ready["channel_id"], ready["cursor"], ready["heartbeat_ms"]) == ("c", first, 15_000)
        second = publish(hub, "a", "complete", ai_gen_metadata={"title": "é"})
        done = message(socket)
        assert (done["type"], done["id"]) == ("processing_complete", second)
        assert done["data"]["ai_gen_metadata"] == {"title": "é"}


def test_a_socket_resumes_after_a_cursor(hub: LiveHub) -> None:
    """Only what is newer is sent, by the query and by a message; a void cursor is reset."""
    cursor = publish(hub, "r1", "complete", channel="resume")
    publish(hub, "r2", "complete", channel="resume")
    with opened(hub, f"/api/contents/resume/ws?since={cursor}") as socket:
        assert ids(until(socket, "ready")) == ["r2"]
    with opened(hub, "/api/ws") as socket:
        say(socket, type="subscribe", channel_id="resume", since=cursor)
        messages = until(socket, "ready")
        assert messages[0]["cursor"] == cursor
        assert ids(messages) == ["r2"]
        say(socket, type="subscribe", channel_id="resume", since="1-1")
        assert [said["type"] for said in until(socket, "ready")][:2] == ["subscribed", "reset"]


def test_a_channel_that_is_held_goes_on_or_starts_again(hub: LiveHub) -> None:
    """Without a cursor a second `subscribe` answers where the channel stands, and no more; with one it restarts."""
    cursor = publish(hub, "h1", "generating", channel="held")
    with opened(hub, "/api/contents/held/ws") as socket:
        until(socket, "ready")
        say(socket, type="subscribe", channel_id="held", user_id="u-1")
        assert message(socket)["cursor"] == cursor
        say(socket, type="ping")
        assert message(socket)["type"] == "pong"
        say(socket, type="subscribe", channel_id="held", since=cursor.rpartition("-")[0] + "-0")
        assert ids(until(socket, "ready")) == ["h1"]
        publish(hub, "h2", "generating", channel="held")
        assert message(socket)["data"]["content_id"] == "h2"
        say(socket, type="ping")
        assert message(socket)["type"] == "pong"


def test_one_socket_follows_many_channels(hub: LiveHub) -> None:
    """Each has its own cursor and `ready`; a further one is refused, until another is given up."""
    names = [f"many/{number}" for number in range(SOCKET_CHANNELS)]
    cursors = [publish(hub, f"x{number}", "generating", channel=name) for number, name in enumerate(names)]
    with opened(hub, "/api/ws") as socket:
        say(socket, type="subscribe", channel_ids=names)
        ready: dict[str, str] = {}
        while len(ready) < len(names):
            said = message(socket, "ready")
            ready[said["channel_id"]] = said["cursor"]
        assert [ready[name] >= cursor for name, cursor in zip(names, cursors, strict=True)] == [True] * len(names)
        say(socket, type="subscribe", channel_id="many/more")
        refused = message(socket)
        assert (refused["type"], refused["code"], refused["channel_id"]) == ("error", "invalid", "many/more")
        say(socket, type="unsubscribe", channel_ids=["many/0", "many/unknown"])
        assert [message(socket)["type"] for _ in range(2)] == ["unsubscribed"] * 2
        say(socket, type="subscribe", channel_id="many/more")
        until(socket, "ready")
        publish(hub, "y", "generating", channel="many/0")
        publish(hub, "z", "generating", channel="many/63")
        assert message(socket)["data"]["content_id"] == "z"
    eventually(lambda: len(hub.hub.viewers) == 0)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", "malformed"),
        ("[1]", "invalid"),
        ('{"type":"dance"}', "invalid"),
        ('{"no":"type"}', "invalid"),
        ('{"type":"subscribe"}', "invalid"),
        ('{"type":"subscribe","channel_id":7}', "invalid"),
        ('{"type":"subscribe","channel_id":"a*"}', "invalid"),
        ('{"type":"subscribe","channel_id":"a","since":"yesterday"}', "invalid"),
        ('{"type":"unsubscribe","channel_ids":[]}', "invalid"),
        (
            '{"type":"subscribe","channel_ids":' + msgspec.json.encode([f"c{n}" for n in range(65)]).decode() + "}",
            "invalid",
        ),
        ('{"type":"ping","x":' + "[" * 2_000, "malformed"),
        (b"\xff\xfe", "malformed"),
    ],
    ids=range(12),
)
def test_a_wrong_message_gets_an_error_and_the_socket_stays(hub: LiveHub, text: str | bytes, code: str) -> None:
    """The error has a code for programs and a sentence for humans."""
    with opened(hub, "/api/ws") as socket:
        socket.send(text)
        error = message(socket)
        assert (error["type"], error["code"]) == ("error", code)
        assert error["message"]
        say(socket, type="ping")
        assert message(socket)["type"] == "pong"


def test_too_many_messages_end_the_socket(hub: LiveHub) -> None:
    """The bucket holds a burst; one that is flooded for longer is closed, with a word of when to come back."""
    with opened(hub, "/api/ws") as socket:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(3 * BURST):
                socket.send("{}")
        messages, code, reason = ending(socket)
    assert BURST <= sum(said["type"] == "error" for said in messages) < 2 * BURST
    assert messages[-1]["type"] == "drain"
    assert (code, reason) == (4429, "too many messages")
    assert b'statushub_refusals_total{limit="messages"} 1.0' in httpx.get(f"{hub.base_url}/metrics").content


def test_a_message_may_have_4_kib(hub: LiveHub) -> None:
    """A longer one ends the socket."""
    with opened(hub, "/api/ws") as socket:
        head = '{"type":"ping","padding":"'
        socket.send(head + "x" * (MESSAGE_BYTES - len(head) - 2) + '"}')
        assert message(socket)["type"] == "pong"
        socket.send("x" * (MESSAGE_BYTES + 1))
        assert ending(socket)[1] == 1009


def test_a_socket_has_heartbeats_that_a_page_sees(hub: LiveHub) -> None:
    """At the interval that the request asks for."""
    with opened(hub, "/api/ws?heartbeat=2") as socket:
        assert message(socket, "heartbeat")["timestamp"].endswith("Z")
    with pytest.raises(InvalidStatus) as refused, opened(hub, "/api/ws?heartbeat=1"):
        pass
    assert refused.value.response.status_code == 422


def test_a_socket_is_told_when_the_hub_stops(http: Any) -> None:
    """`drain` with its time, then close code 1001; the hub refuses new sockets in the same way."""
    with live_hub(http=http, grace=5.0) as hub, opened(hub) as socket:
        until(socket, "ready")
        hub.call(hub.hub.drain)
        messages, code, reason = ending(socket)
        assert 500 <= messages[-1]["retry_ms"] <= 5_000
        assert (code, reason) == (1001, "the hub is stopping")
        with opened(hub) as late:
            messages, code, _ = ending(late)
            assert ([said["type"] for said in messages], code) == (["drain"], 1001)
        eventually(lambda: len(hub.hub.viewers) == 0)


@pytest.mark.parametrize("how", ["header", "subprotocol", "ticket", "cookie"])
def test_a_socket_is_opened_with_a_token(guarded: LiveHub, how: str) -> None:
    """As a stream is, and by a subprotocol that is never named in the answer."""
    ticket = httpx.post(f"{guarded.base_url}/api/tickets", headers=bearer(read=["c"])).json()["ticket"]
    options: dict[str, dict[str, Any]] = {
        "header": {"additional_headers": bearer(read=["c"])},
        "subprotocol": {"subprotocols": [Subprotocol("statushub"), Subprotocol("bearer." + token(read=["c"]))]},
        "ticket": {},
        "cookie": {
            "additional_headers": {"Cookie": f"statushub_token={token(read=['c'])}"},
            "origin": guarded.base_url,
        },
    }
    with opened(guarded, f"{OWN}?ticket={ticket}" if how == "ticket" else OWN, **options[how]) as socket:
        assert message(socket, "ready")["channel_id"] == "c"
        assert socket.subprotocol == ("statushub" if how == "subprotocol" else None)
        say(socket, type="subscribe", channel_id="d")
        refused = message(socket)
        assert (refused["type"], refused["code"], refused["channel_id"]) == ("error", "forbidden", "d")


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "no token": ({}, 401),
    "an expired token": ({"additional_headers": bearer(exp=time.time() - 9)}, 401),
    "another channel": ({"additional_headers": bearer(read=["d"])}, 403),
    "a foreign page": ({"additional_headers": bearer(), "origin": "https://elsewhere.example"}, 403),
    "a foreign page's cookie": (
        {"additional_headers": {"Cookie": f"statushub_token={token()}"}, "origin": "https://elsewhere.example"},
        403,
    ),
    "a wrong token": ({"subprotocols": [Subprotocol("statushub"), Subprotocol("bearer.x")]}, 401),
    "two tokens": ({"subprotocols": [Subprotocol(f"bearer.{token()}"), Subprotocol(f"bearer.{token(sub='x')}")]}, 400),
    "a token alone": ({"subprotocols": [Subprotocol(f"bearer.{token()}")]}, 400),
}


@pytest.mark.parametrize(("options", "status"), REFUSED.values(), ids=list(REFUSED))
def test_a_socket_is_refused_before_its_upgrade(guarded: LiveHub, options: dict[str, Any], status: int) -> None:
    """The answer is in HTTP, with the same body as any other error."""
    with pytest.raises(InvalidStatus) as refused, opened(guarded, **options):
        pass
    response = refused.value.response
    assert response.status_code == status
    assert msgspec.json.decode(response.body or b"")["error"]["code"]


def test_a_page_of_any_origin_may_not_read_an_open_hub(hub: LiveHub) -> None:
    """CORS does not apply to sockets: the hub checks the origin itself, with or without a key."""
    with pytest.raises(InvalidStatus) as refused, opened(hub, origin="https://elsewhere.example"):
        pass
    assert refused.value.response.status_code == 403
    with opened(hub, origin="http://localhost:3000") as socket:
        until(socket, "ready")


@pytest.mark.parametrize("revoked", [False, True], ids=["expired", "revoked"])
def test_a_socket_ends_with_its_token(guarded: LiveHub, revoked: bool) -> None:
    """Close code 4401, whether the token has expired or was revoked."""
    claims = {"jti": "gone"} if revoked else {"exp": time.time() + 3}
    with opened(guarded, additional_headers=bearer(**claims)) as socket:
        until(socket, "ready")
        if revoked:
            revoke = {"jti": "gone"}
            httpx.post(f"{guarded.base_url}/api/revoke", json=revoke, headers=bearer(revoke=True)).raise_for_status()
        messages, code, reason = ending(socket)
    assert messages[-1]["type"] == "drain"
    assert (code, reason) == (4401, "the token expired or was revoked")


def test_a_socket_counts_as_a_stream(http: Any) -> None:
    """One of many channels is one stream; its channels count each, and quotas hold for both."""
    with live_hub(http=http, max_streams=2, max_channels_sub=3) as hub, opened(hub, "/api/ws") as socket:
        say(socket, type="subscribe", channel_ids=["a", "b", "c", "d"])
        answers = [message(socket, "subscribed", "error") for _ in range(4)]
        assert [said["type"] for said in answers] == ["subscribed"] * 3 + ["error"]
        assert (answers[3]["code"], answers[3]["channel_id"]) == ("too_many_requests", "d")
        assert b"statushub_streams 1.0" in httpx.get(f"{hub.base_url}/metrics").content
        say(socket, type="unsubscribe", channel_id="a")
        say(socket, type="subscribe", channel_id="d")
        assert message(socket, "subscribed")["channel_id"] == "d"
        with opened(hub, "/api/ws"), opened(hub, "/api/ws") as third:
            messages, code, reason = ending(third)
            assert [said["type"] for said in messages] == ["drain"]
            assert (code, reason) == (4429, "the limit streams_hub is reached")
    eventually(lambda: len(hub.hub.viewers) == 0)


def test_an_open_hub_answers_only_to_local_names(hub: LiveHub) -> None:
    """A page of another host whose name leads here reads nothing (DNS rebinding)."""
    port = int(hub.base_url.rpartition(":")[2])
    with (
        socket_to(("127.0.0.1", port)) as plain,
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://elsewhere.example:{port}{OWN}", sock=plain, proxy=None),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_data_of_straight_publishers_break_no_message(hub: LiveHub) -> None:
    """What is no JSON in UTF-8 is repaired; what is an object is sent as it is."""
    with opened(hub, "/api/contents/straight/ws") as socket:
        until(socket, "ready")
        for data, expected in ((b"\xff", {"content_id": "s"}), (b'{"a":1}', {"a": 1}), (b"[1] x", {"content_id": "s"})):
            hub.run(write(hub.hub, "s", data, channel="straight"))
            said = message(socket)
            assert said["type"] == "custom"
            assert expected.items() <= said["data"].items()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_socket_with_tls_is_handed_over(loop: str, tmp_path: Path) -> None:
    """It is opened, follows, and is closed with a code by either side."""
    options = certificate(tmp_path)
    app = create_app(Config(broker="memory:"))
    with live_server(app, loop=loop, ws="none", **options) as base_url:
        context = ssl.create_default_context(cafile=options["ssl_certfile"])
        uri = base_url.replace("http://127.0.0.1", "wss://localhost") + OWN
        for flood in (False, True):
            with connect(uri, ssl=context, proxy=None) as socket:
                until(socket, "ready")
                say(socket, type="ping")
                assert message(socket)["type"] == "pong"
                if flood:
                    with contextlib.suppress(ConnectionClosed):
                        for _ in range(2 * BURST):
                            socket.send("{}")
                    assert ending(socket)[1] == 4429
                else:
                    socket.close(4000)
                    assert socket.close_code == 4000
