"""A tenant with a channel of 100,000 contents: what it costs, and what its readers cost its neighbours."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.model.publication import publication
from tests.support.hub_process import HubProcess, hub_process
from tests.support.redis_server import RedisServer
from tests.support.sse_client import StreamClient, open_stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import WAIT_SECONDS, eventually

pytestmark = [
    pytest.mark.redis,
    pytest.mark.alone,
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs smaps of Linux"),
]

CONTENTS: Final = 100_000

BIG, SMALL = bearer(tenant="big", read=["**"], write=["**"]), bearer(tenant="small", read=["**"], write=["**"])
"""The neighbour, and the tenant that is measured."""

READERS: Final = 10
"""Clients of the neighbour that read its channel simultaneously, each again and again."""

PROMPT_SECONDS: Final = 0.1
"""What half of the deliveries take at most: ten times what they do, and a fifth of what they took when each reader held
the loop. (docs/benchmarks.md has percentiles, which a busy machine moves.)"""

MEASURED_SECONDS: Final = 2.0
"""Long enough for each reader to have read the whole channel."""


def data(number: int) -> dict[str, Any]:
    return {"status": "generating", "progress": number % 100, "title": f"Clip {number}", "note": "x" * 150}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub whose broker holds the channel."""
    redis = RedisServer(tmp_path_factory.mktemp("redis"), appendonly=False)
    redis.start()
    try:
        anyio.run(_fill, redis.url)
        folder = tmp_path_factory.mktemp("hub")
        with hub_process(folder, broker=redis.url, secret=SECRET, read_rate=1e9) as hub:
            yield hub
    finally:
        redis.kill()


async def _fill(url: str) -> None:
    async with RedisBroker(url) as broker:
        for start in range(0, CONTENTS, 1_000):
            await broker.publish(
                "big",
                [
                    publication(channel="big", content_id=f"content-{n:06}", data=data(n))
                    for n in range(start, start + 1_000)
                ],
            )


def first_page(hub: HubProcess) -> dict[str, Any]:
    """A page of the channel, once the hub has read all of it."""
    with httpx.Client(base_url=hub.base_url, headers=BIG, timeout=WAIT_SECONDS) as client:

        def page() -> dict[str, Any]:
            answer = client.get("/api/contents/big/status")
            body: dict[str, Any] = answer.json() if answer.is_success else {}
            return body

        return eventually(page, within=60)


def test_a_replica_holds_its_data_once(hub: HubProcess) -> None:
    """A content takes 1.2 times its data and 400 bytes, also after it was polled and streamed."""
    before = hub.memory
    assert first_page(hub)["total_processing"] == CONTENTS
    with open_stream(hub.base_url, "/api/contents/big/events", BIG) as client:
        first = client.event()
        client.until("ready")
    size = len(json.dumps(first.json, separators=(",", ":")))
    assert (hub.memory - before) / CONTENTS <= 1.2 * size + 400


@pytest.mark.parametrize(
    ("path", "version"),
    [("/status", "1.1"), ("", "1.1"), ("/changes", "1.1"), ("/events", "1.1"), ("/events", "1.0")],
    ids=["summaries", "contents", "changes", "streams", "portable streams"],
)
def test_readers_of_a_big_channel_do_not_hold_up_others(hub: HubProcess, path: str, version: str) -> None:
    """While ten of them read all that they can, another tenant's events arrive promptly."""
    first_page(hub)
    over = threading.Event()
    readers = [threading.Thread(target=_read, args=(hub.base_url, path, version, over)) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        with (
            httpx.Client(base_url=hub.base_url, headers=SMALL, timeout=WAIT_SECONDS) as client,
            open_stream(hub.base_url, "/api/contents/small/events", SMALL) as viewer,
        ):
            until, delays = time.monotonic() + MEASURED_SECONDS, list[float]()
            while time.monotonic() < until or len(delays) < 5:
                delays.append(_delivery(client, viewer, len(delays)))
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert statistics.median(delays) < PROMPT_SECONDS


def _delivery(client: httpx.Client, viewer: StreamClient, number: int) -> float:
    """Seconds from before an event is published until it has arrived."""
    event = {"channel": "small", "content_id": "a", "data": {"status": "generating", "number": number}}
    began = time.monotonic()
    client.post("/api/publish", json=event).raise_for_status()
    viewer.until_content(number=number)
    return time.monotonic() - began


def _read(base_url: str, path: str, version: str, over: threading.Event) -> None:
    """Read this route until told that it is over."""
    address = urlsplit(base_url)
    lines = [f"GET /api/contents/big{path} HTTP/{version}", f"Host: {address.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in BIG.items()]
    while not over.is_set():
        with socket.create_connection((address.hostname, address.port), timeout=WAIT_SECONDS) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            end = b""
            # A stream has no end; another begins once the state is read.
            while (part := connection.recv(256 * 1024)) and b"event: ready" not in end + part and not over.is_set():
                end = part[-20:]
