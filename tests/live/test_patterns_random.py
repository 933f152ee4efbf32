"""Over random births, changes, removals and reconnects, pattern viewers show exactly what the broker holds."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

import pytest
import redis

from statushub.hub.auth.patterns import Patterns
from statushub.hub.http.handover import HandoverProtocol
from statushub.hub.intervals import Intervals
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.vocabulary import CONTENT_REMOVED
from tests.support.effort import part
from tests.support.frames import Frame
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream
from tests.support.waiting import eventually

ROUNDS: Final = 30
DATABASE: Final = 9
PATTERNS: Final = ("jobs/**", "jobs/1*", "**")
CHANNELS: Final = 60
FAST: Final = Intervals(directory=0.05, audit=0.2, eviction=0.02, idle=0.05)


class Viewer:
    """Follows a pattern in a thread of its own, at one of several hubs, and drops its connection at random."""

    def __init__(self, hubs: Sequence[LiveHub], match: str, seed: int) -> None:
        self.match = match
        self.states: dict[str, tuple[Cursor, str]] = {}
        self.faults: list[str] = []
        self.resets = 0
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
        version = self._rng.choice(("1.1", "1.0"))
        with open_stream(hub.base_url, f"/api/events?match={self.match}", headers, version=version) as stream:
            if stream.status != 200:
                self.faults.append(f"status {stream.status}")
                self._closed.set()
                return
            stream.socket.settimeout(2.0)
            left = self._rng.choice((5, 50, 500, 5_000))
            while left and not self._closed.is_set():
                frame = stream.frame()
                left -= frame.event != "heartbeat"
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.event == "reset":
            self.resets += 1
            self.states.clear()
            self._cursor = ""
        elif frame.id:
            cursor, data = Cursor.parse(frame.id), frame.json
            if self._cursor and not Cursor.parse(self._cursor).precedes(cursor):
                self.faults.append(f"{frame.id} after {self._cursor}")
            if not Patterns([self.match]).match(data["channel_id"]):
                self.faults.append(f"{data['channel_id']} is not in {self.match}")
            content = data["content_id"]
            known = self.states.get(content)
            if known is not None and not known[0].precedes(cursor):
                self.faults.append(f"{content} went back to {frame.id}")
            self.states[content] = (cursor, frame.event or "")
            self._cursor = frame.id


class Load:
    """Publishes at random, and remembers what it has published where."""

    def __init__(self, hubs: Sequence[LiveHub], seed: int) -> None:
        self.channels: dict[str, str] = {}
        self._hubs = hubs
        self._rng = random.Random(seed)
        self._now = time.time()

    def round(self) -> None:
        """A burst of births and changes, through one hub; sometimes an end of retention."""
        rng = self._rng
        hub = rng.choice(self._hubs)
        batch = [self._one() for _ in range(rng.choice((1, 3, 40)))]
        hub.run(hub.hub.broker.publish(DEFAULT_TENANT, batch, retention=rng.choice((None, 30.0))))
        if rng.random() < 0.1:
            self._now = max(self._now, time.time()) + 31
            hub.run(hub.hub.broker.expire(self._now))

    def _one(self) -> Publication:
        rng = self._rng
        if self.channels and rng.random() < 0.6:
            content = rng.choice([*self.channels])
        else:
            content = f"c{len(self.channels)}"
            self.channels[content] = f"{rng.choice(('jobs', 'jobs', 'films'))}/{rng.randrange(CHANNELS)}"
        status = rng.choice(("generating", "generating", "complete"))
        return publication(
            channel=self.channels[content],
            content_id=content,
            data={"status": status, "n": rng.random()},
            run=f"r{rng.random()}",
        )


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def hubs(request: pytest.FixtureRequest) -> Iterator[list[LiveHub]]:
    """One hub on an embedded broker; or two on a Redis, of which one hands no stream over."""
    if request.param == "embedded":
        with live_hub(http=HandoverProtocol, intervals=FAST) as hub:
            yield [hub]
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    with redis.Redis(port=server.port, db=DATABASE) as client:
        client.flushdb()
    url = f"redis://127.0.0.1:{server.port}/{DATABASE}"
    with (
        live_hub(url, http=HandoverProtocol, intervals=FAST) as one,
        live_hub(url, http="h11", intervals=FAST) as other,
    ):
        yield [one, other]


def held(hub: LiveHub, load: Load, match: str) -> dict[str, tuple[int, str]]:
    """Offset and type of each content that the pattern names and the broker knows."""
    wanted = [content for content, channel in load.channels.items() if Patterns([match]).match(channel)]
    found = hub.run(hub.hub.broker.lookup(DEFAULT_TENANT, wanted))
    return {content: (event.offset, event.type) for content, event in zip(wanted, found.events, strict=True) if event}


@pytest.mark.parametrize("seed", range(3))
def test_viewers_show_exactly_what_the_broker_holds(hubs: list[LiveHub], seed: int) -> None:
    """Each content ends in the broker's last state, ids increase over all reconnects, and no state goes back."""
    load = Load(hubs, seed)
    viewers = [Viewer(hubs, match, seed * 10 + n) for n, match in enumerate(PATTERNS * 2)]
    try:
        for _ in range(part(ROUNDS) * 10):
            load.round()
        for viewer in viewers:
            truth = held(hubs[0], load, viewer.match)

            def shown(viewer: Viewer = viewer, truth: dict[str, tuple[int, str]] = truth) -> bool:
                live = {it: (at.offset, kind) for it, (at, kind) in [*viewer.states.items()]}
                gone = {it for it, (_, kind) in live.items() if kind == CONTENT_REMOVED and it not in truth}
                return {it: state for it, state in live.items() if it not in gone} == {
                    it: state for it, state in truth.items() if state[1] != CONTENT_REMOVED or it in live
                }

            eventually(shown)
    finally:
        for viewer in viewers:
            viewer.close()
    assert [fault for viewer in viewers for fault in viewer.faults] == []
    assert [viewer.resets for viewer in viewers] == [0] * len(viewers)
