"""Conditional polls: entity tags, 304, and Age while the broker is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.live import live_hub
from tests.support.serving import serving

POLLS: dict[str, dict[str, Any]] = {
    "contents": {"method": "GET", "url": "/api/contents/ch"},
    "summary": {"method": "GET", "url": "/api/contents/ch/status"},
    "list": {"method": "GET", "url": "/api/contents/ch/status?view=list"},
    "changes": {"method": "GET", "url": "/api/contents/ch/changes"},
    "statuses": {"method": "POST", "url": "/api/contents/status/batch", "json": {"content_ids": ["x", "y"]}},
    "jobs": {"method": "POST", "url": "/v1/ai/jobs/batch-status", "json": {"job_ids": ["x", "y"]}},
    "video": {"method": "GET", "url": "/api/v1/media/videos/x/progress/"},
}
EVENT = {"channel": "ch", "content_id": "x", "data": {"status": "generating"}}
SUFFIXES = ("-gzip", "--gzip", ";gzip", "-br", "--br", ";br", "-zstd", "-deflate")
"""What proxies that compress an answer append to its tag."""

polls = pytest.mark.parametrize("poll", POLLS.values(), ids=POLLS)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with live_hub() as hub, httpx.Client(base_url=hub.base_url) as client:
        yield client


def publish(client: httpx.Client) -> str:
    """Publish another status and return its cursor."""
    return str(client.post("/api/publish", json=EVENT).raise_for_status().json()["cursor"])


def asking(client: httpx.Client, poll: dict[str, Any], *held: str) -> httpx.Response:
    """Poll with these If-None-Match headers."""
    return client.request(**poll, headers=[("If-None-Match", line) for line in held])


def held_forms(tag: str) -> list[list[str]]:
    """`If-None-Match` headers of a client that holds what has this tag, as proxies between may have changed it."""
    changed = [tag[:-1] + suffix + '"' for suffix in SUFFIXES]
    alone = [[form] for form in (tag, *changed, *(f"W/{form}" for form in (tag, *changed)))]
    return [*alone, [f'"other", {tag}'], ['"other"', f"W/{changed[0]}"], ["*"], [f'"a" ,{tag},']]


def other_forms(tag: str) -> list[str]:
    """`If-None-Match` headers of a client that holds something else."""
    changed = [tag[:-1] + suffix + '"' for suffix in ("-x", "gzip", "---gzip", ";;gzip", "-gzip-", "-GZIP2", ";br;q=1")]
    return ['"other"', '"other-gzip"', tag.strip('"'), tag[:-2] + '"', "", "nonsense", *changed]


FILES = ["/", "/assets/client/machine.js", "/openapi.json"]


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_the_client_has_is_not_sent_again(client: httpx.Client, path: str) -> None:
    """Files have tags, too, which are compared as those of polls are; their other headers stay."""
    full = client.get(path)
    tag = full.headers["etag"]
    assert full.headers["cache-control"] == "no-cache"
    for held in held_forms(tag):
        answer = client.get(path, headers=[("If-None-Match", line) for line in held])
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), held
        assert answer.headers.get("content-security-policy") == full.headers.get("content-security-policy")
    for other in other_forms(tag):
        assert client.get(path, headers={"If-None-Match": other}).status_code == 200, other


@polls
def test_a_poll_is_tagged_with_its_cursor(client: httpx.Client, poll: dict[str, Any]) -> None:
    """The tag is the cursor of what was read; the answer may be stored and must be revalidated."""
    cursor = publish(client)
    answer = asking(client, poll)
    assert (answer.status_code, answer.headers["etag"]) == (200, f'"{cursor}"')
    assert answer.headers["cache-control"] == "no-cache"
    assert "Authorization" in answer.headers["vary"]
    assert "age" not in answer.headers


@polls
def test_an_answer_that_the_client_has_is_not_sent_again(client: httpx.Client, poll: dict[str, Any]) -> None:
    """A matching tag, in each form of the list, is answered 304 without a body; a change is answered 200."""
    tag = f'"{publish(client)}"'
    for held in held_forms(tag):
        answer = asking(client, poll, *held)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), held
        assert answer.headers["cache-control"] == "no-cache"
    for other in other_forms(tag):
        assert asking(client, poll, other).status_code == 200, other
    publish(client)
    assert asking(client, poll, tag).status_code == 200


@pytest.mark.parametrize("path", [poll["url"] for poll in POLLS.values() if poll["method"] == "GET"])
def test_head_answers_as_get_without_the_body(client: httpx.Client, path: str) -> None:
    """Status, tag and length are the same."""
    publish(client)
    full, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert [head.headers[name] for name in ("etag", "content-length")] == [
        full.headers[name] for name in ("etag", "content-length")
    ]


def test_a_long_poll_without_a_change_is_not_modified(client: httpx.Client) -> None:
    """A client that sends its tag gets no body."""
    cursor = publish(client)
    poll = {"method": "GET", "url": f"/api/contents/ch/changes?since={cursor}&wait=0.05"}
    assert asking(client, poll, f'"{cursor}"').status_code == 304


@pytest.mark.anyio
@pytest.mark.parametrize("name", [name for name in POLLS if name != "changes"])
async def test_answers_have_an_age_while_the_broker_is_away(name: str) -> None:
    """Known contents are answered with the time since which they may be outdated."""
    poll = POLLS[name]
    if "json" in poll:
        poll = {**poll, "json": {key: ["x"] for key in poll["json"]}}
    async with serving() as (hub, client):
        await client.post("/api/publish", json=EVENT)
        await client.get("/api/contents/ch")
        hub.ingest.lost()
        answer = await client.request(**poll)
        held = await client.request(**poll, headers={"If-None-Match": answer.headers["etag"]})
        hub.ingest.restored()
    assert (answer.status_code, held.status_code) == (200, 304)
    assert min(int(answer.headers["age"]), int(held.headers["age"])) >= 1


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["", "/status", "/changes"])
async def test_an_unknown_channel_is_unavailable_without_the_broker(path: str) -> None:
    """The answer is 503 with `Retry-After`."""
    async with serving() as (hub, client):
        hub.ingest.lost()
        answer = await client.get(f"/api/contents/unknown{path}")
        hub.ingest.restored()
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "broker_unavailable"
    assert int(answer.headers["retry-after"]) >= 1
