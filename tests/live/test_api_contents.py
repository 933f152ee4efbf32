from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import anyio
import anyio.lowlevel
import httpx
import pytest

from statushub.hub.model.names import DEFAULT_TENANT
from tests.support.live import live_hub
from tests.support.serving import serving

CLOCK = "2025-07-31T13:00:00.000Z"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with live_hub() as hub, httpx.Client(base_url=hub.base_url) as client:
        yield client


def publish(client: httpx.Client, content_id: str, status: str, channel: str = "ch", **data: Any) -> str:
    """Publish a status and return its cursor."""
    body = {"channel": channel, "content_id": content_id, "data": {"status": status, "timestamp": CLOCK, **data}}
    answer = client.post("/api/publish", json=body).raise_for_status().json()
    assert answer["accepted"]
    return str(answer["cursor"])


def whole(content_id: str, status: str, processing_status: str | None = None, **data: Any) -> dict[str, Any]:
    """What is stored of what `publish` published."""
    return {
        "content_id": content_id,
        "channel_id": "ch",
        "status": status,
        "processing_status": processing_status,
        "timestamp": CLOCK,
        **data,
    }


def test_a_channel_is_answered_whole(client: httpx.Client) -> None:
    """Each content's whole status, the latest change last, with the cursor to go on from."""
    publish(client, "a", "generating", progress=4)
    publish(client, "b", "complete")
    cursor = publish(client, "a", "generating", progress=45, ai={"tags": []})
    assert client.get("/api/contents/ch").json() == {
        "contents": [
            whole("b", "complete", "completed"),
            whole("a", "generating", progress=45, ai={"tags": []}),
        ],
        "cursor": cursor,
    }


def test_an_unknown_channel_has_no_contents(client: httpx.Client) -> None:
    """A channel begins to exist by a publish, so asking before that is no mistake."""
    answer = client.get("/api/contents/nothing")
    assert answer.status_code == 200
    assert answer.json()["contents"] == []


def test_the_summary_sorts_contents_by_what_they_are_doing(client: httpx.Client) -> None:
    """Waiting and running contents are processing; idle ones are counted nowhere."""
    publish(client, "idle", "idle")
    publish(client, "waiting", "pending")
    publish(client, "running", "generating", processing_status="summarizing", progress=45, remaining_seconds=31)
    publish(client, "foreseen", "generating", estimated_completion="tomorrow", remaining_seconds=31)
    publish(client, "done", "complete")
    publish(client, "broken", "error", error_message="It is private.")
    assert client.get("/api/contents/ch/status").json() == {
        "processing_contents": [
            {
                "id": "waiting",
                "status": "idle",
                "processing_status": "pending",
                "progress": 0,
                "estimated_completion": None,
            },
            {
                "id": "running",
                "status": "generating",
                "processing_status": "summarizing",
                "progress": 45,
                "estimated_completion": "2025-07-31T13:00:31.000Z",
            },
            {
                "id": "foreseen",
                "status": "generating",
                "processing_status": None,
                "progress": 0,
                "estimated_completion": "tomorrow",
            },
        ],
        "completed_contents": [{"id": "done", "status": "complete", "processing_status": "completed"}],
        "failed_contents": [
            {"id": "broken", "status": "error", "processing_status": "failed", "error_message": "It is private."}
        ],
        "has_processing": True,
        "total_processing": 3,
        "total_completed": 1,
        "total_failed": 1,
    }


def test_the_summary_of_an_unknown_channel_is_empty(client: httpx.Client) -> None:
    """The same fields with nothing in them, so that a page needs no special case."""
    assert client.get("/api/contents/nothing/status").json() == {
        "processing_contents": [],
        "completed_contents": [],
        "failed_contents": [],
        "has_processing": False,
        "total_processing": 0,
        "total_completed": 0,
        "total_failed": 0,
    }


def test_the_list_view_has_every_content(client: httpx.Client) -> None:
    """Id and status alone, idle contents included."""
    publish(client, "a", "idle")
    publish(client, "b", "PROCESSING")
    publish(client, "c", "failed")
    assert client.get("/api/contents/ch/status?view=list").json() == [
        {"id": "a", "status": "idle"},
        {"id": "b", "status": "generating"},
        {"id": "c", "status": "error"},
    ]


def test_changes_tell_what_came_after_a_cursor(client: httpx.Client) -> None:
    """Only later events, each with its id; and with nothing later, the same cursor."""
    first = publish(client, "a", "generating")
    second = publish(client, "b", "generating")
    third = publish(client, "a", "complete")
    asked = client.get("/api/contents/ch/changes", params={"since": first}).json()
    assert asked == {
        "cursor": third,
        "reset": False,
        "events": [
            {"id": second, "type": "content_status_update", "data": whole("b", "generating")},
            {"id": third, "type": "processing_complete", "data": whole("a", "complete", "completed")},
        ],
    }
    again = client.get("/api/contents/ch/changes", params={"since": third}).json()
    assert again == {"cursor": third, "reset": False, "events": []}


