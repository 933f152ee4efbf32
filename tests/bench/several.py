"""Several processes on one Redis: what a delivery costs, how viewers are spread, and what the death of one costs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from statushub.producers.following.frames import Frames
from tests.bench.load import Lost
from tests.bench.running import Running, Start, running
from tests.bench.servers import HUB_ENVIRONMENT, hub_redis, hub_words
from tests.bench.session import Session
from tests.bench.templates import EVENT_TYPE
from tests.bench.workloads import DELIVERIES, MANY_CONTENTS, Values, made_of, observed
from tests.support.command import environment
from tests.support.ports import free_port, wait_for_port

COUNTS: Final = (2, 4)
"""Numbers of processes, beside the one of the other workloads."""

SEVERAL_VIEWERS: Final = "2,000 viewers of one channel"
KILLED: Final = "200 viewers, 20 events/s"
"""Labels of cases."""

ONE_BY_ONE: Final = 400
"""Viewers that come one after another, each when the one before has its stream."""

START_SECONDS: Final = 60.0
"""Until all processes of a hub accept connections."""

LISTENING, ESTABLISHED = "0A", "01"
"""States of a socket in /proc/net/tcp."""

N_BASE: Final = 1_000_000_000
"""What load.c adds to the number of an event."""

CHANNEL: Final = "ch-000000"


@contextlib.contextmanager
def workers(folder: Path, *, count: int) -> Iterator[Running]:
    """A hub over Redis with so many processes, which share a port."""
    with hub_redis(folder, workers=count) as hub:
        deadline = time.monotonic() + START_SECONDS
        while len(accepting(hub)) < count:
            if time.monotonic() > deadline:
                raise Lost(f"only {len(accepting(hub))} of {count} processes accept connections")
            time.sleep(0.05)
        yield hub


@contextlib.contextmanager
def hubs(folder: Path, *, count: int) -> Iterator[Running]:
    """So many hubs over one Redis, each with its port."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(hub_redis(folder))
        ports, processes = [first.port], []
        for _ in range(count - 1):
            ports.append(port := free_port())
            words = hub_words(port, first.redis.url if first.redis else "")
            processes.append(stack.enter_context(running(*words, env=environment(HUB_ENVIRONMENT))))
            wait_for_port(port, processes[-1])
        yield msgspec.structs.replace(first, ports=tuple(ports), more=tuple(process.pid for process in processes))


SEVERAL: Final[Mapping[str, Start]] = {
    **{f"workers-{count}": partial(workers, count=count) for count in COUNTS},
    **{f"hubs-{count}": partial(hubs, count=count) for count in COUNTS},
}

SEVERAL_LABELS: Final[Mapping[str, str]] = {
    **{f"workers-{count}": f"`--workers {count}`" for count in COUNTS},
    **{f"hubs-{count}": f"{count} hubs" for count in COUNTS},
}


def accepting(hub: Running) -> list[int]:
    """The processes of a hub that accept connections: whose event loop watches a listening socket."""
    listeners = _sockets(hub, LISTENING)
    return [pid for pid in hub.pids if any(_target(pid, fd) in listeners for fd in _watched(pid))]


def viewers_of(hub: Running) -> Counter[int]:
    """The number of connections to each process of a hub that accepts some."""
    held = _sockets(hub, ESTABLISHED)
    return Counter(
        {pid: sum(_target(pid, fd.name) in held for fd in Path(f"/proc/{pid}/fd").iterdir()) for pid in accepting(hub)}
    )


def _sockets(hub: Running, state: str) -> set[str]:
    """The sockets in this state on the ports of a hub, as /proc/PID/fd names them."""
    ports = {f"{port:04X}" for port in hub.ports or (hub.port,)}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{it[9]}]" for it in lines if it[3] == state and it[1].rpartition(":")[2] in ports}


def _watched(pid: int) -> list[str]:
    """The file descriptors that the event loop of a process waits for."""
    found = []
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            found += re.findall(r"^tfd:\s+(\d+)", info.read_text(), re.MULTILINE)
    return found


