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
    """The stored data of what `publish` published."""
    return {
        "content_id": content_id,
        "channel_id": "ch",
        "status": status,
        "processing_status": processing_status,
        "timestamp": CLOCK,
        **({"completed_at": CLOCK} if status == "complete" else {}),
        **data,
    }


def test_a_channel_is_answered_as_a_whole(client: httpx.Client) -> None:
    """The answer has each content's status, the latest change first, and the cursor."""
    publish(client, "a", "generating", progress=4)
    publish(client, "b", "complete")
    cursor = publish(client, "a", "generating", progress=45, ai={"tags": []})
    assert client.get("/api/contents/ch").json() == {
        "contents": [
            whole("a", "generating", progress=45, ai={"tags": []}),
            whole("b", "complete", "completed"),
        ],
        "cursor": cursor,
        "next": None,
    }


def test_an_unknown_channel_has_no_contents(client: httpx.Client) -> None:
    """A channel exists from its first publish; a poll before that is not an error."""
    answer = client.get("/api/contents/nothing")
    assert answer.status_code == 200
    assert answer.json()["contents"] == []


def test_the_summary_groups_contents_by_phase(client: httpx.Client) -> None:
    """Pending and processing contents are one group; idle ones are left out."""
    publish(client, "idle", "idle")
    publish(client, "waiting", "pending")
    publish(client, "running", "generating", processing_status="summarizing", progress=45, remaining_seconds=31)
    publish(client, "foreseen", "generating", estimated_completion="tomorrow", remaining_seconds=31)
    publish(client, "done", "complete")
    publish(client, "broken", "error", error_message="It is private.")
    assert client.get("/api/contents/ch/status").json() == {
        "processing_contents": [
            {
                "id": "foreseen",
                "status": "generating",
                "processing_status": None,
                "progress": 0,
                "estimated_completion": "tomorrow",
            },
            {
                "id": "running",
                "status": "generating",
                "processing_status": "summarizing",
                "progress": 45,
                "estimated_completion": "2025-07-31T13:00:31.000Z",
            },
            {
                "id": "waiting",
                "status": "idle",
                "processing_status": "pending",
                "progress": 0,
                "estimated_completion": None,
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
        "next": None,
    }


def test_the_summary_of_an_unknown_channel_is_empty(client: httpx.Client) -> None:
    """The summary has all fields, so that a page needs no special case."""
    assert client.get("/api/contents/nothing/status").json() == {
        "processing_contents": [],
        "completed_contents": [],
        "failed_contents": [],
        "has_processing": False,
        "total_processing": 0,
        "total_completed": 0,
        "total_failed": 0,
        "next": None,
    }


def test_the_list_view_has_every_content(client: httpx.Client) -> None:
    """The view has only id and status, and includes idle contents."""
    publish(client, "a", "idle")
    publish(client, "b", "PROCESSING")
    publish(client, "c", "failed")
    assert client.get("/api/contents/ch/status?view=list").json() == [
        {"id": "c", "status": "error"},
        {"id": "b", "status": "generating"},
        {"id": "a", "status": "idle"},
    ]


def test_changes_have_the_events_after_a_cursor(client: httpx.Client) -> None:
    """Each event has its id; without later events, the cursor is the same."""
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


@pytest.mark.parametrize("wait", [0, 25])
def test_changes_resume_from_what_a_stream_resumes_from(client: httpx.Client, wait: int) -> None:
    """`Last-Event-ID` comes first, then `lastEventId`, then `since`; a void one of the first two is a reset."""
    first, second = publish(client, "a", "complete"), publish(client, "b", "complete")
    for header, query, expected in [
        ({"Last-Event-ID": first}, {"since": second}, (False, ["b"])),
        ({"Last-Event-ID": first}, {"lastEventId": second}, (False, ["b"])),
        ({}, {"lastEventId": first, "since": second}, (False, ["b"])),
        ({}, {"lastEventId": "nonsense", "since": second}, (True, ["a", "b"])),
        ({"Last-Event-ID": "nonsense"}, {"since": "nonsense"}, (True, ["a", "b"])),
    ]:
        params = {"wait": str(wait), **query}
        answer = client.get("/api/contents/ch/changes", params=params, headers=header).json()
        found = [event["data"]["content_id"] for event in answer["events"]]
        assert (answer["reset"], found) == expected, (header, query)


@pytest.mark.parametrize("query", ["", "?since=", "?wait=", "?something=else"])
def test_changes_without_a_cursor_are_the_whole_state(client: httpx.Client, query: str) -> None:
    """An empty cursor counts as none, and unknown query parameters are ignored."""
    cursor = publish(client, "a", "generating")
    answer = client.get(f"/api/contents/ch/changes{query}").json()
    assert (answer["cursor"], answer["reset"], len(answer["events"])) == (cursor, False, 1)


def test_changes_since_a_void_cursor_are_a_reset(client: httpx.Client) -> None:
    """A cursor of another epoch is answered immediately with `reset` and the whole state."""
    cursor = publish(client, "a", "generating")
    answer = client.get("/api/contents/ch/changes?since=zzz-9&wait=25").json()
    assert answer["reset"] is True
    assert answer["cursor"] == cursor
    assert [event["data"]["content_id"] for event in answer["events"]] == ["a"]


@pytest.mark.anyio
async def test_a_long_poll_ends_with_the_change_it_waits_for() -> None:
    """The poll stays open until an event is published, and returns that event."""
    async with serving() as (hub, client), anyio.create_task_group() as tasks:
        replica = hub.synchronizer.obtain(DEFAULT_TENANT, "ch")
        body = {"channel": "ch", "content_id": "a", "data": {"status": "generating"}}

        async def publish_once_a_poll_waits() -> None:
            while not replica.pollers:
                await anyio.lowlevel.checkpoint()
            await client.post("/api/publish", json=body)

        tasks.start_soon(publish_once_a_poll_waits)
        answer = await client.get("/api/contents/ch/changes?wait=25", timeout=30)
        assert [event["data"]["content_id"] for event in answer.json()["events"]] == ["a"]


def test_a_long_poll_that_times_out_keeps_its_cursor(client: httpx.Client) -> None:
    """The answer is empty, and its cursor is that of the request."""
    cursor = publish(client, "a", "generating")
    answer = client.get(f"/api/contents/ch/changes?since={cursor}&wait=0.05").json()
    assert answer == {"cursor": cursor, "reset": False, "events": []}


def test_a_batch_is_answered_in_the_order_of_its_ids(client: httpx.Client) -> None:
    """Repeated ids are answered repeatedly, unknown ones as not found, in any channel."""
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
    """The limit is inclusive, also for the longest names in their longest spelling."""
    ids = ["\U0001f600" * 125 + f"{place:03}" for place in range(100)]
    answer = client.post("/api/contents/status/batch", json={"content_ids": ids})
    assert [line["id"] for line in answer.json()["statuses"]] == ids


@pytest.mark.parametrize("name", ["jobs/instagram-sync", "ünï cödé", "a?b#c", "100%", "a/state", 'say "hi" \\ there'])
def test_names_may_hold_characters_that_urls_escape(client: httpx.Client, name: str) -> None:
    """All printable characters may be percent-encoded, and slashes may be literal."""
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
    """GET of the batch's path is 405, rather than an empty channel."""
    answer = client.get("/api/contents/status/batch")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_an_estimate_counts_from_the_time_of_the_report(client: httpx.Client) -> None:
    """The remaining time is added to the event's timestamp, not to now, so that a later poll does not move the end."""
    publish(client, "a", "generating", remaining_seconds=90, timestamp="2025-07-31T15:00:00+02:00")
    [line] = client.get("/api/contents/ch/status").json()["processing_contents"]
    assert datetime.fromisoformat(line["estimated_completion"]) == datetime(2025, 7, 31, 13, 1, 30, tzinfo=UTC)
