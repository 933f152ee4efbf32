"""Over random changes, removals, growth and reconnects, filtered viewers show exactly what the hub holds of their
contents, and no final state is missed."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Sequence
from typing import Any, Final

import httpx
import pytest

from statushub.hub.intervals import Intervals
from statushub.hub.model.cursor import Cursor
from tests.support.effort import part
from tests.support.frames import Frame
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream
from tests.support.waiting import eventually

ROUNDS: Final = 150
CONTENTS: Final = tuple(f"v{n}" for n in range(12))
BORN: Final = tuple(f"c{n}" for n in range(1, len(CONTENTS), 3))
"""Channels of one content each, which come into being, or are forgotten, while they are followed."""

SCOPES: Final = ("channel=a", "channel=a&channel=b", "match=**", "match=a&channel=b")
DATABASE: Final = 13
FAST: Final = Intervals(directory=0.05, audit=0.2, eviction=0.02, idle=0.05)


class Viewer:
    """Follows some contents in a thread of its own, at one of several hubs, and drops its connection at random."""

    def __init__(self, hubs: Sequence[LiveHub], scope: str, wanted: Sequence[str], seed: int) -> None:
        self.scope = scope
        self.wanted = frozenset(wanted)
        self.states: dict[str, dict[str, Any]] = {}
        self.faults: list[str] = []
        self._hubs = hubs
        self._rng = random.Random(seed)
        self._cursor = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError, EOFError):
                self._follow(self._rng.choice(self._hubs))

    def _follow(self, hub: LiveHub) -> None:
        headers = {"Last-Event-ID": self._cursor} if self._cursor else {}
        named = "".join(f"&content_id={name}" for name in self.wanted)
        version = self._rng.choice(("1.1", "1.0"))
        path = f"/api/events?{self.scope}{named}&heartbeat=2"
        with open_stream(hub.base_url, path, headers, version=version) as stream:
            if stream.status != 200:
                self.faults.append(f"status {stream.status}")
                self._closed.set()
                return
            stream.socket.settimeout(0.5)
            left = self._rng.choice((3, 30, 3_000))
            while left and not self._closed.is_set():
                with contextlib.suppress(TimeoutError):
                    self._take(stream.frame())
                left -= 1

    def _take(self, frame: Frame) -> None:
        if frame.event == "reset":
            self.states.clear()
            self._cursor = ""
            return
        if frame.id:
            if self._cursor and Cursor.parse(frame.id).precedes(Cursor.parse(self._cursor)):
                self.faults.append(f"{frame.id} after {self._cursor}")
            self._cursor = frame.id
        if frame.event in ("heartbeat", "ready", "drain", None):
            return
        name = frame.json["content_id"]
        if name not in self.wanted:
            self.faults.append(f"{name} is not wanted")
        if frame.event == "content_removed":
            self.states.pop(name, None)
        else:
            self.states[name] = frame.json


def state(client: httpx.Client, scope: str, wanted: frozenset[str]) -> dict[str, dict[str, Any]]:
    """What the hub holds of these contents."""
    channels = ["a"] if scope == "channel=a" else ["a", "b"]
    if scope == "match=**":
        channels += BORN
    found: dict[str, dict[str, Any]] = {}
    for channel in channels:
        for event in client.get(f"/api/contents/{channel}/changes").json()["events"]:
            if event["data"]["content_id"] in wanted and event["type"] != "content_removed":
                found[event["data"]["content_id"]] = event["data"]
    return found


@pytest.mark.parametrize("kind", ["memory", pytest.param("redis", marks=pytest.mark.redis)])
def test_filtered_viewers_show_what_is_there(kind: str, request: pytest.FixtureRequest) -> None:
    """Each in the end has the last state of each of its contents, and was never sent another content."""
    url = "memory:"
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.command("-n", str(DATABASE), "FLUSHDB")
        url = f"redis://127.0.0.1:{server.port}/{DATABASE}"
    rng = random.Random()
    with contextlib.ExitStack() as stack:
        hubs = [stack.enter_context(live_hub(url, intervals=FAST)) for _ in range(2 if kind == "redis" else 1)]
        client = stack.enter_context(httpx.Client(base_url=hubs[0].base_url, timeout=30))
        viewers = []
        for scope in SCOPES:
            viewer = Viewer(hubs, scope, rng.sample(CONTENTS, 4), rng.randrange(10**6))
            stack.callback(viewer.close)
            viewers.append(viewer)
        homes = {name: ("a", f"c{n}", "b")[n % 3] for n, name in enumerate(CONTENTS)}
        seqs = dict.fromkeys(CONTENTS, 0)
        for number in range(part(ROUNDS)):
            name = rng.choice(CONTENTS)
            channel = homes[name]
            kind_of = rng.random()
            if kind_of < 0.1:
                client.post(f"/api/contents/{channel}/remove", json={"content_ids": [name]}).raise_for_status()
                continue
            seqs[name] += 1
            event: dict[str, Any] = {"channel": channel, "content_id": name, "restart": True, "run": f"r{number}"}
            word = rng.choice(["generating", "generating", "completed", "error"])
            event |= {"data": {"status": word, "text": "", "n": number}, "seq": 1}
            events = [event]
            if word == "generating" and kind_of < 0.6:
                grown = {"delta": {"follows": 1, "append": {"text": "grown"}}, "seq": 2}
                events.append({name: event[name] for name in ("channel", "content_id", "run")} | grown)
            client.post("/api/publish", json={"events": events}).raise_for_status()
        for viewer in viewers:
            eventually(
                lambda viewer=viewer: (
                    viewer.faults  # type: ignore[misc]
                    or viewer.states == state(client, viewer.scope, viewer.wanted)
                )
            )
            assert viewer.faults == [], json.dumps(viewer.faults)
