"""`follow` and `follow_sync` against real hubs: what happens to other clients in tests/live/clients happens to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Unauthorized
from statushub.hub.model.vocabulary import Phase
from tests.live.clients.answers import CUTS
from tests.live.clients.running import TOKEN_FILE, Running
from tests.live.clients.scenarios import SCENARIOS, YES, Start
from tests.live.clients.stage import CHANNEL, EXPIRY, Stage, open_stage
from tests.support.following import KINDS, Following, following
from tests.support.live import live_hub
from tests.support.publishing import publish, publish_all
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A hub for one test."""
    with open_stage(tmp_path) as stage:
        yield stage


def starter(kind: str, stage: Stage, stack: ExitStack, made: list[Following]) -> Start:
    """Starts a follower that reads its token from a file, as the programs of the page do."""

    def start() -> Running:
        file = stage.client_folder() / TOKEN_FILE
        follower = stack.enter_context(following(kind, stage.base_url, channels=[CHANNEL], token=file.read_text))
        made.append(follower)
        return follower

    return start


@each_kind
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_follower_is_told_every_final_state(kind: str, scenario: str, stage: Stage) -> None:
    """Whatever happens to its connection, to the hub, or to its token; and nothing twice."""
    made: list[Following] = []
    with ExitStack() as stack:
        assert SCENARIOS[scenario](stage, starter(kind, stage, stack, made)) == YES
        assert len(made) == (CUTS if scenario == "cut in a frame" else 1)
        for follower in made:
            assert follower.error is None
            assert follower.heard.kinds.count("lost") <= 1 + follower.heard.kinds.count("back")


@each_kind
def test_a_change_is_told_as_it_was_published(kind: str) -> None:
    """First the whole state, then `ready`, then what is published; each with the cursor to store."""
    with live_hub() as hub:
        early = publish(hub, "early", "generating", progress=40)
        with following(kind, hub.base_url, channels="c") as told:
            ready = told.until("ready")
            late = publish(hub, "late", "error", error_message="disk full")
            failed = told.until("processing_error")
            first = told.changes[0]
    assert (first.type, first.channel, first.content_id) == ("content_status_update", "c", "early")
    assert (first.data["progress"], first.phase, str(first.cursor)) == (40, Phase.PROCESSING, early)
    assert (ready.content_id, ready.phase, str(ready.cursor)) == ("", None, early)
    assert (failed.content_id, failed.phase, str(failed.cursor)) == ("late", Phase.FAILED, late)
    assert failed.data["error_message"] == "disk full"


@each_kind
def test_a_follower_begins_after_a_cursor(kind: str) -> None:
    """As text or as the cursor of a change; an earlier state is not told."""
    with live_hub() as hub:
        cursor = publish(hub, "one", "complete")
        publish(hub, "two", "complete")
        for since in (cursor, Cursor.parse(cursor)):
            with following(kind, hub.base_url, channels=["c"], since=since) as told:
                told.until("ready")
                assert told.contents == ["two"]


@each_kind
def test_a_void_cursor_is_a_reset(kind: str) -> None:
    """The whole state follows."""
    with live_hub() as hub:
        publish(hub, "one", "complete")
        with following(kind, hub.base_url, channels=["c"], since="a-7") as told:
            told.until("ready")
            assert told.told == [("reset", ""), ("processing_complete", "one"), ("ready", "")]
            assert told.changes[0].cursor is None


@each_kind
def test_many_channels_share_a_stream(kind: str) -> None:
    """As many as the hub allows; each change names its own."""
    channels = [f"jobs/{number}" for number in range(64)]
    with live_hub() as hub:
        events = [{"channel": name, "content_id": f"of {name}", "data": {"status": "complete"}} for name in channels]
        publish_all(hub, events)
        with following(kind, hub.base_url, channels=channels) as told:
            told.until("ready")
            assert [(change.channel, change.content_id) for change in told.changes if change.content_id] == [
                (name, f"of {name}") for name in channels
            ]
            assert len(hub.hub.viewers) == 1


@each_kind
def test_a_removal_is_told(kind: str) -> None:
    """When the retention of a content ends."""
    with live_hub(retention=1) as hub:
        publish(hub, "brief", "complete")
        with following(kind, hub.base_url, channels=["c"]) as told:
            removal = told.until("content_removed")
    assert (removal.removed, removal.content_id, removal.channel, removal.phase) == (True, "brief", "c", None)


