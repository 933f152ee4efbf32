"""Polls of patterns: the changes of every channel that they name and the token reads, with one cursor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.intervals import Intervals
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.retention import RETENTION_SECONDS
from tests.support.live import LiveHub, live_hub
from tests.support.losing_broker import losing_broker
from tests.support.publishing import publish, publish_all
from tests.support.sse_client import open_stream, outline
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


def ask(hub: LiveHub, query: str = "match=jobs/**", status: int = 200, **options: Any) -> Any:
    """The answer to a poll of this query."""
    answer = httpx.get(f"{hub.base_url}/api/changes?{query}", timeout=40, **options)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def contents(answer: Any) -> list[str]:
    """The contents of the events, in order."""
    return [event["data"]["content_id"] for event in answer["events"]]


def test_polls_tell_what_the_stream_tells(hub: LiveHub) -> None:
    """The whole state first, then what has changed since the cursor, of channels that are born meanwhile, too."""
    publish(hub, "a", "generating", channel="jobs/1")
    publish(hub, "x", "generating", channel="films")
    last = publish(hub, "b", "generating", channel="jobs/deep/2")
    first = ask(hub)
    assert (first["cursor"], first["reset"], contents(first)) == (last, False, ["a", "b"])
    born = publish(hub, "c", "generating", channel="jobs/3")
    publish(hub, "y", "complete", channel="films")
    done = publish(hub, "a", "complete", channel="jobs/1")
    second = ask(hub, f"match=jobs/**&since={last}")
    assert [event["id"] for event in second["events"]] == [born, done]
    assert [event["data"]["channel_id"] for event in second["events"]] == ["jobs/3", "jobs/1"]
    assert second["cursor"] == done
    with open_stream(hub.base_url, f"/api/events?match=jobs/**&since={last}") as client:
        assert outline(client.until("ready")) == [(it["type"], it["data"]["content_id"]) for it in second["events"]] + [
            ("ready", "")
        ]
    unchanged = httpx.get(f"{hub.base_url}/api/changes?match=jobs/**", headers={"If-None-Match": f'"{done}"'})
    assert unchanged.status_code == 304


def test_a_poll_waits_for_a_birth(hub: LiveHub) -> None:
    """A long poll ends with the first event of a channel that comes into being; events of others do not end it."""
    since = publish(hub, "x", "generating", channel="films")
    found: list[Any] = []
    poll = threading.Thread(target=lambda: found.append(ask(hub, f"match=jobs/**&channel=books&wait=25&since={since}")))
    poll.start()
    eventually(lambda: len(hub.hub.viewers) == 1)
    publish(hub, "y", "complete", channel="films")
    cursor = publish(hub, "a", "generating", channel="jobs/1")
    poll.join()
    assert (found[0]["cursor"], contents(found[0])) == (cursor, ["a"])
    publish(hub, "b", "complete", channel="books")
    assert contents(ask(hub, f"match=jobs/**&channel=books&since={cursor}")) == ["b"]
    assert ask(hub, f"match=none/*&since={cursor}&wait=0.1")["events"] == []


def test_void_cursors_are_reset(hub: LiveHub) -> None:
    """One of another epoch, and one ahead of the clock, get the whole state."""
    here = Cursor.parse(publish(hub, "a", "generating", channel="jobs/1"))
    for void in ("1-1", f"{here.epoch}-{here.offset + 10}"):
        answer = ask(hub, f"match=jobs/**&since={void}")
        assert (answer["reset"], contents(answer), answer["cursor"]) == (True, ["a"], str(here))


def test_much_is_answered_whole(hub: LiveHub) -> None:
    """What is taken in several steps is in one answer, in the order of the clock, each content once."""
    events = [
        {"channel": f"jobs/{n % 40}", "content_id": f"c{n}", "data": {"status": "generating", "note": "x" * 500}}
        for n in range(2_000)
    ]
    cursors = [cursor for n in range(0, 2_000, 500) for cursor in publish_all(hub, events[n : n + 500])]
    answer = ask(hub)
    assert [event["id"] for event in answer["events"]] == cursors
    assert answer["cursor"] == cursors[-1]


def test_a_token_is_told_only_what_it_reads() -> None:
    """`**` is what its patterns read; a channel that it may not read is refused."""
    with live_hub(secret=SECRET) as hub:
        events = [
            {"channel": channel, "content_id": channel, "data": {"status": "generating"}} for channel in ("a/1", "b/1")
        ]
        publish_all(hub, events, headers=bearer())
        mine = bearer(read=["b/*"])
        assert contents(ask(hub, "match=**", headers=mine)) == ["b/1"]
        assert contents(ask(hub, "match=**", headers=bearer(tenant="rival"))) == []
        ask(hub, "match=**&channel=a/1", 403, headers=mine)
        ask(hub, "match=**", 401)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "channel"),
        ("channel=films", "match"),
        ("match=a***", "match[0]"),
        ("match=jobs/*&channel=a*", "channel"),
        ("match=jobs/*&wait=26", "wait"),
        ("match=jobs/*&since=x", "since"),
    ],
)
def test_a_bad_query_is_named(hub: LiveHub, query: str, field: str) -> None:
    """The field at fault, as of streams and of polls of a channel."""
    assert ask(hub, query, 422)["error"]["field"] == field


def test_limits_are_those_of_streams() -> None:
    """More channels than a stream may follow are refused, with a cursor, too; so are those over a subject's limit."""
    with live_hub(secret=SECRET, max_channels_match=3, max_channels_sub=2) as hub:
        events = [{"channel": f"jobs/{n}", "content_id": f"c{n}", "data": {"status": "generating"}} for n in range(4)]
        [*_, last] = publish_all(hub, events, headers=bearer())
        for query in ("match=jobs/**", f"match=jobs/**&since={last}"):
            error = ask(hub, query, 422, headers=bearer())["error"]
            assert (error["code"], error["field"]) == ("match_limit", "match")
        full = bearer(sub="eve")
        assert ask(hub, "match=jobs/0&match=jobs/1&match=jobs/2", 429, headers=full)["error"]["code"]
        assert contents(ask(hub, "match=jobs/0&match=jobs/1", headers=full)) == ["c0", "c1"]


def test_lost_announcements_are_waited_for() -> None:
    """A poll that comes while a lost birth is read is answered with it, not without."""
    broker = losing_broker(lambda event: event.content_id != "lost")
    with live_hub(broker) as hub:
        since = ask(hub)["cursor"]
        publish(hub, "lost", "generating", channel="jobs/lost")
        last = publish(hub, "seen", "complete", channel="films")
        answer = ask(hub, f"match=jobs/**&since={since}")
        assert (contents(answer), answer["cursor"]) == (["lost"], last)


def test_removals_are_told_and_forgotten_ones_reset() -> None:
    """A cursor from before a removal gets `content_removed`; once that is forgotten, the state anew."""
    broker = open_broker("memory:")
    with live_hub(broker, intervals=Intervals(sweep=3600.0, idle=0.01, directory=0.05)) as hub:
        since = publish(hub, "gone", "complete", channel="jobs/1")
        now = 4e9
        hub.run(broker.expire(now))
        answer = ask(hub, f"match=jobs/**&since={since}")
        assert [(event["type"], event["data"]["content_id"]) for event in answer["events"]] == [
            ("content_removed", "gone")
        ]
        hub.run(broker.expire(now + RETENTION_SECONDS))
        eventually(lambda: not hub.hub.registry.directories())
        assert ask(hub, f"match=jobs/**&since={since}")["reset"]
