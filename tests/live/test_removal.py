"""Removal on request, as every kind of client meets it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from statushub import Invalid, Producer, SyncProducer
from statushub.hub.api.removal import REMOVED_IDS
from statushub.hub.model.receipt import Refusal
from tests.support.command import command
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer
from tests.support.socket_client import open_socket
from tests.support.sse_client import outline, stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

GONE = "content_removed"


@pytest.fixture(scope="module", params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def hub(request: pytest.FixtureRequest) -> Iterator[LiveHub]:
    """A hub on each broker; tests have channels of their own."""
    url = "memory:"
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        url = f"redis://127.0.0.1:{server.port}/11"
    with live_hub(url) as hub:
        yield hub


@pytest.fixture
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.base_url) as client:
        yield client


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A channel of the test's own, with a slash in its name."""
    return f"removal/{re.sub('[^a-z0-9]', '-', request.node.name)}"


def put(client: httpx.Client, channel: str, *names: str, **more: Any) -> str:
    """Publish contents; returns the last cursor."""
    events = [
        {"channel": channel, "content_id": f"{channel}-{it}", "data": {"status": "generating"}} | more for it in names
    ]
    answer = client.post("/api/publish", json={"events": events})
    assert [result["accepted"] for result in answer.json()["results"]] == [True] * len(names)
    return str(answer.json()["results"][-1]["cursor"])


