"""The list of channels over HTTP: its orders and pages, what a token sees of it, and its entity tags."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from statushub.hub.brokers.contract import TOMBSTONE_SECONDS
from statushub.hub.brokers.sqlite.broker import EmbeddedBroker
from statushub.hub.model.cursor import Cursor, epoch_at
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.replicas.index import INDEX_CHANNELS
from tests.support.live import LiveHub, live_hub
from tests.support.publications import update
from tests.support.publishing import publish, publish_all
from tests.support.redis_server import RedisServer
from tests.support.tokens import SECRET, bearer

CHANNELS = "/api/channels"
NAMES = ["films", "jobs", "jobs/a", "jobs/a/1", "jobs/b", "jobs/ä", "zoo"]
"""By name."""


@pytest.fixture
def hub() -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


@pytest.fixture
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.base_url) as client:
        yield client


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    """A hub that requires tokens, with a content in each of the channels of the tenant."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        fill(hub, NAMES, headers=bearer())
        yield client


def fill(hub: LiveHub, names: list[str], **more: Any) -> list[str]:
    """A content in each of these channels; returns their cursors."""
    events = [{"channel": name, "content_id": f"in {name}", "data": {"status": "generating"}} for name in names]
    return publish_all(hub, events, **more)


def names(answer: httpx.Response) -> list[str]:
    return [channel["channel"] for channel in answer.raise_for_status().json()["channels"]]


def decoded(place: str) -> bytes:
    """What anyone can read of a `next`."""
    return urlsafe_b64decode(place[1:] + "=" * (-len(place[1:]) % 4))


def walk(client: httpx.Client, headers: dict[str, str] | None = None, **params: Any) -> list[str]:
    """The names of all pages, which are followed by `next`, and whose links lead to the same."""
    found: list[str] = []
    address, asked = httpx.URL(CHANNELS), dict(params)
    while True:
        answer = client.get(CHANNELS, params=asked, headers=headers)
        assert client.get(address, headers=headers).content == answer.content or not found
        found += names(answer)
        after = answer.json()["next"]
        assert (after is not None) == ("next" in answer.links)
        if after is None:
            return found
        asked["after"], address = after, answer.url.join(answer.links["next"]["url"])


def test_a_channel_is_listed_with_its_contents_by_phase(hub: LiveHub, client: httpx.Client) -> None:
    """Pending and processing contents are told apart, and the time and the cursor are those of its latest event."""
    for content_id, status in enumerate(("pending", "pending", "generating", "complete", "error", "idle")):
        publish(hub, str(content_id), status, channel="ch")
    before = time.time()
    cursor = publish(hub, "0", "complete", channel="ch")
    [channel] = client.get(CHANNELS).raise_for_status().json()["channels"]
    updated = channel.pop("updated_at")
    assert [*channel.items()] == [
        ("channel", "ch"),
        ("pending", 1),
        ("processing", 1),
        ("completed", 2),
        ("failed", 1),
        ("idle", 1),
        ("cursor", cursor),
    ]
    assert updated.endswith("Z")
    assert before - 0.002 <= datetime.fromisoformat(updated).timestamp() <= time.time()
    summary = client.get("/api/contents/ch/status").json()
    assert (summary["total_processing"], summary["has_processing"]) == (2, True)


def test_an_empty_tenant_has_no_channels(client: httpx.Client) -> None:
    """The answer is a whole one."""
    assert client.get(CHANNELS).json() == {"channels": [], "next": None}
    assert client.get(CHANNELS, params={"prefix": "a"}).json() == {"channels": [], "next": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_and_their_links_list_every_channel_once(hub: LiveHub, client: httpx.Client, limit: int) -> None:
    """The latest first; with a prefix by name."""
    fill(hub, [*NAMES, "films"])
    assert walk(client, limit=limit) == ["films", *NAMES[:0:-1]]
    assert walk(client, limit=limit, prefix="jobs/") == ["jobs/a", "jobs/a/1", "jobs/b", "jobs/ä"]
    assert walk(client, limit=limit, prefix="jobs/ä") == ["jobs/ä"]
    assert walk(client, limit=limit, prefix="") == ["films", *NAMES[:0:-1]]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"limit": "9" * 9000}, None),
        ({"after": "x"}, "after"),
        ({"after": "nZmlsbXM"}, "after"),
        ({"after": "xZmlsbXM"}, "after"),
        ({"after": "xa"}, "after"),
        ({"after": "xä"}, "after"),
        ({"after": "o5", "prefix": "a"}, "after"),
        ({"prefix": "/a"}, "prefix"),
        ({"prefix": " a"}, "prefix"),
        ({"prefix": "a*"}, "prefix"),
        ({"prefix": "a\n"}, "prefix"),
        ({"prefix": "a" * 129}, "prefix"),
        ({"prefix": ["a", "b"]}, "prefix"),
    ],
)
def test_a_wrong_parameter_is_named(client: httpx.Client, params: dict[str, Any], field: str | None) -> None:
    """The answer is 422 and names the parameter; a query that is too long is 413."""
    answer = client.get(CHANNELS, params=params)
    assert answer.status_code == (422 if field else 413), answer.text
    assert answer.json()["error"]["field"] == (field or "query")


