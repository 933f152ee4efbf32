"""The routes of feeds, over both stores: what a page asks, and what a user and a producer write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.record import TeamDatabase, contents_table, row
from tests.support.redis_server import RedisServer
from tests.support.tokens import SECRET, bearer

ZEROS = {"view_count": 0, "like_count": 0, "comment_count": 0, "remix_count": 0, "glitch_count": 0}


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def hub(request: pytest.FixtureRequest) -> Iterator[LiveHub]:
    """A hub with empty feeds, which requires tokens."""
    url = "memory:"
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        url = server.url
    with live_hub(url, secret=SECRET, feed=True, feed_tenant="acme", feed_channel="videos") as hub:
        yield hub


@pytest.fixture
def anonymous(hub: LiveHub) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=hub.base_url, timeout=30) as client:
        yield client


@pytest.fixture
def ann(hub: LiveHub) -> Iterator[httpx.Client]:
    """A user, whose token reads nothing by patterns."""
    headers = bearer(sub="ann", read=[], write=[])
    with httpx.Client(base_url=hub.base_url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def producer(hub: LiveHub) -> Iterator[httpx.Client]:
    """A producer of feeds."""
    headers = bearer(sub="backend", read=[], write=["feed/**"])
    with httpx.Client(base_url=hub.base_url, headers=headers, timeout=30) as client:
        yield client


def write(client: httpx.Client, *writes: dict[str, Any]) -> list[Any]:
    """The reasons why these writes changed nothing, None where they did."""
    answer = client.post("/v1/feed/writes", json={"writes": writes})
    assert answer.status_code == 200, answer.text
    return [result["reason"] for result in answer.json()["results"]]


def test_likes_and_follows_are_the_users_own(anonymous: httpx.Client, ann: httpx.Client, hub: LiveHub) -> None:
    """A like moves the set and the count together, a repeated one counts once; another user has sets of their own."""
    for _ in range(2):
        answer = ann.put("/v1/likes/v1")
        assert answer.status_code == 200
    assert answer.json() == {"video_id": "v1", "liked": True, "changed": False}
    assert ann.put("/v1/follows/auth0%7Cbob").json() == {"user_id": "auth0|bob", "following": True, "changed": True}
    liked = ann.post("/v1/likes/check-batch", json={"video_ids": ["v1", "v2"]})
    assert liked.json() == {"liked_videos": {"v1": True, "v2": False}}
    follows = ann.post("/v1/follows/check-batch", json={"user_ids": ["auth0|bob", "eve"]})
    assert follows.json() == {"following_users": {"auth0|bob": True, "eve": False}}
    bob = bearer(sub="bob", read=[])
    others = anonymous.post("/v1/likes/check-batch", json={"video_ids": ["v1"]}, headers=bob)
    assert others.json() == {"liked_videos": {"v1": False}}
    counts = anonymous.post("/v1/videos/batch-metadata", json={"video_ids": ["v1", "never"]})
    assert counts.json() == {"videos": {"v1": ZEROS | {"like_count": 1}, "never": ZEROS}}
    assert ann.delete("/v1/likes/v1").json()["changed"]
    assert ann.delete("/v1/follows/auth0%7Cbob").json()["changed"]
    assert anonymous.post("/v1/videos/batch-metadata", json={"video_ids": ["v1"]}).json() == {"videos": {"v1": ZEROS}}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/likes/check-batch"),
        ("POST", "/v1/follows/check-batch"),
        ("GET", "/v1/notifications/"),
        ("GET", "/v1/notifications/unread-count"),
        ("POST", "/v1/notifications/batch-mark-read"),
        ("POST", "/v1/notifications/mark-all-read"),
        ("PUT", "/v1/likes/v1"),
        ("DELETE", "/v1/follows/bob"),
        ("POST", "/v1/feed/writes"),
    ],
)
def test_what_is_a_users_needs_a_token(anonymous: httpx.Client, method: str, path: str) -> None:
    """Without a token the answer is 401; a token without a `sub` has no user."""
    assert anonymous.request(method, path, json={}).status_code == 401
    if path != "/v1/feed/writes":
        answer = anonymous.request(method, path, json={}, headers=bearer())
        assert (answer.status_code, answer.json()["error"]["field"]) == (403, "sub")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/likes/check-batch", "video_ids"),
        ("/v1/follows/check-batch", "user_ids"),
        ("/v1/videos/batch-metadata", "video_ids"),
        ("/v1/notifications/batch-mark-read", "notification_ids"),
    ],
)
def test_more_than_100_ids_are_refused(ann: httpx.Client, path: str, field: str) -> None:
    """A batch has at most 100; each id is one to be printed."""
    assert ann.post(path, json={field: [f"i{n}" for n in range(100)]}).status_code == 200
    for ids in ([f"i{n}" for n in range(101)], [""], ["a\n"], [1], None):
        answer = ann.post(path, json={field: ids})
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["field"].startswith(field)


def test_notifications_come_by_pages(ann: httpx.Client, producer: httpx.Client) -> None:
    """The newest first, by category, with an opaque cursor; what was read is counted once."""
    notes = [
        {"op": "notify", "id": f"n{n}", "user_id": "ann", "category": "job" if n % 2 else "like", "data": {"n": n}}
        for n in range(5)
    ]
    assert write(producer, *notes, {"op": "notify", "id": "b1", "user_id": "bob", "category": "job"}) == [None] * 6
    assert write(producer, notes[0]) == ["repeat"]
    first = ann.get("/v1/notifications/?cursor=&limit=2").json()
    assert [(it["id"], it["category"], it["read"], it["n"]) for it in first["notifications"]] == [
        ("n4", "like", False, 4),
        ("n3", "job", False, 3),
    ]
    assert first["has_more"]
    second = ann.get("/v1/notifications", params={"cursor": first["next_cursor"], "limit": 3}).json()
    assert [it["id"] for it in second["notifications"]] == ["n2", "n1", "n0"]
    assert (second["next_cursor"], second["has_more"]) == (None, False)
    jobs = ann.get("/v1/notifications/", params={"category": "job"}).json()
    assert [it["id"] for it in jobs["notifications"]] == ["n3", "n1"]
    assert ann.get("/v1/notifications/unread-count").json() == {"unread_count": 5}
    marked = ann.post("/v1/notifications/batch-mark-read", json={"notification_ids": ["n1", "n2", "n1", "b1", "no"]})
    assert marked.json() == {"marked_count": 2, "success": True}
    again = ann.post("/v1/notifications/batch-mark-read", json={"notification_ids": ["n1"]})
    assert again.json() == {"marked_count": 0, "success": True}
    assert ann.post("/v1/notifications/mark-all-read").json() == {"marked_count": 3, "success": True}
    assert ann.get("/v1/notifications/unread-count").json() == {"unread_count": 0}
    assert all(it["read"] for it in ann.get("/v1/notifications/").json()["notifications"])


@pytest.mark.parametrize("cursor", ["x", "bjE", "W10", "WyJ0IiwxLCJhIl0", "\u00fc", "A" * 3000])
def test_a_foreign_cursor_is_refused(ann: httpx.Client, cursor: str) -> None:
    """A cursor of another list, or of none, names its field."""
    for path in ("/v1/notifications/", "/v1/videos/"):
        answer = ann.get(path, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "cursor")


def test_a_producer_writes_what_its_token_allows(anonymous: httpx.Client, producer: httpx.Client) -> None:
    """A batch is stored whole, and only with the right to write `feed/**`; counters never go below zero."""
    batch: list[dict[str, Any]] = [
        {"op": "count", "video_id": "v1", "views": 5, "comments": 1},
        {"op": "count", "video_id": "v1", "views": -9, "remixes": 2, "id": "w1"},
        {"op": "count", "video_id": "v1", "views": 1, "id": "w1"},
        {"op": "like", "user_id": "eve", "video_id": "v1"},
        {"op": "delete", "video_id": "v2"},
        {"op": "like", "user_id": "eve", "video_id": "v2"},
    ]
    assert write(producer, *batch) == [None, None, "repeat", None, None, "deleted"]
    counts = anonymous.post("/v1/videos/batch-metadata", json={"video_ids": ["v1", "v2"]}).json()
    assert counts == {"videos": {"v1": ZEROS | {"like_count": 1, "comment_count": 1, "remix_count": 2}}}
    for rights in (["**"], ["feed/*"], ["feed/videos"]):
        answer = anonymous.post("/v1/feed/writes", json={"writes": batch[:1]}, headers=bearer(write=rights))
        assert answer.status_code == 200
    refused = anonymous.post("/v1/feed/writes", json={"writes": batch}, headers=bearer(write=["videos/**"]))
    assert refused.status_code == 403
    broken = producer.post("/v1/feed/writes", json={"writes": [batch[0], batch[0] | {"op": "notify"}]})
    assert broken.status_code == 422
    assert (
        anonymous.post("/v1/videos/batch-metadata", json={"video_ids": ["v1"]}).json()["videos"]["v1"]["view_count"]
        == 15
    )


def test_views_are_counted_and_limited(hub: LiveHub, anonymous: httpx.Client, producer: httpx.Client) -> None:
    """Each client that may see a video counts as a view of it, at a rate; a deleted one has none."""
    assert anonymous.post("/v1/videos/v1/view").json() == {"video_id": "v1", "counted": True}
    counts = anonymous.post("/v1/videos/batch-metadata", json={"video_ids": ["v1"]}).json()
    assert counts["videos"]["v1"]["view_count"] == 1
    with live_hub(secret=SECRET, feed=True, feed_rate=0.1) as slow:
        answers = [httpx.post(f"{slow.base_url}/v1/videos/v1/view", timeout=30) for _ in range(4)]
        late = [answer for answer in answers if answer.status_code == 429]
        assert late
        assert int(late[0].headers["Retry-After"]) >= 1
    write(producer, {"op": "delete", "video_id": "v9"})
    assert anonymous.post("/v1/videos/v9/view", headers=bearer(sub="zoe")).status_code == 404


def test_a_page_of_published_videos(hub: LiveHub, anonymous: httpx.Client, producer: httpx.Client) -> None:
    """Those that are complete, the latest first or by their counters; no field that is not the public's."""
    events = [
        {
            "channel": "videos",
            "content_id": f"v{n}",
            "data": {"status": "completed" if n != 3 else "idle", "provider_id": n % 2, "title": f"T{n}", "secret": 1},
        }
        for n in range(6)
    ]
    publish_all(hub, events, headers=bearer())
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = anonymous.get("/v1/videos/", params={"cursor": cursor, "limit": 2}).json()
        assert page["has_more"] == (page["next_cursor"] is not None)
        found += page["videos"]
        cursor = page["next_cursor"]
    assert [it["id"] for it in found] == ["v5", "v4", "v2", "v1", "v0"]
    assert found[0] == {"id": "v5", "user": {"id": "1"}, "title": "T5"}
    counts = [{"op": "count", "video_id": f"v{n}", "views": views} for n, views in ((1, 5), (4, 9), (3, 99), (77, 50))]
    write(producer, *counts)
    first = anonymous.get("/v1/videos", params={"sort": "trending", "limit": 3}).json()
    assert [it["id"] for it in first["videos"]] == ["v4"]
    rest = anonymous.get("/v1/videos", params={"sort": "trending", "cursor": first["next_cursor"]}).json()
    assert ([it["id"] for it in rest["videos"]], rest["has_more"]) == (["v1"], False)
    assert anonymous.get("/v1/videos", params={"sort": "best"}).status_code == 422


