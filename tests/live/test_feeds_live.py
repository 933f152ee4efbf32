"""What is written into feeds is announced: counters to those that show a video, news to the user's own tabs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from statushub.hub.feeds.contract import STATS_MS
from statushub.hub.model.feed_names import user_channel
from tests.support.frames import Frame
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.redis_server import RedisServer
from tests.support.socket_client import open_socket
from tests.support.sse_client import StreamClient, open_stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

SUB = "auth0|ann/1"
OWN = user_channel(SUB)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def hub(request: pytest.FixtureRequest) -> Iterator[LiveHub]:
    url = "memory:"
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
        url = server.url
    with live_hub(url, secret=SECRET, feed=True, heartbeat=0.2, feed_job_notices=True, jobs_tenants=("acme",)) as hub:
        yield hub


def write(hub: LiveHub, *writes: dict[str, Any]) -> None:
    headers = bearer(sub="backend")
    answer = httpx.post(f"{hub.base_url}/v1/feed/writes", json={"writes": writes}, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text


def count(video: str, views: int = 1) -> dict[str, Any]:
    return {"op": "count", "video_id": video, "views": views}


def videos(stream: StreamClient) -> Frame:
    return stream.event("stats_update", "content_removed")


def test_counters_reach_those_that_show_the_video(hub: LiveHub) -> None:
    """A stream that names videos is told of these, and of no other."""
    path = "/api/events?channel=feed/videos&content_id=v1&content_id=v2"
    with open_stream(hub.base_url, path, bearer(sub="bob")) as stream:
        stream.event("ready")
        write(hub, count("other"), count("v1", 3))
        data = videos(stream).json
        told = {name: data[name] for name in ("video_id", "status", "view_count", "like_count", "content_id")}
        assert told == {"video_id": "v1", "status": "idle", "view_count": 3, "like_count": 0, "content_id": "stats:v1"}
        httpx.put(f"{hub.base_url}/v1/likes/v2", headers=bearer(sub="zoe"))
        data = videos(stream).json
        assert (data["video_id"], data["like_count"]) == ("v2", 1)
        write(hub, {"op": "delete", "video_id": "v1"})
        removed = videos(stream)
        assert (removed.event, removed.json["content_id"]) == ("content_removed", "stats:v1")


def test_what_cannot_be_announced_holds_nothing_up(hub: LiveHub) -> None:
    """A video with an id that no content has, and a user with the name of a route, do not delay others."""
    path = "/api/events?channel=feed/videos&content_id=v1"
    with open_stream(hub.base_url, path, bearer(sub="bob")) as stream:
        stream.event("ready")
        write(hub, count("x" * 128), count("*"), {"op": "notify", "user_id": "events", "category": "c"}, count("v1"))
        assert videos(stream).json["video_id"] == "v1"
        feeds = hub.hub.feeds
        assert feeds is not None
        if not feeds.store.shared:
            # What was announced is not due again.
            eventually(lambda: hub.run(feeds.store.tenants()) == [])


def test_a_hot_video_is_told_once_a_second(hub: LiveHub) -> None:
    """However often it is counted; and the last state comes."""
    with open_stream(hub.base_url, "/api/events?channel=feed/videos&content_id=hot", bearer()) as stream:
        stream.event("ready")
        began = time.monotonic()
        for _ in range(50):
            write(hub, *[count("hot")] * 20)
        told = [videos(stream).json["view_count"]]
        while told[-1] < 1_000:
            told.append(videos(stream).json["view_count"])
        passed = time.monotonic() - began
    assert told == sorted(set(told))
    # The first comes immediately, and one more with each second that has passed.
    assert len(told) <= 2 + passed * 1000 / STATS_MS


def test_all_counters_are_told_with_a_filter_only(hub: LiveHub) -> None:
    """By name the channel needs the filter, on each route; and patterns do not name it without one."""
    with httpx.Client(base_url=hub.base_url, headers=bearer(), timeout=30) as client:
        for path in ("/api/events?channel=feed/videos", "/api/contents/feed/videos/events"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]["field"]) == (422, "content_id")
        assert client.get("/api/contents/feed/videos/changes").status_code == 422
        write(hub, count("v1"))
        changed = eventually(lambda: client.get("/api/contents/feed/videos/changes?content_id=v1").json()["events"])
        assert [event["data"]["video_id"] for event in changed] == ["v1"]
        publish_all(hub, [{"channel": "feed/other", "content_id": "x", "data": {"status": "idle"}}], headers=bearer())
        assert {event["data"]["channel_id"] for event in client.get("/api/changes?match=**").json()["events"]} == {
            "feed/other"
        }
        both = client.get("/api/changes?match=feed/**&content_id=v1&content_id=x").json()["events"]
        assert {event["data"]["channel_id"] for event in both} == {"feed/other", "feed/videos"}
    header = f"Authorization: {bearer()['Authorization']}"
    with open_socket(hub.base_url, "/api/ws", header) as socket:
        socket.say(type="subscribe", channel_id="feed/videos")
        assert socket.message("error")["code"] == "invalid"
        socket.say(type="subscribe", channel_id="feed/videos", content_ids=["v1"])
        assert socket.message("stats_update")["data"]["video_id"] == "v1"
        socket.say(type="subscribe", match="feed/**")
        assert socket.message("content_status_update")["data"]["channel_id"] == "feed/other"
        socket.message("ready")


def test_a_users_news_reach_their_other_tabs(hub: LiveHub) -> None:
    """Likes, follows, notifications and the number of unread ones, on the user's own channel; one that opens later is
    told the latest."""
    own = bearer(sub=SUB, read=[], write=[])
    path = f"/api/contents/{quote(OWN, safe='')}/events"
    with open_stream(hub.base_url, path, own) as stream:
        assert stream.status == 200
        stream.event("ready")
        httpx.put(f"{hub.base_url}/v1/likes/v1", headers=own)
        liked = stream.event("liked").json
        assert (liked["video_id"], liked["liked"]) == ("v1", True)
        httpx.put(f"{hub.base_url}/v1/follows/bob", headers=own)
        followed = stream.event("followed").json
        assert (followed["user_id"], followed["following"]) == ("bob", True)
        write(hub, {"op": "notify", "id": "n1", "user_id": SUB, "category": "job", "data": {"title": "Done"}})
        told = stream.event("notification").json
        assert {name: told[name] for name in ("id", "category", "read", "title", "status")} == {
            **{"id": "n1", "category": "job", "read": False, "title": "Done", "status": "idle"}
        }
        unread = stream.event("unread_count").json
        while unread["unread_count"] != 1:
            unread = stream.event("unread_count").json
        httpx.post(f"{hub.base_url}/v1/notifications/mark-all-read", headers=own)
        while unread["unread_count"] != 0:
            unread = stream.event("unread_count").json
    with open_stream(hub.base_url, path, own) as stream:
        frames = stream.until("ready")
        assert {frame.event for frame in frames} == {"liked", "followed", "notification", "unread_count", "ready"}


def test_a_users_channel_is_read_by_nobody_else(hub: LiveHub) -> None:
    """No pattern covers it, on no route and transport; a claim of operators does."""
    write(hub, {"op": "notify", "user_id": SUB, "category": "job", "data": {"title": "Secret"}})
    admin, own, other = bearer(sub="root", feed_admin=True), bearer(sub=SUB, read=[]), bearer(sub="eve")
    name = quote(OWN, safe="")
    with httpx.Client(base_url=hub.base_url, timeout=30) as client:
        ids = [
            event["data"]["content_id"]
            for event in eventually(lambda: client.get(f"/api/contents/{name}/changes", headers=own).json()["events"])
        ]
        for path in (f"/api/contents/{name}", f"/api/contents/{name}/status", f"/api/contents/{name}/changes"):
            assert client.get(path, headers=other).status_code == 403
            assert client.get(path, headers=own).status_code == 200
            assert client.get(path, headers=admin).status_code == 200
        for path in (f"/api/contents/{name}/events", f"/api/events?channel={name}"):
            assert client.get(path, headers=other).status_code == 403
        assert client.get(f"/api/contents/{name}/ws", headers=other).status_code == 403
        assert client.post("/api/tickets", json={"read": [OWN]}, headers=other).status_code == 403
        for headers, seen in ((other, False), (own, True), (admin, True), (bearer(sub=None), False)):
            listed = client.get("/api/channels", headers=headers).json()["channels"]
            named = client.get("/api/channels", params={"prefix": "users/"}, headers=headers).json()["channels"]
            assert (OWN in [it["channel"] for it in listed]) is seen, listed
            assert (OWN in [it["channel"] for it in named]) is seen, named
            statuses = client.post("/api/contents/status/batch", json={"content_ids": ids}, headers=headers).json()
            assert any(it["status"] != "not_found" for it in statuses["statuses"]) is seen
            jobs = client.post("/v1/ai/jobs/batch-status", json={"job_ids": ids}, headers=headers).json()["jobs"]
            assert any(it["status"] != "not_found" for it in jobs.values()) is seen
        for headers, seen in ((other, False), (admin, True)):
            found = client.get("/api/changes?match=users/**&match=**", headers=headers).json()["events"]
            assert any(it["data"]["channel_id"] == OWN for it in found) is seen
        found = client.get("/api/changes?match=users/**", headers=bearer(sub=SUB)).json()["events"]
        assert {it["data"]["channel_id"] for it in found} == {OWN}
        found = client.get("/api/changes?match=users/**", headers=own).json()["events"]
        assert {it["data"]["channel_id"] for it in found} == {OWN}
    with open_socket(hub.base_url, "/api/ws", f"Authorization: {other['Authorization']}") as socket:
        socket.say(type="subscribe", channel_id=OWN)
        assert socket.message("error")["code"] == "forbidden"
        socket.say(type="subscribe", match="**")
        assert socket.message("ready", "notification", "unread_count")["type"] == "ready"


def test_the_birth_of_a_users_channel_is_heard_by_its_user_only(hub: LiveHub) -> None:
    """A stream of all channels is not told of a channel of another user that comes into being later."""
    with (
        open_stream(hub.base_url, "/api/events?match=**", bearer(sub="eve")) as eve,
        open_stream(hub.base_url, "/api/events?match=**", bearer(sub=SUB)) as ann,
    ):
        eve.event("ready")
        ann.event("ready")
        write(hub, {"op": "notify", "user_id": SUB, "category": "job"})
        assert ann.event("notification").json["channel_id"] == OWN
        publish_all(hub, [{"channel": "c", "content_id": "x", "data": {"status": "idle"}}], headers=bearer())
        assert eve.event().json["content_id"] == "x"


def test_a_ticket_is_narrowed_for_the_users_channel_too(hub: LiveHub) -> None:
    """One that names other channels does not read it; one that names it, or nothing, does."""
    write(hub, {"op": "notify", "user_id": SUB, "category": "job"})
    path = f"/api/contents/{quote(OWN, safe='')}"
    with httpx.Client(base_url=hub.base_url, timeout=30) as client:
        for read, status in ((None, 200), ([OWN], 200), (["users/**"], 200), (["videos"], 403), (["videos/**"], 403)):
            body = {} if read is None else {"read": read}
            answer = client.post("/api/tickets", json=body, headers=bearer(sub=SUB))
            assert answer.status_code == 200, answer.text
            assert client.get(path, params={"ticket": answer.json()["ticket"]}).status_code == status, read
        for read in (None, ["**"], ["users/**"]):
            body = {} if read is None else {"read": read}
            ticket = client.post("/api/tickets", json=body, headers=bearer(sub="eve")).json()["ticket"]
            assert client.get(path, params={"ticket": ticket}).status_code == 403
            ticket = client.post("/api/tickets", json=body, headers=bearer(feed_admin=True)).json()["ticket"]
            assert client.get(path, params={"ticket": ticket}).status_code == 200


def test_the_owner_of_a_job_is_notified_of_its_end(hub: LiveHub) -> None:
    """Once, whichever hub hears of it; a job without an owner notifies no user."""
    data = {"status": "completed", "owner": SUB, "title": "Report", "result_url": "/r.html"}
    publish_all(
        hub,
        [
            {"channel": "jobs", "content_id": "j0", "data": {"status": "generating", "owner": SUB}},
            {"channel": "jobs", "content_id": "j1", "data": {"status": "completed"}},
            {"channel": "jobs", "content_id": "j2", "data": data},
        ],
        headers=bearer(),
    )

    def told() -> list[Any]:
        answer = httpx.get(f"{hub.base_url}/v1/notifications/", headers=bearer(sub=SUB), timeout=30)
        found: list[Any] = answer.json()["notifications"]
        return found

    [notice] = eventually(told)
    assert (notice["category"], notice["job_id"], notice["title"]) == ("job", "j2", "Report")
    assert json.dumps(notice).count("/r.html") == 1


def test_a_filter_names_contents_of_any_channel(hub: LiveHub) -> None:
    """A stream of an ordinary channel shows only these, and its heartbeats move its cursor on."""
    with open_stream(hub.base_url, "/api/contents/c/events?content_id=a&content_id=b", bearer()) as stream:
        stream.event("ready")
        names = ["x", "a", "y", "b", "x"]
        publish_all(
            hub,
            [{"channel": "c", "content_id": name, "data": {"status": "idle"}} for name in names],
            headers=bearer(),
        )
        assert [stream.event().json["content_id"] for _ in range(2)] == ["a", "b"]
        last = httpx.get(f"{hub.base_url}/api/contents/c/changes", headers=bearer()).json()["cursor"]
        while (frame := stream.frame()).event != "heartbeat" or frame.id != last:
            assert frame.event in (None, "heartbeat")
    with open_stream(hub.base_url, "/api/contents/c/events?content_id=a", bearer() | {"Last-Event-ID": last}) as stream:
        assert stream.event().event == "ready"
