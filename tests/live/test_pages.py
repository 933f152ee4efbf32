"""Polls of a whole channel come by pages, and tell of the whole channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from statushub.hub.replicas.scheduler import STEP_EVENTS
from tests.support.live import live_hub
from tests.support.publishing import publish, publish_all
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer

STATUSES = ("idle", "generating", "complete", "error", "pending")

COUNT = 2_500
"""Contents of the channel, more than two pages."""


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A hub with a channel of several pages."""
    with live_hub() as hub:
        for start in range(0, COUNT, 500):
            publish_all(
                hub,
                [
                    {"channel": "big", "content_id": f"c{n}", "data": {"status": STATUSES[n % 5], "progress": n % 100}}
                    for n in range(start, start + 500)
                ],
            )
        yield hub.base_url


def get(base_url: str, path: str = "", **params: Any) -> httpx.Response:
    return httpx.get(f"{base_url}/api/contents/big{path}", params=params).raise_for_status()


def walk(base_url: str, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    """The bodies of all pages."""
    page = get(base_url, path, **params).json()
    while page["next"] is not None:
        yield page
        page = get(base_url, path, **{**params, "after": page["next"]}).json()
    yield page


@pytest.mark.parametrize("limit", [None, 1_000, 999])
def test_the_pages_have_each_content_once(base_url: str, limit: int | None) -> None:
    """The latest come first, 1,000 on a page where no limit is given."""
    pages = list(walk(base_url, "", **({} if limit is None else {"limit": limit})))
    assert [len(page["contents"]) for page in pages] == [limit or 1_000, limit or 1_000, COUNT - 2 * (limit or 1_000)]
    assert [it["content_id"] for page in pages for it in page["contents"]] == [f"c{n}" for n in reversed(range(COUNT))]
    assert len({page["cursor"] for page in pages}) == 1


def test_the_summarys_pages_count_the_whole_channel(base_url: str) -> None:
    """Each has the totals of the channel, whatever contents it has."""
    pages = list(walk(base_url, "/status", limit=700))
    seen: dict[str, list[str]] = {"processing": [], "completed": [], "failed": []}
    for page in pages:
        assert (page["total_processing"], page["total_completed"], page["total_failed"]) == (1_000, 500, 500)
        assert page["has_processing"]
        for name, ids in seen.items():
            ids += [line["id"] for line in page[f"{name}_contents"]]
    assert len(pages) == 4
    expected = {"processing": (1, 4), "completed": (2,), "failed": (3,)}
    for name, rest in expected.items():
        assert seen[name] == [f"c{n}" for n in reversed(range(COUNT)) if n % 5 in rest]


def test_a_page_without_processing_contents_tells_of_others(base_url: str) -> None:
    """A client that asks whether there is work needs only one page, however small."""
    page = get(base_url, "/status", limit=1, after=get(base_url, limit=2).json()["next"]).json()
    assert (page["processing_contents"], page["has_processing"]) == ([], True)


def test_the_list_names_its_next_page_in_a_header(base_url: str) -> None:
    """Followed as a relative address, the headers lead through all contents; the last page has none."""
    with httpx.Client(base_url=base_url) as client:
        answer = client.get("/api/contents/big/status?view=list&limit=800")
        listed = answer.json()
        while "next" in answer.links:
            answer = client.get(answer.url.join(answer.links["next"]["url"])).raise_for_status()
            listed += answer.json()
    assert [line["id"] for line in listed] == [f"c{n}" for n in reversed(range(COUNT))]
    assert listed[0] == {"id": "c2499", "status": "idle"}


def test_pages_have_the_channels_tag(base_url: str) -> None:
    """Any page is 304 while nothing in the channel has changed."""
    first, second = get(base_url, limit=10), get(base_url, limit=10, after=get(base_url, limit=10).json()["next"])
    assert first.headers["ETag"] == second.headers["ETag"]
    again = httpx.get(second.url, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def test_pages_of_other_origins_may_read_the_link(base_url: str) -> None:
    """A browser hides headers that are not exposed."""
    answer = httpx.get(f"{base_url}/api/contents/big", headers={"Origin": "http://localhost:3000"})
    assert "Link" in answer.headers["Access-Control-Expose-Headers"]


def test_changes_are_not_paged(base_url: str) -> None:
    """A client without a cursor gets the whole channel, in the clock's order, in one answer."""
    answer = get(base_url, "/changes")
    assert [event["data"]["content_id"] for event in answer.json()["events"]] == [f"c{n}" for n in range(COUNT)]
    assert answer.json()["cursor"] == answer.headers["ETag"].strip('"')


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "x", "٣", "1_0", "9" * 3_000])
@pytest.mark.parametrize("path", ["", "/status"])
def test_an_invalid_limit_is_refused(base_url: str, path: str, limit: str) -> None:
    """The answer names the field."""
    answer = httpx.get(f"{base_url}/api/contents/big{path}", params={"limit": limit})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "limit")


