"""`python -m tests.bench.bystander`: what another tenant's polls and deliveries take while a neighbour does each of the
things of `misbehaviour`."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec

from tests.bench import misbehaviour, report
from tests.bench.harness import Beside
from tests.bench.measure import LOAD_CORE, SERVER_CORE, on_core
from tests.support.command import environment
from tests.support.ports import free_port, wait_for_port
from tests.support.redis_server import RedisServer
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer

SECONDS: Final = 10.0
"""How long the neighbour is at it while the other tenant is measured."""

RATE: Final = 50.0
"""Polls and events of the other tenant, each per second."""

ROOMY: Final = "512mb"
TIGHT: Final = "48mb"
"""What Redis has, and what it has for the act that fills it."""

QUOTA: Final = {"STATUSHUB_MAX_BYTES_TENANT": str(24 * 1024**2)}
"""For that act: less than Redis has, as docs/deployment.md recommends."""

GIVE_UP: Final = 60.0
DOCS: Final = Path(__file__).parent.parent.parent / "docs"
OTHER: Final = bearer(tenant="other", sub="bystander")

LIFTED: Final = {"STATUSHUB_READ_RATE": "1000000000"}
"""The neighbour reads without a limit of its own: what is left is the hub's fairness."""

FILLING: Final = {"STATUSHUB_PUBLISH_RATE": "1000000", "STATUSHUB_PUBLISH_BYTES": "1000000000"}
"""For acts that need contents to be there."""


class Bystander:
    """The other tenant: it polls, publishes and views its own channel for as long as the block lasts."""

    def __init__(self, base_url: str) -> None:
        self.polls: list[float] = []
        self.deliveries: list[float] = []
        self.refused = 0
        """Publishes that were not accepted."""
        self._base_url = base_url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=it) for it in (self._poll, self._publish)]
        self._viewer = threading.Thread(target=self._view, daemon=True)
        self._viewing = threading.Event()

    def __enter__(self) -> Bystander:
        self._viewer.start()
        if not self._viewing.wait(GIVE_UP):
            raise TimeoutError("the other tenant's stream is not ready")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._viewer.join(GIVE_UP)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._base_url, headers=OTHER, timeout=GIVE_UP)

    def _poll(self) -> None:
        """Poll another channel each time; a poll counts from its first request to its first 200."""
        with self._client() as client:
            number, began = 0, 0.0
            while not self._over.wait(1 / RATE):
                number, began = number + 1, began or time.monotonic()
                if client.get(f"/api/contents/room-{number % 500}/status").is_success:
                    self.polls.append((time.monotonic() - began) * 1e3)
                    began = 0.0
            if began:
                # The last one was not answered at all: so long, at least.
                self.polls.append((time.monotonic() - began) * 1e3)

    def _publish(self) -> None:
        """Publish an event when it is due, with that time in it, so that a wait for the hub counts, too."""
        with self._client() as client:
            due = time.monotonic()
            while not self._over.wait(max(0.0, due - time.monotonic())):
                event = {"channel": "own", "content_id": "x", "data": {"status": "generating", "due": due}}
                self.refused += not client.post("/api/publish", json={"events": [event]}).is_success
                due += 1 / RATE
            end = {"channel": "own", "content_id": "end", "data": {"status": "complete"}}
            client.post("/api/publish", json={"events": [end]})

    def _view(self) -> None:
        with open_stream(self._base_url, "/api/contents/own/events", OTHER) as stream:
            stream.until("ready")
            self._viewing.set()
            with contextlib.suppress(OSError, EOFError):
                while (frame := stream.event()).event != "processing_complete":
                    self.deliveries.append((time.monotonic() - frame.json["due"]) * 1e3)


@contextlib.contextmanager
def _hub(python: str, folder: Path, broker: str, settings: dict[str, str]) -> Iterator[str]:
    port = free_port()
    env = {
        "STATUSHUB_SECRET": SECRET,
        "STATUSHUB_BROKER": broker,
        "STATUSHUB_PORT": str(port),
        "STATUSHUB_STALL_TIMEOUT": "5",
        "STATUSHUB_LOG_LEVEL": "error",
        "STATUSHUB_MAX_STREAMS_ADDRESS": "10000",
        **settings,
    }
    with on_core(SERVER_CORE), (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "statushub", "serve"], cwd=folder, env=environment(env), stdout=log, stderr=log
        )
    try:
        wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _neighbour(act: str, base_url: str) -> Iterator[None]:
    if act == NOTHING:
        yield
        return
    words = [sys.executable, "-m", "tests.bench.misbehaviour", act, base_url.rpartition(":")[2]]
    process = subprocess.Popen(words)
    try:
        yield
    finally:
        process.kill()
        process.wait()


NOTHING: Final = "nothing"


def measure(act: str, python: str, unset: Collection[str] = (), seconds: float = SECONDS) -> Beside:
    """Measure one hub, run by this interpreter without the settings `unset`, on one Redis, beside one act."""
    with tempfile.TemporaryDirectory() as name, on_core(LOAD_CORE):
        folder = Path(name)
        filling = [*misbehaviour.fillings(act)]
        redis = RedisServer(folder, appendonly=False, arguments=("--maxmemory", ROOMY if filling else TIGHT))
        redis.start()
        settings = LIFTED | (FILLING if filling else QUOTA)
        settings = {name: value for name, value in settings.items() if name not in unset}
        try:
            with _hub(python, folder, redis.url, settings) as base_url:
                with httpx.Client(base_url=base_url, headers=misbehaviour.HEADERS, timeout=GIVE_UP) as client:
                    for events in filling:
                        client.post("/api/publish", json={"events": events}).raise_for_status()
                with Bystander(base_url) as other:
                    # What the first second brings, warm caches and a first read, is measured only with the neighbour.
                    time.sleep(1)
                    other.polls.clear()
                    other.deliveries.clear()
                    with _neighbour(act, base_url):
                        time.sleep(seconds)
        finally:
            redis.kill()
    polls, deliveries = sorted(other.polls), sorted(other.deliveries)
    return Beside(
        poll_p99=_percentile(polls, 0.99),
        poll_worst=polls[-1],
        delivery_p99=_percentile(deliveries, 0.99),
        delivery_worst=deliveries[-1],
        refused=other.refused,
    )


def _percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def main(arguments: Sequence[str]) -> int:
    """Measure, and print what is found."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bystander", description=__doc__)
    parser.add_argument("acts", nargs="*", metavar="ACT", help=f"of {', '.join([NOTHING, *misbehaviour.ACTS])}")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the version to measure")
    parser.add_argument("--unset", nargs="*", default=[], help="settings that this version does not know")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--write", metavar="VERSION", help="write it into the report as the column of this name")
    options = parser.parse_args(arguments)
    for act in options.acts or [NOTHING, *misbehaviour.ACTS]:
        rounds = [measure(act, options.python, options.unset) for _ in range(options.rounds)]
        found = sorted(rounds, key=lambda it: it.delivery_p99)[len(rounds) // 2]
        print(act, msgspec.json.encode(found).decode(), flush=True)
        if options.write:
            results = report.read(DOCS)
            results.beside.setdefault(act, {})[options.write] = found
            report.write(results, DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
