"""The arguments of `follow`, and where a follower stands."""

from __future__ import annotations

from typing import Any

import pytest

from statushub import ConfigError, Cursor, Follow, Invalid, SyncFollow, follow, follow_sync
from statushub.producers.following.credentials import Credentials, Verdict
from statushub.producers.following.follow import plan
from statushub.producers.following.position import Position, cursor_in

URL = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({}, "channels", "not 0"),
        ({"channels": [*map(str, range(33))], "match": [*map(str, range(32))]}, "channels", "not 65"),
        ({"match": ""}, "match", "a pattern, such as"),
        ({"channels": []}, "channels", "1 to 64"),
        ({"channels": [*map(str, range(65))]}, "channels", "not 65"),
        ({"channels": ["a*"]}, "channels", "printable"),
        ({"channels": "a", "since": "x"}, "since", "not a cursor"),
        ({"channels": "a", "token": "a b"}, "token", "printable ASCII"),
        ({"channels": "a", "url": "redis://localhost"}, "url", "begins with http"),
        ({"channels": "a", "url": "127.0.0.1:8000"}, "url", "begins with http"),
        ({"channels": "a", "url": "http://h:port"}, "url", "malformed"),
        ({"channels": "a", "url": "http://h?a=b"}, "url", "no options"),
        ({"channels": "a", "url": "http://u:p/w@h"}, "url", "ambiguous"),
    ],
    ids=[
        *(
            "nothing",
            "too many of both",
            "no pattern",
            "no channel",
            "too many",
            "an illegal name",
            "no cursor",
            "no token",
        ),
        *("redis", "no scheme", "no port", "options", "ambiguous"),
    ],
)
@pytest.mark.parametrize("function", [follow, follow_sync])
def test_arguments_that_are_wrong_are_refused(function: Any, options: Any, field: str, message: str) -> None:
    """At the call, with the name of the argument, and without a secret."""
    with pytest.raises((ConfigError, Invalid), match=message) as raised:
        function(**{"url": URL, **options})
    assert raised.value.field == field
    assert "p/w" not in str(raised.value)


def test_the_environment_names_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the token, as for producers."""
    monkeypatch.setenv("STATUSHUB_URL", "http://hub.example/statushub/")
    monkeypatch.setenv("STATUSHUB_TOKEN", " secret\n")
    made = plan(channels="a/b")
    assert (made.address.name, made.token) == ("http://hub.example/statushub", "secret")
    assert str(made.address.at(made.subject.path, [("x", "a&b")])) == (
        "http://hub.example/statushub/api/contents/a%2Fb/events?x=a%26b"
    )
    assert "secret" not in repr(made)


@pytest.mark.parametrize(
    ("options", "path", "query"),
    [
        ({"channels": "a"}, "/api/contents/a/events", []),
        ({"channels": ["b", "a", "b"]}, "/api/events", [("channel", "b"), ("channel", "a")]),
        ({"match": "a/**"}, "/api/events", [("match", "a/**")]),
        ({"channels": ["b"], "match": ["a/*"]}, "/api/events", [("channel", "b"), ("match", "a/*")]),
    ],
    ids=["one", "many", "a pattern", "both"],
)
def test_a_stream_is_asked_for_by_names_and_patterns(
    options: dict[str, Any], path: str, query: list[tuple[str, str]]
) -> None:
    """A single channel by its own route."""
    subject = plan(URL, **options).subject
    assert (subject.path, subject.query) == (path, query)


def test_a_twin_for_each() -> None:
    """`follow` is for asyncio, `follow_sync` for ordinary code; nothing is connected before the loop."""
    assert isinstance(follow(URL, channels="a"), Follow)
    assert isinstance(follow_sync(URL, match="**"), SyncFollow)


def at(offset: int, epoch: str = "k") -> Cursor:
    return Cursor(epoch=epoch, offset=offset)


def test_the_common_cursor_is_that_of_the_last_channel() -> None:
    """Once each is known; then the stream skips what polls have told."""
    position, channels = Position(at(3)), ("a", "b")
    position.advance_channel("a", at(9), channels)
    assert (position.cursor, position.of("a"), position.of("b")) == (at(3), at(9), at(3))
    position.advance_channel("b", at(7), channels)
    assert position.cursor == at(7)
    position.advance_channel("a", at(8), channels)
    assert position.of("a") == at(9)
    assert [position.repeats("a", at(offset)) for offset in (8, 9, 10)] == [True, True, False]
    position.advance(at(8))
    assert position.repeats("a", at(9))
    position.advance(at(9))
    assert not position.repeats("a", at(9))


def test_a_reset_forgets_the_position() -> None:
    """Of all channels."""
    position = Position(at(3))
    position.advance_channel("a", at(9), ("a",))
    position.reset()
    assert (position.cursor, position.of("a"), position.epoch, position.since) == (None, None, None, False)


@pytest.mark.parametrize(("text", "expected"), [("k-7", at(7)), ("k", None), ("", None), (None, None), (7, None)])
def test_what_is_no_cursor_is_none(text: object, expected: Cursor | None) -> None:
    """Of an event or an answer."""
    assert cursor_in(text) == expected


class Calls:
    async def call(self, function: Any) -> str:
        return str(function())


def header(credentials: Credentials) -> str | None:
    """The header, by a call that does not suspend."""
    try:
        credentials.header(Calls()).send(None)
    except StopIteration as end:
        found: str | None = end.value
    return found


def test_a_token_is_renewed_once_for_each_refusal() -> None:
    """A fresh one that is refused is final, and one that is the same as before is late."""
    given = iter(["one", "two", "two", "three"])
    credentials = Credentials(lambda: next(given))
    assert header(credentials) == "Bearer one"
    credentials.taken()
    assert header(credentials) == "Bearer one"
    assert credentials.refused() is Verdict.AGAIN
    assert header(credentials) == "Bearer two"
    credentials.taken()
    assert credentials.refused() is Verdict.AGAIN
    assert header(credentials) == "Bearer two"
    assert credentials.refused() is Verdict.LATER
    assert header(credentials) == "Bearer three"
    assert credentials.refused() is Verdict.FINAL


def test_a_token_that_is_text_is_not_renewed() -> None:
    """Nor is there a header without one, unless the URL has a user."""
    assert Credentials("one").refused() is Verdict.FINAL
    assert header(Credentials(None)) is None
    assert header(Credentials(None, "Basic x")) == "Basic x"