def test_a_prefix_may_end_in_a_slash_or_a_space(hub: LiveHub, client: httpx.Client) -> None:
    """It is the beginning of a name, and need not be one."""
    fill(hub, ["a b", "ab"])
    assert names(client.get(CHANNELS, params={"prefix": "a "})) == ["a b"]


@pytest.mark.parametrize(
    ("read", "seen"),
    [
        (["**"], [*reversed(NAMES)]),
        (["jobs/**", "**"], [*reversed(NAMES)]),
        ([], []),
        (["unknown"], []),
        (["zoo", "films"], ["films", "zoo"]),
        (["jobs"], ["jobs"]),
        (["jobs/*"], ["jobs/a", "jobs/b", "jobs/ä"]),
        (["jobs/**"], ["jobs/a", "jobs/a/1", "jobs/b", "jobs/ä"]),
        (["jobs/**", "jobs/a", "jobs*"], ["jobs", "jobs/a", "jobs/a/1", "jobs/b", "jobs/ä"]),
        (["**/a"], ["jobs/a"]),
        (["*"], ["films", "jobs", "zoo"]),
        (["z*", "*ms", "jobs/a/1"], ["films", "jobs/a/1", "zoo"]),
        (["job", "jobs/a/*"], ["jobs/a/1"]),
        (["job", "jobs"], ["jobs"]),
        (["f*", "jobs/*"], ["films", "jobs/a", "jobs/b", "jobs/ä"]),
    ],
)
def test_only_channels_that_the_token_reads_are_listed(guarded: httpx.Client, read: list[str], seen: list[str]) -> None:
    """All of them, once each, by name where it does not read all; whatever the size of a page."""
    for limit in (1, 2, 1000):
        assert walk(guarded, bearer(read=read), limit=limit) == seen
    below = sorted(name for name in seen if name.startswith("jobs/"))
    assert walk(guarded, bearer(read=read), prefix="jobs/", limit=1) == below


def test_a_ticket_lists_what_it_reads(guarded: httpx.Client) -> None:
    """A part of what its bearer reads."""
    for read, asked, seen in (
        (["**"], ["jobs/a*", "zoo"], ["jobs/a", "zoo"]),
        (["jobs/*", "zoo"], ["jobs/**"], ["jobs/a", "jobs/b", "jobs/ä"]),
        (["jobs/**"], ["jobs/a/**"], ["jobs/a/1"]),
    ):
        ticket = guarded.post("/api/tickets", headers=bearer(read=read), json={"read": asked}).json()["ticket"]
        assert names(guarded.get(CHANNELS, params={"ticket": ticket})) == seen
        first = guarded.get(CHANNELS, params={"ticket": ticket, "limit": 1})
        assert ticket not in first.headers.get("Link", "")


def test_tenants_list_their_own_channels(guarded: httpx.Client) -> None:
    """Another tenant has none."""
    assert names(guarded.get(CHANNELS, headers=bearer(tenant="other"))) == []


def test_events_of_other_channels_do_not_show() -> None:
    """An answer, its tag included, is the same whatever happens in channels that the token does not read."""
    with live_hub(secret=SECRET) as guarded, httpx.Client(base_url=guarded.base_url) as client:
        fill(guarded, ["jobs/a", "zoo"], headers=bearer())
        mine = bearer(read=["jobs/*"])
        before = client.get(CHANNELS, headers=mine)
        fill(guarded, ["zoo", "new"], headers=bearer())
        after = client.get(CHANNELS, headers=mine)
        assert (after.content, after.headers["ETag"]) == (before.content, before.headers["ETag"])


