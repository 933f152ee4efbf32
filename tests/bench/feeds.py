"""What a page of a feed costs, asked in one call and id by id, and a hot video: `python -m tests.bench.feeds`."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from statushub.hub.feeds.contract import STATS_MS
from tests.bench.measure import cpu_seconds, family
from tests.bench.running import running
from tests.support.command import environment
from tests.support.ports import free_port, wait_for_port
from tests.support.redis_server import running_redis
from tests.support.sse_client import open_stream

IDS: Final = 100
"""Of one page, as many as one call takes."""

RATE: Final = 5_000
"""Increments of the hot video in a second."""

BATCH: Final = 100

STORES: Final = ("SQLite", "Redis")


Ask = Callable[[str, object], object]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What the counters of `IDS` videos cost: calls in a second, CPU of the hub and of Redis, and how long the whole
    page takes at the 99th percentile."""

    calls_per_second: float
    cpu_ms: float
    redis_ms: float
    p99_ms: float


class Hot(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a hot video: increments a second, what a viewer was sent in a second, the CPU of hub and Redis,
    and whether the last state that the viewer was sent has all of them."""

    increments_per_second: float
    events_per_second: float
    core_percent: float
    complete: bool


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A hub with feeds."""

    port: int
    pids: list[int]
    redis_pids: list[int]


@contextlib.contextmanager
def served(store: str, folder: Path) -> Iterator[Served]:
    """A hub over this store."""
    with contextlib.ExitStack() as stack:
        url, redis_pids = f"sqlite:///{folder / 'hub.db'}", list[int]()
        if store == "Redis":
            redis = stack.enter_context(running_redis(folder, appendonly=False))
            assert redis.process
            url, redis_pids = redis.url, [redis.process.pid]
        port = free_port()
        words = (sys.executable, "-m", "statushub", "serve", "--port", port, "--broker", url, "--feed")
        limits = ("--publish-rate", 1_000_000, "--read-rate", 100_000_000)
        process = stack.enter_context(running(*words, *limits, env=environment()))
        wait_for_port(port, process)
        yield Served(port=port, pids=family(process.pid), redis_pids=redis_pids)


def pages(hub: Served, *, together: bool, seconds: float) -> Cost:
    """Read the counters of a page over and over: with one call, or with one for each id."""
    with _asking(hub.port) as ask:
        return _pages(hub, ask, together=together, seconds=seconds)


def _pages(hub: Served, ask: Ask, *, together: bool, seconds: float) -> Cost:
    ids = [f"v{n}" for n in range(IDS)]
    writes = [{"op": "count", "video_id": video, "views": 1} for video in ids]
    ask("/v1/feed/writes", {"writes": writes})
    bodies = [{"video_ids": ids}] if together else [{"video_ids": [video]} for video in ids]
    ask("/v1/videos/batch-metadata", bodies[0])
    took: list[float] = []
    cpu, redis_cpu = cpu_seconds(hub.pids), cpu_seconds(hub.redis_pids)
    began = time.perf_counter()
    while not took or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        for body in bodies:
            ask("/v1/videos/batch-metadata", body)
        took.append(time.perf_counter() - start)
    passed = time.perf_counter() - began
    return Cost(
        calls_per_second=len(took) * len(bodies) / passed,
        cpu_ms=(cpu_seconds(hub.pids) - cpu) / len(took) * 1e3,
        redis_ms=(cpu_seconds(hub.redis_pids) - redis_cpu) / len(took) * 1e3,
        p99_ms=sorted(took)[min(len(took) - 1, len(took) * 99 // 100)] * 1e3,
    )


def hot(hub: Served, *, rate: int, seconds: float) -> Hot:
    """Count one video at this rate, while a viewer looks at it."""
    told: list[int] = []
    live, ended = threading.Event(), threading.Event()
    reader = threading.Thread(target=_view, args=(hub.port, told, live, ended))
    reader.start()
    live.wait()
    with _asking(hub.port) as ask:
        found = _counted(hub, ask, told, rate=rate, seconds=seconds)
    ended.set()
    reader.join()
    return found


def _counted(hub: Served, ask: Ask, told: list[int], *, rate: int, seconds: float) -> Hot:
    writes = {"writes": [{"op": "count", "video_id": "hot", "views": 1}] * BATCH}
    cpu = cpu_seconds([*hub.pids, *hub.redis_pids])
    began, written = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        if written < passed * rate:
            ask("/v1/feed/writes", writes)
            written += BATCH
        else:
            time.sleep(BATCH / rate / 4)
    used = cpu_seconds([*hub.pids, *hub.redis_pids]) - cpu
    within = len(told)
    # The last state comes within the conflation, and a look at the store.
    deadline = time.perf_counter() + 10 * STATS_MS / 1000
    while (not told or told[-1] < written) and time.perf_counter() < deadline:
        time.sleep(0.01)
    return Hot(
        increments_per_second=written / passed,
        events_per_second=within / passed,
        core_percent=used / passed * 100,
        complete=bool(told) and told[-1] == written,
    )


@contextlib.contextmanager
def _asking(port: int) -> Iterator[Ask]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(path: str, body: object) -> object:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path} is answered {answer.status}: {said}")
        return said

    with contextlib.closing(connection):
        yield ask


def _view(port: int, told: list[int], live: threading.Event, ended: threading.Event) -> None:
    with open_stream(f"http://127.0.0.1:{port}", "/api/events?channel=feed/videos&content_id=hot") as stream:
        stream.socket.settimeout(0.1)
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                frame = stream.frame()
                if frame.event == "ready":
                    live.set()
                if frame.event == "stats_update":
                    told.append(frame.json["view_count"])


def main() -> None:
    """Measure, and print the tables of docs/feeds.md."""
    print("| store | asked | calls a second | CPU of hub, ms a page | of Redis | p99 of a page, ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    hots: list[str] = []
    for store in STORES:
        with tempfile.TemporaryDirectory() as folder, served(store, Path(folder)) as hub:
            for together in (True, False):
                cost = pages(hub, together=together, seconds=10)
                asked = f"{IDS} ids in one call" if together else "one call for each id"
                redis = f"{cost.redis_ms:.2f}" if store == "Redis" else "-"
                row = f"{cost.calls_per_second:,.0f} | {cost.cpu_ms:.2f} | {redis} | {cost.p99_ms:.1f}"
                print(f"| {store} | {asked} | {row} |", flush=True)
            found = hot(hub, rate=RATE, seconds=10)
            whole = "yes" if found.complete else "no"
            rates = f"{found.increments_per_second:,.0f} | {found.events_per_second:.2f}"
            hots.append(f"| {store} | {rates} | {found.core_percent:.0f} % | {whole} |")
    print("\n| store | increments a second | events a second | CPU of a core | last state complete |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(hots))


if __name__ == "__main__":
    main()
