"""Patterns on a WebSocket: each with a cursor of its own, beside channels, handed over and portable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from statushub.hub.intervals import Intervals
from statushub.hub.model.cursor import Cursor
from statushub.hub.viewers.commands import SOCKET_CHANNELS
from tests.live.test_websocket import KINDS, message, opened, say, until
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish, publish_all
from tests.support.tokens import SECRET, bearer


@pytest.fixture(params=KINDS.values(), ids=list(KINDS), scope="module")
def http(request: pytest.FixtureRequest) -> Any:
    """uvicorn's HTTP protocol: with hand-over, or without."""
    return request.param


@pytest.fixture
def hub(http: Any) -> Iterator[LiveHub]:
    with live_hub(http=http) as hub:
        yield hub


def contents(messages: list[dict[str, Any]]) -> list[str]:
    """The content of each event."""
    return [it["data"]["content_id"] for it in messages if "data" in it]


def test_a_pattern_is_subscribed(hub: LiveHub) -> None:
    """`subscribed`, what there is, `ready`, then what comes into being; every message names the pattern."""
    first = publish(hub, "a", "generating", channel="jobs/1")
    publish(hub, "x", "generating", channel="films")
    with opened(hub, "/api/ws") as socket:
        say(socket, type="subscribe", match="jobs/**", user_id="u")
        subscribed, event, ready = until(socket, "ready")
        assert (subscribed["type"], subscribed["match"], subscribed["cursor"]) == ("subscribed", "jobs/**", None)
        assert (event["id"], event["match"], event["data"]["content_id"]) == (first, "jobs/**", "a")
        assert ready["match"] == "jobs/**"
        assert "channel_id" not in ready
        publish(hub, "y", "complete", channel="films")
        born = publish(hub, "b", "complete", channel="jobs/2")
        event = message(socket)
        assert (event["type"], event["id"], event["match"]) == ("processing_complete", born, "jobs/**")
        assert event["data"]["channel_id"] == "jobs/2"


def test_a_pattern_resumes_after_its_cursor(hub: LiveHub) -> None:
    """`since` is the pattern's own cursor; a void one is reset, with the pattern's name."""
    publish(hub, "a", "generating", channel="jobs/1")
    kept = publish(hub, "b", "generating", channel="jobs/2")
    publish(hub, "c", "generating", channel="jobs/3")
    with opened(hub, "/api/ws") as socket:
        say(socket, type="subscribe", match="jobs/**", since=kept)
        messages = until(socket, "ready")
        assert messages[0]["cursor"] == kept
        assert contents(messages) == ["c"]
        say(socket, type="subscribe", match="jobs/**")
        again = message(socket)
        assert (again["type"], again["cursor"]) == ("subscribed", messages[-1]["cursor"])
        say(socket, type="subscribe", match="jobs/**", since=kept)
        assert contents(until(socket, "ready")) == ["c"]
        say(socket, type="subscribe", match="jobs/**", since="1-1")
        messages = until(socket, "ready")
        assert [it["type"] for it in messages[:2]] == ["subscribed", "reset"]
        assert messages[1]["match"] == "jobs/**"
        assert contents(messages) == ["a", "b", "c"]


def test_patterns_and_channels_are_apart(hub: LiveHub) -> None:
    """A channel and patterns that cover it each bring the event, with the name of what brings it; each ends alone."""
    publish(hub, "a", "generating", channel="jobs/1")
    with opened(hub, "/api/ws") as socket:
        for subject in ({"channel_id": "jobs/1"}, {"match": "jobs/*"}, {"match": "jobs/1"}, {"match": "**"}):
            say(socket, type="subscribe", **subject)
            until(socket, "ready")
        cursor = publish(hub, "a", "complete", channel="jobs/1")
        events = [message(socket) for _ in range(4)]
        assert {it.get("match") for it in events} == {None, "jobs/*", "jobs/1", "**"}
        assert {it["id"] for it in events} == {cursor}
        say(socket, type="unsubscribe", match="jobs/*")
        assert message(socket)["match"] == "jobs/*"
        say(socket, type="unsubscribe", channel_id="jobs/1")
        assert message(socket)["channel_id"] == "jobs/1"
        publish(hub, "b", "generating", channel="jobs/1")
        assert {message(socket)["match"] for _ in range(2)} == {"jobs/1", "**"}
        say(socket, type="ping")
        assert message(socket)["type"] == "pong"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"match": ""}, "invalid"),
        ({"match": "a***"}, "invalid"),
        ({"match": "x" * 257}, "invalid"),
        ({"match": 7}, "invalid"),
        ({"match": "a", "channel_id": "b"}, "invalid"),
        ({"match": "a", "channel_ids": ["b"]}, "invalid"),
        ({"match": "a", "since": "x"}, "invalid"),
    ],
    ids=["empty", "stars", "long", "number", "both", "both-many", "since"],
)
def test_a_malformed_pattern_is_answered(hub: LiveHub, said: dict[str, Any], code: str) -> None:
    """The socket gets an error, and stays."""
    with opened(hub, "/api/ws") as socket:
        say(socket, type="subscribe", **said)
        error = message(socket)
        assert (error["type"], error["code"]) == ("error", code)
        say(socket, type="ping")
        assert message(socket)["type"] == "pong"