@pytest.mark.parametrize("query", ["", "?since=", "?wait=", "?something=else"])
def test_changes_without_a_cursor_are_everything(client: httpx.Client, query: str) -> None:
    """An empty cursor is none; what the route does not know of the query it ignores."""
    cursor = publish(client, "a", "generating")
    answer = client.get(f"/api/contents/ch/changes{query}").json()
    assert (answer["cursor"], answer["reset"], len(answer["events"])) == (cursor, False, 1)


def test_changes_since_a_void_cursor_are_a_reset(client: httpx.Client) -> None:
    """A cursor of another epoch is answered at once with the whole state, and with the word to forget."""
    cursor = publish(client, "a", "generating")
    answer = client.get("/api/contents/ch/changes?since=zzz-9&wait=25").json()
    assert answer["reset"] is True
    assert answer["cursor"] == cursor
    assert [event["data"]["content_id"] for event in answer["events"]] == ["a"]


@pytest.mark.anyio
async def test_a_long_poll_ends_with_the_change_it_waits_for() -> None:
    """It is held open until something is published, and then has it."""
    async with serving() as (hub, client), anyio.create_task_group() as tasks:
        replica = hub.synchronizer.obtain(DEFAULT_TENANT, "ch")
        body = {"channel": "ch", "content_id": "a", "data": {"status": "generating"}}

        async def publish_once_somebody_waits() -> None:
            while not replica.pollers:
                await anyio.lowlevel.checkpoint()
            await client.post("/api/publish", json=body)

        tasks.start_soon(publish_once_somebody_waits)
        answer = await client.get("/api/contents/ch/changes?wait=25", timeout=30)
        assert [event["data"]["content_id"] for event in answer.json()["events"]] == ["a"]


def test_a_long_poll_that_waits_in_vain_keeps_its_cursor(client: httpx.Client) -> None:
    """The answer is empty and goes on from the same place."""
    cursor = publish(client, "a", "generating")
    answer = client.get(f"/api/contents/ch/changes?since={cursor}&wait=0.05").json()
    assert answer == {"cursor": cursor, "reset": False, "events": []}


def test_a_batch_is_answered_in_the_order_asked(client: httpx.Client) -> None:
    """Whole statuses under their ids, repeats repeated, unknown ids not found; of any channel."""
    publish(client, "a", "generating", progress=45)
    publish(client, "b", "complete", channel="elsewhere")
    answer = client.post("/api/contents/status/batch", json={"content_ids": ["b", "x", "a", "b"]}).json()
    b = {"id": "b", **whole("b", "complete", "completed"), "channel_id": "elsewhere"}
    assert answer == {
        "statuses": [
            b,
            {"id": "x", "status": "not_found"},
            {"id": "a", **whole("a", "generating", progress=45)},
            b,
        ]
    }


def test_a_batch_may_have_a_hundred_ids(client: httpx.Client) -> None:
    """The most that is allowed is allowed, the longest names in their longest spelling included."""
    ids = ["\U0001f600" * 125 + f"{place:03}" for place in range(100)]
    answer = client.post("/api/contents/status/batch", json={"content_ids": ids})
    assert [line["id"] for line in answer.json()["statuses"]] == ids


@pytest.mark.parametrize("name", ["jobs/instagram-sync", "ünï cödé", "a?b#c", "100%", "a/status", 'say "hi" \\ there'])
def test_names_may_hold_what_urls_escape(client: httpx.Client, name: str) -> None:
    """Slashes and all else that is printable, percent-encoded or, for slashes, as they are."""
    publish(client, name, "generating", channel=name)
    for escaped in (
        quote(name),
        "".join(f"%{byte:02X}" for byte in name.encode()),
    ):
        answer = client.get(f"/api/contents/{escaped}/status?view=list")
        assert answer.json() == [{"id": name, "status": "generating"}]
        answer = client.get(f"/api/contents/{escaped}/changes")
        assert answer.json()["events"][0]["data"]["channel_id"] == name
    answer = client.post("/api/contents/status/batch", json={"content_ids": [name]})
    assert answer.json()["statuses"][0]["id"] == name


def test_the_batch_is_not_a_channel(client: httpx.Client) -> None:
    """GET where the batch is posted to is a mistake, and is told so instead of being shown an empty channel."""
    answer = client.get("/api/contents/status/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_an_estimate_is_reckoned_from_the_moment_of_the_report(client: httpx.Client) -> None:
    """What remained is added to when it was said, not to now, so that asking again does not move the end."""
    publish(client, "a", "generating", remaining_seconds=90, timestamp="2025-07-31T15:00:00+02:00")
    [line] = client.get("/api/contents/ch/status").json()["processing_contents"]
    assert datetime.fromisoformat(line["estimated_completion"]) == datetime(2025, 7, 31, 13, 1, 30, tzinfo=UTC)