def remove(client: httpx.Client, channel: str, *names: str, **options: Any) -> dict[str, Any]:
    """Remove contents by their short names, or all."""
    body = {"content_ids": [f"{channel}-{it}" for it in names]} if names else {"all": True}
    answer = client.post(f"/api/contents/{channel}/remove", json=body, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def listed(client: httpx.Client, channel: str) -> list[str]:
    return [it["content_id"] for it in client.get(f"/api/contents/{channel}").json()["contents"]]


def test_the_answer_names_what_was_removed(client: httpx.Client, channel: str) -> None:
    """And what the channel did not have, contents of other channels included, once each."""
    last = put(client, channel, "a", "b")
    put(client, f"{channel}/other", "there")
    body = {"content_ids": [f"{channel}-a", f"{channel}/other-there", "unknown", "unknown"]}
    answer = client.post(f"/api/contents/{channel}/remove", json=body).json()
    assert answer | {"cursor": ""} == {
        "removed": 1,
        "content_ids": [f"{channel}-a"],
        "unknown": [f"{channel}/other-there", "unknown"],
        "cursor": "",
    }
    assert int(answer["cursor"].split("-")[1]) > int(last.split("-")[1])
    assert listed(client, f"{channel}/other") == [f"{channel}/other-there"]


def test_polls_no_longer_have_it(client: httpx.Client, channel: str) -> None:
    """Batches say not_found; lists, summaries, pages and jobs do not have it, and their tags have changed."""
    put(client, channel, "a", "b")
    first, second = f"{channel}-a", f"{channel}-b"
    batch = {"content_ids": [first, second]}
    before = client.post("/api/contents/status/batch", json=batch)
    page = client.get(f"/api/contents/{channel}")
    remove(client, channel, "a")

    def gone() -> bool:
        return listed(client, channel) == [second]

    eventually(gone)
    lines = client.post("/api/contents/status/batch", json=batch, headers={"If-None-Match": before.headers["etag"]})
    assert [line["status"] for line in lines.json()["statuses"]] == ["not_found", "generating"]
    assert client.get(f"/api/contents/{channel}", headers={"If-None-Match": page.headers["etag"]}).status_code == 200
    assert client.get(f"/api/contents/{channel}/status").json()["total_processing"] == 1
    assert [it["id"] for it in client.get(f"/api/contents/{channel}/status?view=list").json()] == [second]
    jobs = client.post("/v1/ai/jobs/batch-status", json={"job_ids": [first]}).json()["jobs"]
    assert jobs[first]["status"] == "not_found"


def test_a_cursor_learns_of_it(client: httpx.Client, channel: str) -> None:
    """A poll since a cursor of before has the tombstone; one without a cursor does not."""
    before = put(client, channel, "a", "b")
    cursor = remove(client, channel, "a")["cursor"]
    changes = f"/api/contents/{channel}/changes"
    found = client.get(changes, params={"since": before, "wait": 20}).json()
    assert [(it["id"], it["type"], it["data"]) for it in found["events"]] == [
        (cursor, GONE, {"content_id": f"{channel}-a", "channel_id": channel})
    ]
    assert found["reset"] is False
    assert [it["type"] for it in client.get(changes).json()["events"]] == ["content_status_update"]


@pytest.mark.anyio
async def test_a_long_poll_is_woken(hub: LiveHub, client: httpx.Client, channel: str) -> None:
    """It waits at the moment of the removal."""
    before = put(client, channel, "a")
    async with httpx.AsyncClient(base_url=hub.base_url) as waiting:
        path = f"/api/contents/{channel}/changes"
        poll = asyncio.create_task(waiting.get(path, params={"since": before, "wait": 25}, timeout=40))
        await asyncio.to_thread(eventually, lambda: bool(replica_pollers(hub, channel)))
        cursor = (await asyncio.to_thread(remove, client, channel, "a"))["cursor"]
        assert [(it["id"], it["type"]) for it in (await poll).json()["events"]] == [(cursor, GONE)]


def replica_pollers(hub: LiveHub, channel: str) -> int:
    replica = hub.hub.registry.find("default", channel)
    return len(replica.pollers) if replica else 0


def test_streams_learn_of_it(hub: LiveHub, client: httpx.Client, channel: str) -> None:
    """One that is open, and one that resumes; a new one does not have it."""
    before = put(client, channel, "a", "b")
    path = channel.replace("/", "%2F")
    with stream(hub, channel=path) as opened:
        opened.until("ready")
        cursor = remove(client, channel, "a")["cursor"]
        frame = opened.event()
        assert (frame.event, frame.id, frame.json["content_id"]) == (GONE, cursor, f"{channel}-a")
    with stream(hub, channel=path, cursor=before) as resumed:
        assert outline(resumed.until("ready"))[0] == (GONE, f"{channel}-a")
    with stream(hub, channel=path) as fresh:
        assert outline(fresh.until("ready"))[:-1] == [("content_status_update", f"{channel}-b")]


def test_sockets_learn_of_it(hub: LiveHub, client: httpx.Client, channel: str) -> None:
    """One that is open, and one that resumes."""
    before = put(client, channel, "a")
    with open_socket(hub.base_url, f"/api/contents/{channel}/ws") as opened:
        opened.until("ready")
        cursor = remove(client, channel, "a")["cursor"]
        message = opened.message()
        assert (message["type"], message["id"], message["data"]["content_id"]) == (GONE, cursor, f"{channel}-a")
    with open_socket(hub.base_url, f"/api/contents/{channel}/ws?since={before}") as resumed:
        assert GONE in [it["type"] for it in resumed.until("ready")]


def test_its_former_run_is_refused(client: httpx.Client, channel: str) -> None:
    """`removed` is the reason; a later publication begins anew."""
    put(client, channel, "a", run="one", age_ms=60_000)
    remove(client, channel, "a")
    event = {"channel": channel, "content_id": f"{channel}-a", "data": {"status": "complete"}}
    late = client.post("/api/publish", json=event | {"run": "one", "age_ms": 60_000}).json()
    assert late == {"accepted": False, "reason": "removed"}
    assert client.post("/api/publish", json=event).json()["attempt"] == 2


def test_all_of_a_channel_is_removed(client: httpx.Client, channel: str) -> None:
    """The answer has their number, and no names; the channel's tombstones are read like any."""
    before = put(client, channel, *map(str, range(350)))
    answer = remove(client, channel)
    assert (answer["removed"], set(answer)) == (350, {"removed", "cursor"})
    changes = client.get(f"/api/contents/{channel}/changes", params={"since": before, "wait": 20}).json()
    while changes["cursor"] != answer["cursor"]:
        more = client.get(f"/api/contents/{channel}/changes", params={"since": changes["cursor"], "wait": 20}).json()
        changes = {**more, "events": changes["events"] + more["events"]}
    assert [it["type"] for it in changes["events"]] == [GONE] * 350
    assert listed(client, channel) == []
    assert remove(client, channel)["removed"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "content_ids", id="neither"),
        pytest.param({"all": False}, "content_ids", id="not all"),
        pytest.param({"content_ids": ["a"], "all": True}, "all", id="both"),
        pytest.param({"content_ids": []}, "content_ids", id="none"),
        pytest.param({"content_ids": ["a"] * (REMOVED_IDS + 1)}, "content_ids", id="too many"),
        pytest.param({"content_ids": ["a", "b*"]}, "content_ids[1]", id="no name"),
        pytest.param({"content_ids": "a"}, "content_ids", id="no list"),
        pytest.param({"contents": ["a"]}, "contents", id="unknown field"),
    ],
)
def test_a_body_at_fault_removes_nothing(client: httpx.Client, channel: str, body: Any, field: str) -> None:
    """The answer is 422 and names the field."""
    put(client, channel, "a")
    answer = client.post(f"/api/contents/{channel}/remove", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert listed(client, channel) == [f"{channel}-a"]


@pytest.mark.parametrize("word", ["remove", "cancel"])
def test_the_path_is_no_channel(client: httpx.Client, word: str) -> None:
    """Reading it would hide the mistake."""
    answer = client.get(f"/api/contents/c/{word}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_removing_needs_the_right_to_write() -> None:
    """Of this channel: reading it is not enough, nor is writing another one; a ticket never is."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        for channels in ([], ["d"]):
            answer = client.post("/api/contents/c/remove", json={"all": True}, headers=bearer(write=channels))
            assert (answer.status_code, answer.json()["error"]["field"]) == (403, "channel_id")
        ticket = client.post("/api/tickets", headers=bearer()).json()["ticket"]
        assert client.post("/api/contents/c/remove", params={"ticket": ticket}, json={"all": True}).status_code == 403
        assert client.post("/api/contents/c/remove", json={"all": True}).status_code == 401
        assert client.post("/api/contents/c/remove", json={"all": True}, headers=bearer(write=["c"])).is_success


def test_tenants_remove_only_their_own() -> None:
    """The same names in another tenant stay."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        event = {"channel": "c", "content_id": "a", "data": {"status": "idle"}}
        for tenant in ("acme", "other"):
            client.post("/api/publish", json=event, headers=bearer(tenant=tenant)).raise_for_status()
        client.post("/api/contents/c/remove", json={"all": True}, headers=bearer(tenant="acme")).raise_for_status()
        kept = client.get("/api/contents/c", headers=bearer(tenant="other")).json()["contents"]
        assert [it["content_id"] for it in kept] == ["a"]


@pytest.fixture(params=["http", pytest.param("redis", marks=pytest.mark.redis)])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a hub, and that of its Redis."""
    server: RedisServer = request.getfixturevalue("redis_server")
    url = f"redis://127.0.0.1:{server.port}/11"
    with live_hub(url) as hub:
        yield hub.base_url if request.param == "http" else url


def test_a_producer_removes(address: str, channel: str) -> None:
    """Named contents, of which more than one request takes, and all; and its work is refused from then on."""
    with SyncProducer(address) as producer:
        names = [f"{channel}-{number}" for number in range(REMOVED_IDS + 20)]
        for name in names:
            producer.publish(name, channel=channel, status="generating")
        removed = producer.remove(channel, *names[:-10], "unknown", "unknown")
        assert (removed.count, removed.unknown) == (REMOVED_IDS + 10, ("unknown",))
        with producer.work("removal-work", channel=channel) as work:
            eventually(lambda: work.attempt is not None)
            assert producer.remove(channel, all=True).count == 11
            work.update(progress=50)
            eventually(lambda: work.refused is Refusal.REMOVED)
        assert producer.remove(channel, all=True).count == 0
        for names, everything in (([], False), (["a"], True)):
            with pytest.raises(Invalid):
                producer.remove(channel, *names, all=everything)


def test_a_job_that_is_queued_again_begins_anew(address: str, channel: str) -> None:
    """Under the same name of its run; the removed run itself does not come back."""
    with SyncProducer(address) as producer:

        def worked() -> bool:
            with producer.work(f"{channel}-again", channel=channel, run="job-1/0") as work:
                return work.complete()

        assert worked()
        with producer.work(f"{channel}-again", channel=channel, run="job-1/1") as late:
            eventually(lambda: late.attempt is not None)
            assert producer.remove(channel, f"{channel}-again").count == 1
            late.update(progress=50)
            eventually(lambda: late.refused is Refusal.REMOVED)
        # Within one millisecond the broker cannot tell which came first.
        eventually(worked)


@pytest.mark.anyio
async def test_an_asynchronous_producer_removes(address: str, channel: str) -> None:
    """As the ordinary one."""
    async with Producer(address) as producer:
        await producer.publish(f"{channel}-a", channel=channel, status="generating")
        removed = await producer.remove(channel, f"{channel}-a", "unknown")
        assert (removed.count, removed.unknown) == (1, ("unknown",))


def test_the_command_removes(address: str, channel: str) -> None:
    """It prints how many, names on stderr what is not there, and asks nothing."""
    option = "--hub" if address.startswith("http") else "--broker"
    with SyncProducer(address) as producer:
        for name in ("a", "b", "c"):
            producer.publish(f"{channel}-{name}", channel=channel, status="generating")
    done = command("remove", channel, f"{channel}-a", "unknown", option, address)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "removed: 1\n",
        f"statushub: {channel} has no content unknown\n",
    )
    done = command("remove", channel, "--all", option, address)
    assert (done.returncode, done.stdout) == (0, "removed: 2\n")


@pytest.mark.parametrize("arguments", [(), ("a", "--all")])
def test_the_command_wants_either_names_or_all(arguments: tuple[str, ...]) -> None:
    """An empty list removes nothing."""
    done = command("remove", "c", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--all" in done.stderr