@pytest.mark.parametrize("path", ["", "/status"])
def test_an_invalid_after_is_refused(base_url: str, path: str) -> None:
    """The answer names the field."""
    answer = httpx.get(f"{base_url}/api/contents/big{path}", params={"after": "c7"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "after")


def test_an_after_of_a_former_epoch_is_void(base_url: str) -> None:
    """The answer is the first page."""
    assert get(base_url, limit=3, after="a-5").json() == get(base_url, limit=3).json()


def test_a_walk_and_the_changes_since_its_beginning_have_everything() -> None:
    """What changes meanwhile moves to the front, where the walk has been."""
    with live_hub() as hub:
        publish_all(hub, [{"channel": "big", "content_id": f"c{n}", "data": {"status": "idle"}} for n in range(30)])
        first = get(hub.base_url, limit=10).json()
        publish(hub, "c3", "complete", channel="big")
        publish(hub, "new", "complete", channel="big")
        rest = [it for page in walk(hub.base_url, "", limit=10, after=first["next"]) for it in page["contents"]]
        changed = [it["data"] for it in get(hub.base_url, "/changes", since=first["cursor"]).json()["events"]]
    held = {it["content_id"]: it["status"] for it in [*first["contents"], *rest, *changed]}
    assert held == {f"c{n}": "idle" for n in range(30)} | {"c3": "complete", "new": "complete"}
    assert len(first["contents"] + rest) == 29


def test_totals_follow_changes() -> None:
    """They are counted as contents change, and not when they are asked for."""
    with live_hub() as hub:
        publish_all(hub, [{"channel": "big", "content_id": f"c{n}", "data": {"status": "pending"}} for n in range(300)])
        assert get(hub.base_url, "/status").json()["total_processing"] == 300
        publish(hub, "c0", "complete", channel="big")
        publish(hub, "c1", "error", channel="big")
        publish(hub, "c2", "idle", channel="big")
        page = get(hub.base_url, "/status", limit=1).json()
    assert (page["total_processing"], page["total_completed"], page["total_failed"]) == (297, 1, 1)


def test_readers_are_limited_each() -> None:
    """A reader that has read its share is refused with `Retry-After` and counted; another is not."""
    paths = ("", "/status", "/status?view=list", "/changes")
    with live_hub(secret=SECRET, read_rate=1.0) as hub, httpx.Client(base_url=hub.base_url) as client:
        publish_all(
            hub,
            [{"channel": "big", "content_id": f"c{n}", "data": {"status": "idle"}} for n in range(50)],
            headers=bearer(write=["**"]),
        )
        for number, path in enumerate(paths):
            mine = bearer(read=["**"], sub=f"reader-{number}")
            assert client.get(f"/api/contents/big{path}", headers=mine).status_code == 200
            refused = client.get(f"/api/contents/big{path}", headers=mine)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
            assert 40 <= int(refused.headers["Retry-After"]) <= 50
        for path, key in (("/api/contents/status/batch", "content_ids"), ("/v1/ai/jobs/batch-status", "job_ids")):
            mine = bearer(read=["**"], sub=path)
            answers = [client.post(path, json={key: ["c1", "c2"]}, headers=mine).status_code for _ in range(2)]
            assert answers == [200, 429]
        # Players know no error.
        video = "/api/v1/media/videos/c1/progress/"
        assert client.get(video, headers=bearer(read=["**"], sub="reader-0")).status_code == 200
        assert 'statushub_refusals_total{limit="read_rate"} 6.0' in client.get("/metrics").text


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_long_catch_up_has_every_content_in_order(base_url: str, version: str) -> None:
    """A stream that begins with more than one step ends in `ready`, over each kind of connection."""
    assert COUNT > STEP_EVENTS
    with open_stream(base_url, "/api/contents/big/events", version=version) as client:
        ids = []
        while (frame := client.event()).event != "ready":
            ids.append(frame.json["content_id"])
    assert ids == [f"c{n}" for n in range(COUNT)]
