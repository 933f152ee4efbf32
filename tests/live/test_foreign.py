"""Redis accepts workers in any language: invalid entries and announcements of one must not harm the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis

from statushub.hub.model.names import DEFAULT_TENANT
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish
from tests.support.redis_server import running_redis
from tests.support.sse_client import outline, stream
from tests.support.waiting import eventually

pytestmark = pytest.mark.redis

P = "hub:{default}"
Command = tuple[str | bytes | int, ...]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis that is empty for each test."""
    with running_redis(tmp_path, appendonly=False) as server, Redis(port=server.port) as client:
        yield client


@pytest.fixture
def hub(redis: Redis) -> Iterator[LiveHub]:
    """A hub over that Redis."""
    with live_hub(f"redis://127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/0", heartbeat=0.3) as hub:
        yield hub


def execute(redis: Redis, *command: str | bytes | int) -> None:
    redis.execute_command(*command)  # type: ignore[no-untyped-call]


def fcall(content_id: bytes, type: bytes, data: bytes, *, lease: str = "") -> Command:
    return ("FCALL", "statushub_publish", 1, P, "", "c", content_id, type, "0", "", "", lease, data)


def spublish(message: bytes) -> Command:
    return ("SPUBLISH", f"{P}:events:c", message)


JUNK: dict[str, list[Command]] = {
    "broken UTF-8": [spublish(b"EPOCH\t9\t0\t\xff\xfe\tt\n{}")],
    "no fields": [spublish(b"junk"), spublish(b"")],
    "another epoch": [spublish(b"nope\t5\t0\tx\tt\n{}")],
    "a line break in a type": [spublish(b"EPOCH\t2\t1\tx\tt\rdata: injected\n{}")],
    "numbers beyond counting": [
        spublish(b"EPOCH\t99999999999999999999\t0\tx\tt\n{}"),
        spublish(b"EPOCH\t9007199254740993\t9007199254740992\tx\tt\n{}"),
        spublish(b"EPOCH\t" + b"9" * 5_000 + b"\t0\tx\tt\n{}"),
        spublish(b"EPOCH\t-5\t-9\tx\tt\n{}"),
    ],
    "no JSON": [fcall(b"e1", b"t", b""), fcall(b"e2", b"t", b"\xff no \r\n\r\nid: 7"), fcall(b"e3", b"t", b"[]")],
    "no JSON, with a lease": [fcall(b"e4", b"t", b"\xff[", lease="0.01"), ("SADD", "hub:tenants", "default")],
    "odd names": [fcall(b"\xff\xfe", b"t", b"{}"), fcall(b"e5", b"\xff", b"{}"), fcall(b"e6", b"heartbeat", b"{}")],
    "half a content": [("HSET", f"{P}:content:h1", "channel", "c"), ("ZADD", f"{P}:channel:c", 50, "h1")],
    "half a content with a lease": [
        ("HSET", f"{P}:content:h1", "channel", "c"),
        ("HSET", f"{P}:content:h1", "leased", "1"),
        ("ZADD", f"{P}:leases", 1, "h1"),
        ("SADD", "hub:tenants", "default"),
    ],
    "an entry without a content": [("ZADD", f"{P}:channel:c", "1e300", "h2")],
    "odd tenants": [("SADD", "hub:tenants", b"\xff\xfe}{")],
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_invalid_entries_and_announcements_are_skipped(redis: Redis, hub: LiveHub, junk: list[Command]) -> None:
    """The hub, its streams and its polls go on, and valid events arrive."""
    with stream(hub) as client:
        client.until("ready")
        epoch = publish(hub, "a", "generating").partition("-")[0]
        client.event()
        for command in junk:
            execute(redis, *(w.replace(b"EPOCH", epoch.encode()) if isinstance(w, bytes) else w for w in command))
        hub.call(hub.hub.ingest.lost)
        hub.call(hub.hub.ingest.restored)
        replica = hub.hub.registry.find(DEFAULT_TENANT, "c")
        assert replica is not None
        eventually(lambda: replica.live)
        hub.run(hub.hub.broker.expire(time.time() + 60))
        publish(hub, "b", "complete")
        frames = [client.event()]
        while '"content_id":"b"' not in frames[-1].data:
            frames.append(client.event())
        assert not [frame for frame in frames if "injected" in frame.data]
        with stream(hub) as late:
            assert ("processing_complete", "b") in outline([f for f in late.until("ready") if '"content_id"' in f.data])
        for path in ("", "/status", "/changes"):
            assert httpx.get(f"{hub.base_url}/api/contents/c{path}").status_code == 200
        ids = {"content_ids": ["a", "h1", "e2", "b"]}
        assert httpx.post(f"{hub.base_url}/api/contents/status/batch", json=ids).status_code == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_no_separator_that_a_straight_publisher_stored_reaches_a_frame(
    redis: Redis, hub: LiveHub, version: str
) -> None:
    """A live event and a first state are on one line of a frame for readers that split as `str.splitlines` does."""
    data = '{"content_id":"a","channel_id":"c","status":"complete","text":"\x85\u2028\u2029"}'.encode()
    with stream(hub, version=version) as live:
        live.until("ready")
        execute(redis, *fcall(b"a", "x\u2028".encode(), data))
        # The reader of the tests refuses frames with such characters.
        assert live.event().json["text"] == "\x85\u2028\u2029"
    with stream(hub, version=version) as late:
        assert late.event().json["text"] == "\x85\u2028\u2029"


def test_an_invalid_content_hides_no_other(redis: Redis, hub: LiveHub) -> None:
    """A key of another type or with an invalid offset is unknown, and the other contents are answered."""
    publish(hub, "a", "complete")
    execute(redis, "SET", f"{P}:content:text", "no hash")
    for place, offset in enumerate(("1.5", "1e3", "-1", "", "x")):
        execute(redis, "HSET", f"{P}:content:odd-{place}", "channel", "c", "offset", offset, "type", "t", "data", "{}")
    asked = ["text", *(f"odd-{place}" for place in range(5)), "a"]
    answer = httpx.post(f"{hub.base_url}/api/contents/status/batch", json={"content_ids": asked})
    assert [line["status"] for line in answer.json()["statuses"]] == ["not_found"] * 6 + ["complete"]


def test_a_short_retention_ends_only_its_own_content(redis: Redis, hub: LiveHub) -> None:
    """A worker's own retention does not apply to other contents of the channel."""
    publish(hub, "a", "complete")
    execute(redis, "FCALL", "statushub_publish", 1, P, "50", "c", "brief", "t", "1", "", "", "", b"{}")
    eventually(lambda: not redis.hexists(f"{P}:content:brief", "data"))
    with stream(hub) as client:
        assert outline(client.until("ready")) == [("processing_complete", "a"), ("ready", "")]