def test_a_list_that_has_not_changed_is_304(hub: LiveHub, client: httpx.Client) -> None:
    """Until a channel has an event, or vanishes; each page and each prefix has its own tag."""
    fill(hub, NAMES)
    answer = client.get(CHANNELS, params={"limit": 3})
    tag = answer.headers["ETag"]
    assert answer.headers["Cache-Control"] == "no-cache"
    same = client.get(CHANNELS, params={"limit": 3}, headers={"If-None-Match": f'W/{tag[:-1]}-gzip"'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert client.get(CHANNELS, headers={"If-None-Match": tag}).status_code == 200
    fill(hub, ["new"])
    changed = client.get(CHANNELS, params={"limit": 3}, headers={"If-None-Match": tag})
    assert (changed.status_code, names(changed)[0]) == (200, "new")


def test_a_channel_that_vanishes_changes_the_tag() -> None:
    """Although the latest event is the same, and the clock too."""
    with live_hub("memory:", retention=60.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        hub.run(hub.hub.broker.publish(DEFAULT_TENANT, [update("a", channel="gone")], retention=1.0))
        hub.run(hub.hub.broker.expire(time.time() + 5))
        publish(hub, "b", "generating", channel="kept")
        hub.run(hub.hub.broker.publish(DEFAULT_TENANT, [update("b", channel="kept")], retention=9 * TOMBSTONE_SECONDS))
        before = client.get(CHANNELS)
        assert [(it["channel"], it["processing"]) for it in before.json()["channels"]] == [("kept", 1), ("gone", 0)]
        hub.run(hub.hub.broker.expire(time.time() + 2 * TOMBSTONE_SECONDS))
        after = client.get(CHANNELS, headers={"If-None-Match": before.headers["ETag"]})
        assert (after.status_code, names(after)) == (200, ["kept"])
        assert after.headers["ETag"].partition(".")[0] == before.headers["ETag"].partition(".")[0]


def test_head_has_the_headers(hub: LiveHub, client: httpx.Client) -> None:
    """Those of GET, and no body."""
    fill(hub, NAMES)
    whole, head = client.get(CHANNELS, params={"limit": 2}), client.head(CHANNELS, params={"limit": 2})
    assert (head.status_code, head.content) == (200, b"")
    for name in ("ETag", "Link", "Content-Length", "Content-Type"):
        assert head.headers[name] == whole.headers[name]


def test_a_reader_is_limited_by_what_is_looked_at() -> None:
    """Channels that the token does not read count too, since looking at them is what it costs."""
    with live_hub(secret=SECRET, read_rate=1.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        fill(hub, [f"c{n}" for n in range(50)], headers=bearer())
        for number, read in enumerate((["**"], ["**/none"])):
            mine = bearer(read=read, sub=f"reader-{number}")
            assert client.get(CHANNELS, headers=mine).status_code == 200
            refused = client.get(CHANNELS, headers=mine)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
            assert 40 <= int(refused.headers["Retry-After"]) <= 50


def test_the_work_for_one_answer_is_bounded() -> None:
    """Where a token reads few of many channels, a page may be short; `next` leads on to all of them, and tells no name
    that the token does not read."""
    count = INDEX_CHANNELS + 500
    few = (50, count - 2, count - 1)
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        events = [update(f"c{n}", channel=f"c{n:05}/{'x' if n in few else 'y'}") for n in range(count)]
        hub.run(hub.hub.broker.publish("acme", events))
        mine = bearer(read=["**/x"])
        answer = client.get(CHANNELS, headers=mine)
        assert names(answer) == ["c00050/x"]
        following = answer.json()["next"]
        assert b"/y" not in decoded(following)
        assert client.get(CHANNELS, headers=mine).headers["ETag"] == answer.headers["ETag"]
        assert walk(client, mine) == [f"c{n:05}/x" for n in few]
        assert decoded(client.get(CHANNELS, headers=mine, params={"limit": 1}).json()["next"]) == b"c00050/x"
        stranger = client.get(CHANNELS, headers=bearer(tenant="other", read=["a/*"]), params={"after": following})
        assert (stranger.status_code, stranger.json()["error"]["field"]) == (422, "after")


def test_a_token_with_many_names_has_them_on_one_page() -> None:
    """As many as a token can list."""
    listed = [f"c{n}" for n in range(64)]
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        fill(hub, [*listed, *(f"{name}/more" for name in listed)], headers=bearer())
        answer = client.get(CHANNELS, headers=bearer(read=listed))
        assert (names(answer), answer.json()["next"]) == (sorted(listed), None)


def test_a_broker_that_is_away_is_503() -> None:
    """With the time after which to retry; for tokens that read all, some and nothing."""
    broker = EmbeddedBroker(None)
    with live_hub(broker, secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        fill(hub, NAMES, headers=bearer())
        hub.run(broker.__aexit__(None, None, None))
        for read in (["**"], ["jobs/*"], []):
            answer = client.get(CHANNELS, headers=bearer(read=read))
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "broker_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        hub.run(broker.__aenter__())


@pytest.mark.redis
def test_channels_are_listed_from_redis(redis_server: RedisServer) -> None:
    """In both orders and by patterns, with pages."""
    url = f"redis://127.0.0.1:{redis_server.port}/11"
    with live_hub(url, secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        fill(hub, NAMES, headers=bearer(tenant="listing"))
        for read, seen in ((["**"], [*reversed(NAMES)]), (["jobs/*", "zoo"], ["jobs/a", "jobs/b", "jobs/ä", "zoo"])):
            assert walk(client, bearer(tenant="listing", read=read), limit=2) == seen


def test_a_list_of_a_later_epoch_is_waited_for(hub: LiveHub, client: httpx.Client) -> None:
    """A client that holds one gets 503 with `Retry-After`, and an answer where that epoch was never issued."""
    fill(hub, ["a"])
    soon, late = (epoch_at(round((time.time() + ahead) * 1e6)) for ahead in (60, 2 * 3600))
    for prefix in ("", "a"):
        for epoch, status in ((soon, 503), (late, 200)):
            held = {"If-None-Match": f'"{Cursor(epoch=epoch, offset=5)}.0123456789abcdef"'}
            answer = client.get(CHANNELS, params={"prefix": prefix}, headers=held)
            assert answer.status_code == status
            assert ("Retry-After" in answer.headers) == (status == 503)
