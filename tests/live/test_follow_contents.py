"""`Contents` equal the hub's list after random publications, cuts, restarts and lost files."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub.producers.following.contents import Contents
from tests.live.clients.stage import Stage, open_stage
from tests.support.following import KINDS, following
from tests.support.nginx_server import plain_nginx
from tests.support.tokens import bearer, token
from tests.support.waiting import eventually

CHANNELS = ("a", "a/b", "c")
STATUSES = ("pending", "generating", "complete", "error")
STEPS = 60


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A hub that can be stopped and lose its file, behind a proxy that cuts."""
    with open_stage(tmp_path) as stage:
        yield stage


class Chance:
    """Random actions; `seen` is how often each was done."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.seen: dict[str, int] = {}
        self._stage = stage
        self._random = random.Random(seed)
        self._runs = count()
        self._actions: dict[str, tuple[Callable[[], object], int]] = {
            "publish": (self.publish, 20),
            "sever": (stage.sever, 3),
            "cut": (stage.cut, 6),
            "restart": (self.restart, 1),
            "forget": (self.forget, 1),
        }

    def act(self) -> None:
        """Do anything, and everything once."""
        names = [*self._actions]
        undone = [name for name in names if name not in self.seen]
        weights = [weight for _, weight in self._actions.values()]
        name = undone[0] if len(undone) and self._random.random() < 0.1 else self._random.choices(names, weights)[0]
        self.seen[name] = self.seen.get(name, 0) + 1
        self._actions[name][0]()

    def publish(self) -> None:
        """A few events; each content stays in its channel."""
        self.send(
            [
                self.event(f"{channel}-{self._random.randrange(12)}", channel, self._random.choice(STATUSES))
                for channel in self._random.choices(CHANNELS, k=self._random.randint(1, 8))
            ]
        )

    def event(self, content_id: str, channel: str, status: str) -> dict[str, Any]:
        data = {"status": status, "title": "x" * self._random.randrange(2_000), "number": next(self._runs)}
        run = {"run": f"r{next(self._runs)}", "restart": True}
        return {"channel": channel, "content_id": content_id, "data": data, **run}

    def send(self, events: list[dict[str, Any]]) -> None:
        url = f"{self._stage.hub_url}/api/publish"
        httpx.post(url, json={"events": events}, headers=bearer()).raise_for_status()

    def restart(self) -> None:
        """The hub keeps its file."""
        self._stage.stop()
        self._stage.start()

    def forget(self) -> None:
        """It loses its file, and begins another epoch."""
        self._stage.stop()
        self._stage.forget()
        self._stage.start()


def listed(stage: Stage) -> dict[str, dict[str, Any]]:
    """What the hub holds."""
    found = {}
    for channel in CHANNELS:
        url = f"{stage.hub_url}/api/contents/{channel.replace('/', '%2F')}"
        answer = httpx.get(url, headers=bearer()).raise_for_status().json()
        found[channel] = {status["content_id"]: status for status in answer["contents"]}
    return {channel: statuses for channel, statuses in found.items() if statuses}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("way", ["stream", "polls"])
@pytest.mark.parametrize("kind", KINDS)
def test_contents_are_what_the_hub_lists(kind: str, way: str, seed: int, stage: Stage, tmp_path: Path) -> None:
    """In the end; and no state of a content is older than the one before it in the same life of the clock."""
    chance = Chance(stage, seed)
    blocked = r"location ~ /events$ { return 502; }"
    with plain_nginx(tmp_path / "nginx", stage.hub_url, *([blocked] if way == "polls" else [])) as url:
        if way == "polls":
            stage.lead_to(url)
        with following(kind, stage.base_url, channels=CHANNELS, token=token()) as told:
            for _ in range(STEPS):
                chance.act()
            chance.send([chance.event("last", "c", "complete")])
            told.until(content_id="last")
            expected = listed(stage)

            def contents() -> dict[str, dict[str, Any]]:
                contents = Contents()
                for change in list(told.changes):
                    contents.apply(change)
                return {channel: dict(statuses) for channel, statuses in contents.items()} if contents.ready else {}

            eventually(lambda: contents() == expected)
            assert set(chance.seen) == {"publish", "sever", "cut", "restart", "forget"}
            assert told.error is None
            assert_in_order(told.changes)


def assert_in_order(changes: list[Any]) -> None:
    """Between resets the number of a content, which grows with each publication, never falls."""
    numbers: dict[str, int] = {}
    for change in changes:
        if change.type == "reset":
            numbers.clear()
        if change.content_id:
            assert change.data["number"] > numbers.get(change.content_id, -1)
            numbers[change.content_id] = change.data["number"]