def test_tickets_read_and_do_not_write(hub: LiveHub, ann: httpx.Client, anonymous: httpx.Client) -> None:
    """A ticket asks what its bearer may ask, and changes nothing."""
    ticket = ann.post("/api/tickets").json()["ticket"]
    asked = anonymous.post("/v1/likes/check-batch", params={"ticket": ticket}, json={"video_ids": ["v"]})
    assert asked.json() == {"liked_videos": {"v": False}}
    for method, path in (("PUT", "/v1/likes/v"), ("POST", "/v1/notifications/mark-all-read")):
        assert anonymous.request(method, path, params={"ticket": ticket}).status_code == 403


def test_a_private_feed_needs_a_token() -> None:
    """A setting closes what is public."""
    with live_hub(secret=SECRET, feed=True, feed_private=True) as hub, httpx.Client(base_url=hub.base_url) as client:
        assert client.get("/v1/videos/").status_code == 401
        assert client.post("/v1/videos/batch-metadata", json={"video_ids": []}).status_code == 401
        assert client.get("/v1/videos/", headers=bearer(tenant="default")).status_code == 200


def test_without_a_key_everybody_is_anonymous() -> None:
    """All requests are of one user."""
    with live_hub(feed=True) as hub, httpx.Client(base_url=hub.base_url) as client:
        assert client.put("/v1/likes/v").json()["changed"]
        assert client.post("/v1/likes/check-batch", json={"video_ids": ["v"]}).json() == {"liked_videos": {"v": True}}
        assert client.get("/v1/notifications/unread-count").json() == {"unread_count": 0}