def test_too_many_channels_are_an_error_and_later_a_limit(http: Any) -> None:
    """At opening `match_limit` with the pattern; later `limit` once, and the subscription goes on."""
    with live_hub(http=http, max_channels_match=2) as hub:
        publish_all(
            hub, [{"channel": f"a/{n}", "content_id": f"a{n}", "data": {"status": "generating"}} for n in range(3)]
        )
        publish(hub, "b0", "generating", channel="b/0")
        with opened(hub, "/api/ws") as socket:
            say(socket, type="subscribe", match="a/*")
            error = message(socket)
            assert (error["type"], error["code"], error["match"]) == ("error", "match_limit", "a/*")
            say(socket, type="subscribe", match="b/*")
            until(socket, "ready")
            for n in range(1, 4):
                publish(hub, f"b{n}", "generating", channel=f"b/{n}")
            last = publish(hub, "b0", "complete", channel="b/0")
            messages = until(socket, "processing_complete")
            assert [it["type"] for it in messages] == ["content_status_update", "limit", "processing_complete"]
            assert messages[1] == {"type": "limit", "match": "b/*", "max": 2}
            assert messages[2]["id"] == last
        with opened(hub, "/api/ws") as socket:
            say(socket, type="subscribe", match="b/*", since=last)
            assert [it["type"] for it in until(socket, "ready")][:3] == ["subscribed", "reset", "limit"]


def test_a_socket_has_at_most_64_channels_and_patterns(hub: LiveHub) -> None:
    """Both count, also while it is looked for the channels of a pattern; one that ends makes room."""
    with opened(hub, "/api/ws") as socket:
        for n in range(SOCKET_CHANNELS + 1):
            subject = {"match": f"jobs/{n}/*"} if n % 2 else {"channel_id": f"c{n}"}
            say(socket, type="subscribe", **subject)
        seen = [message(socket, "subscribed", "error") for _ in range(SOCKET_CHANNELS + 1)]
        assert [it["type"] for it in seen].count("error") == 1
        say(socket, type="unsubscribe", match="jobs/1/*")
        message(socket, "unsubscribed")
        say(socket, type="subscribe", match="last/*")
        assert message(socket, "subscribed", "error")["type"] == "subscribed"


def test_a_socket_reads_what_its_token_reads(http: Any) -> None:
    """`**` is what the token reads, and the socket ends with its token."""
    intervals = Intervals(expiry=0.05)
    with live_hub(http=http, secret=SECRET, intervals=intervals) as hub:
        for n, channel in enumerate(("mine/1", "theirs/1")):
            event = {"channel": channel, "content_id": f"c{n}", "data": {"status": "generating"}}
            publish_all(hub, [event], headers=bearer())
        with opened(hub, "/api/ws", additional_headers=bearer(read=["mine/*"], jti="gone")) as socket:
            say(socket, type="subscribe", match="**")
            assert contents(until(socket, "ready")) == ["c0"]
            for n, channel in enumerate(("theirs/2", "mine/2")):
                event = {"channel": channel, "content_id": f"d{n}", "data": {"status": "generating"}}
                publish_all(hub, [event], headers=bearer())
            assert message(socket)["data"]["content_id"] == "d1"


def test_ids_of_a_pattern_grow_while_channels_are_born(hub: LiveHub) -> None:
    """Five hundred births and changes in one burst come in order, each once."""
    with opened(hub, "/api/ws") as socket:
        say(socket, type="subscribe", match="**")
        until(socket, "ready")
        cursors = publish_all(
            hub,
            [{"channel": f"jobs/{n % 250}", "content_id": f"c{n}", "data": {"status": "complete"}} for n in range(500)],
        )
        seen = [message(socket)["id"] for _ in range(500)]
        assert seen == cursors
        offsets = [Cursor.parse(it).offset for it in seen]
        assert offsets == sorted(set(offsets))