def _target(pid: int, fd: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/fd/{fd}").readlink())
    except OSError:
        return ""


def fan_out(
    viewers: int, deliveries: int = DELIVERIES, one_by_one: int = ONE_BY_ONE
) -> Callable[[Session, str], Values]:
    """One channel and one event at a time, of which each process tells its viewers; and how many viewers each has."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=MANY_CONTENTS)
        for _ in range(one_by_one):
            load.ask("connect", 1).checked()
        single = viewers_of(session.server)
        load.ask("connect", viewers - one_by_one).checked()
        together = viewers_of(session.server)
        together.subtract(single)
        events = max(deliveries // viewers, 10)
        load.ask("publish", max(events // 10, 2), 0).checked()
        cost = session.cost(load, "publish", events, 0)
        return {
            **made_of(cost, cost.answer.checked().delivered),
            "fullest_single": _unevenness(single),
            "fullest": _unevenness(together),
            **observed(cost, events),
        }

    return measure


def _unevenness(counts: Counter[int]) -> float:
    """What the fullest process has, to an even share."""
    return max(counts.values()) * len(counts) / counts.total()


def many_channels(channels: int, viewers: int, rate: int, seconds: float) -> Callable[[Session, str], Values]:
    """Many channels with a few viewers each, which every process follows, at a total rate of events."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(channels=channels)
        load.ask("connect", channels * viewers).checked()
        load.ask("publish", rate, rate).checked()
        events = round(rate * seconds)
        cost = session.cost(load, "publish", events, rate)
        cost.answer.checked()
        return {**made_of(cost, events), **observed(cost, events)}

    return measure


class Viewer:
    """A stream that is opened again from its cursor whenever it ends, after the pause that the hub has asked for."""

    def __init__(self, port: int) -> None:
        self.connects = 0
        self.disordered = 0
        self.numbers: dict[str, int] = {}
        """The last event's of each content."""
        self.back_at = 0.0
        """When the current stream was ready."""
        self._port = port
        self._cursor = ""
        self._pause = 0.0

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            self.connects += 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._read()
            await asyncio.sleep(self._pause)

    async def _read(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            # A body of HTTP/1.0 has no chunks.
            head = [f"GET /api/contents/{CHANNEL}/events HTTP/1.0", "Host: 127.0.0.1", "Accept: text/event-stream"]
            head += [f"Last-Event-ID: {self._cursor}"] if self._cursor else []
            writer.write("\r\n".join([*head, "", ""]).encode())
            if b" 200 " not in (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]:
                raise ConnectionRefusedError
            frames = Frames()
            while portion := await reader.read(65_536):
                for frame in frames.feed(portion):
                    self._cursor = frame.id or self._cursor
                    self._pause = self._pause if frame.retry is None else frame.retry
                    if frame.event == "ready":
                        self.back_at = time.monotonic()
                    elif frame.event == EVENT_TYPE:
                        self._take(frame.json["content_id"], frame.json["n"])
        finally:
            writer.close()

    def _take(self, content_id: str, number: int) -> None:
        self.disordered += number < self.numbers.get(content_id, 0)
        self.numbers[content_id] = number


def death(viewers: int, contents: int, rate: int, seconds: float) -> Callable[[Session, str], Values]:
    """One process is killed (SIGKILL) while events flow: how often its viewers reconnect, and what they miss."""

    def measure(session: Session, server: str) -> Values:
        return asyncio.run(_death(session, viewers, contents, rate, seconds))

    return measure


async def _death(session: Session, viewers: int, contents: int, rate: int, seconds: float) -> Values:
    hub, load = session.server, session.load(contents=contents)
    watching = [Viewer(hub.port) for _ in range(viewers)]
    tasks = [asyncio.create_task(viewer.follow()) for viewer in watching]
    try:
        await _until(lambda: all(viewer.back_at for viewer in watching), "every viewer has a stream")
        events = round(rate * seconds)
        publishing = asyncio.create_task(asyncio.to_thread(load.ask, "publish", events, rate))
        await asyncio.sleep(seconds / 4)
        before = [viewer.connects for viewer in watching]
        [(victim, _)] = viewers_of(hub).most_common(1)
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        (await publishing).checked()
        last = {f"c-{number % contents:06}": N_BASE + number for number in range(1, events + 1)}
        with contextlib.suppress(TimeoutError):
            await _until(lambda: all(viewer.numbers == last for viewer in watching), "every viewer has every state")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    again = [viewer.connects - connects for viewer, connects in zip(watching, before, strict=True)]
    return {
        "affected": sum(count > 0 for count in again),
        "reconnects": max(again),
        "missed": sum(viewer.numbers != last for viewer in watching),
        "disordered": sum(viewer.disordered for viewer in watching),
        "back_ms": max((viewer.back_at - killed) * 1e3 for viewer in watching),
    }


async def _until(reached: Callable[[], bool], what: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what}")
        await asyncio.sleep(0.05)