def test_feeds_are_an_optional_part() -> None:
    """Where they are switched off, their routes are unknown, and channels of users are like any others."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url, headers=bearer(sub="ann")) as client:
        for method, path in (("GET", "/v1/videos/"), ("PUT", "/v1/likes/v"), ("POST", "/v1/feed/writes")):
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert client.get("/api/contents/users%2Fbob").status_code == 200


def test_a_page_of_the_system_of_record(tmp_path: Path) -> None:
    """Its complete rows of the feed's channel, by pages and by the counters, with the column that names the user."""
    file = tmp_path / "team.db"
    file.touch()
    database = TeamDatabase(f"sqlite+aiosqlite:///{file}")
    states = {3: "generating", 4: "error"}
    rows = [
        row(f"v{n}", "videos", age=n, status=states.get(n, "complete"), provider_id=f"u{n}", category=f"team{n % 2}")
        for n in range(7)
    ]
    database.create(contents_table(), [*rows, row("other", "notes", status="complete")])
    settings: dict[str, Any] = {"source": database.url, "feed": True, "feed_channel": "videos", "feed_user": "category"}
    with live_hub(**settings) as hub, httpx.Client(base_url=hub.base_url, timeout=30) as client:
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = client.get("/v1/videos/", params={"cursor": cursor, "limit": 3}).json()
            found += page["videos"]
            cursor = page["next_cursor"]
        assert [it["id"] for it in found] == ["v0", "v1", "v2", "v5", "v6"]
        assert found[1]["user"] == {"id": "team1"}
        assert "provider_id" not in found[1]
        write(client, *({"op": "count", "video_id": video, "views": 1} for video in ("v2", "v6", "v3", "other")))
        trending = client.get("/v1/videos/", params={"sort": "trending"}).json()
        assert [it["id"] for it in trending["videos"]] == ["v6", "v2"]