@each_kind
@pytest.mark.parametrize(
    ("options", "kind_of_error", "code", "field"),
    [
        ({"channels": ["c"]}, "Unauthorized", "unauthorized", None),
        ({"channels": ["c"], "token": "wrong"}, "Unauthorized", "unauthorized", None),
        ({"channels": ["c"], "token": lambda: "wrong"}, "Unauthorized", "unauthorized", None),
        ({"channels": ["other"], "token": token(SECRET, read=["c"])}, "Forbidden", "forbidden", "channel_id"),
    ],
    ids=["none", "wrong", "fresh and wrong", "forbidden"],
)
def test_a_refusal_is_raised(
    kind: str, options: dict[str, Any], kind_of_error: str, code: str, field: str | None
) -> None:
    """With the hub's code and message, and without a warning of an outage."""
    with live_hub(secret=SECRET) as hub, following(kind, hub.base_url, **options) as told:
        error = told.raised()
        assert (type(error).__name__, getattr(error, "code", ""), getattr(error, "field", "")) == (
            kind_of_error,
            code,
            field,
        )
        assert str(error).startswith(f"{hub.base_url} answers 40")
        assert told.heard.said == []


@each_kind
def test_an_invalid_pattern_is_raised(kind: str) -> None:
    """The hub answers 422, which no repetition changes."""
    with live_hub() as hub, following(kind, hub.base_url, match="**/**/**/a") as told:
        assert getattr(told.raised(), "code", "") == "invalid"


@each_kind
def test_a_token_is_renewed_when_it_is_refused(kind: str) -> None:
    """The function is called for the first request, and when the token no longer serves, not before."""
    given = [token(jti="first"), token(jti="second")]
    calls: list[int] = []

    def fresh() -> str:
        calls.append(len(calls))
        return given[calls[-1]]

    async def awaited() -> str:
        return fresh()

    functions = {"blocking": fresh, "asyncio": awaited}
    with (
        live_hub(secret=SECRET, intervals=EXPIRY) as hub,
        following(kind, hub.base_url, channels=["c"], token=functions[kind]) as told,
    ):
        told.until("ready")
        assert len(calls) == 1
        httpx.post(f"{hub.base_url}/api/revoke", json={"jti": "first"}, headers=bearer(revoke=True))
        told.until("ready", count=2)
        publish_all(hub, [{"channel": "c", "content_id": "a", "data": {"status": "complete"}}], headers=bearer())
        told.until("processing_complete", "a")
        assert len(calls) == 2
        assert told.heard.kinds == ["paused", "back"]


@each_kind
def test_a_token_that_is_renewed_late_is_waited_for(kind: str) -> None:
    """One warning, and no error, while the function gives the token that was refused."""
    given = [token(jti="first")]
    calls: list[str] = []

    def fresh() -> str:
        calls.append(given[-1])
        return given[-1]

    with (
        live_hub(secret=SECRET, intervals=EXPIRY) as hub,
        following(kind, hub.base_url, channels=["c"], token=fresh) as told,
    ):
        told.until("ready")
        httpx.post(f"{hub.base_url}/api/revoke", json={"jti": "first"}, headers=bearer(revoke=True))
        eventually(lambda: len(calls) >= 4)
        given.append(token(jti="second"))
        told.until("ready", count=2)
        assert told.heard.kinds == ["paused", "lost", "back"]
        assert "answers 401" in told.heard.said[1][1]


@each_kind
@pytest.mark.parametrize(
    ("fails", "said"), [("by raising", "the function raises KeyError"), ("empty", "the function gives an empty one")]
)
def test_a_function_that_fails_is_an_outage_once_a_token_has_served(kind: str, fails: str, said: str) -> None:
    """Such as one whose file is being written. Before that it is a mistake of the program, and raised."""
    failing = [False]
    names = iter(("first", "second", "third"))

    def fresh() -> str:
        if not failing[0]:
            return token(jti=next(names))
        if fails == "empty":
            return "\n"
        raise KeyError("secret")

    with live_hub(secret=SECRET, intervals=EXPIRY) as hub:
        with following(kind, hub.base_url, channels=["c"], token=fresh) as told:
            told.until("ready")
            failing[0] = True
            httpx.post(f"{hub.base_url}/api/revoke", json={"jti": "first"}, headers=bearer(revoke=True))
            eventually(lambda: "lost" in told.heard.kinds)
            assert told.heard.said[-1] == ("lost", f"no fresh token: {said}")
            failing[0] = False
            told.until("ready", count=2)
        failing[0] = True
        with following(kind, hub.base_url, channels=["c"], token=fresh) as told:
            assert isinstance(told.raised(), Unauthorized if fails == "empty" else KeyError)
