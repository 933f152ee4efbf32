"""The workloads with streams. Each returns a function that measures it and returns named values."""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tests.bench import templates
from tests.bench.load import Load, Lost
from tests.bench.session import Cost, Session

Values = dict[str, float]
"""The values of one measurement, by name; the name ends in the unit."""

DELIVERIES: Final = 200_000
"""Deliveries of one measurement of (a): more than a second of CPU time for the fastest server."""

RATE_SECONDS: Final = 4.0
"""Duration for which (b) and (c) publish at their rate."""

ALL: Final = ("hub-redis", "nchan", "floor", "hub-embedded", "better-sse", "hub-portable", "sse-starlette")
"""Every server; those whose ratio is reported stand next to each other."""

STALL_BYTES: Final = 5_000
"""Size of an event in (f): a minute of them exceeds the kernel's buffer of a socket, about 4 MB on loopback."""

CONFLATES: Final = "hub-portable"
"""The server that may skip a state superseded before a viewer could be written to; that does not count as loss."""

MANY_CONTENTS: Final = 100_000
"""More contents than events, so that no state supersedes another and every event must reach every viewer."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A workload at one size."""

    workload: str
    label: str
    size: float
    measure: Callable[[Session, str], Values]
    servers: tuple[str, ...] = ALL
    quick: bool = False


def micros(cost: Cost, count: float) -> float:
    """CPU time of the server, in microseconds per one of `count`."""
    return cost.cpu / max(count, 1) * 1e6


def made_of(cost: Cost, count: float) -> Values:
    """The same in all, and in and outside of the kernel."""
    whole, user = micros(cost, count), cost.user / max(count, 1) * 1e6
    return {"cpu_us": whole, "user_us": user, "system_us": whole - user}


def one_at_a_time(viewers: int, deliveries: int = DELIVERIES) -> Callable[[Session, str], Values]:
    """(a) One channel; each event is published when every viewer has received the one before."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=MANY_CONTENTS)
        load.ask("connect", viewers).checked()
        memory = session.memory() - session.fresh_bytes
        events = max(deliveries // viewers, 10)
        load.ask("publish", max(events // 10, 2), 0).checked()
        cost = session.cost(load, "publish", events, 0)
        return {
            **made_of(cost, cost.answer.checked().delivered),
            "switches": cost.switches / cost.answer.delivered,
            "viewer_bytes": memory / viewers,
            **observed(cost, events),
        }

    return measure


def sockets(viewers: int, deliveries: int = DELIVERIES) -> Callable[[Session, str], Values]:
    """(i) Opening, an idle viewer's memory, and delivery, of streams and of WebSockets."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=MANY_CONTENTS)
        load.ask("connect", 100).checked()
        opening = session.cost(load, "connect", viewers)
        opening.answer.checked()
        load.ask("idle", 2)
        memory = session.memory() - session.fresh_bytes
        events = max(deliveries // viewers, 10)
        load.ask("publish", max(events // 10, 2), 0).checked()
        cost = session.cost(load, "publish", events, 0)
        return {
            **made_of(cost, cost.answer.checked().delivered),
            "open_us": micros(opening, viewers),
            "viewer_bytes": memory / (viewers + 100),
            **observed(cost, events),
        }

    return measure


def one_viewer_each(channels: int, rate: int, seconds: float = RATE_SECONDS) -> Callable[[Session, str], Values]:
    """(b) Many channels with one viewer each, at a total rate of events."""

    def measure(session: Session, server: str) -> Values:
        template = templates.hub_post(batch=20) if server == "hub-embedded" else None
        load = session.load(channels=channels, template=template)
        load.ask("connect", channels).checked()
        load.ask("publish", 1000, 2000).checked()
        events = round(rate * seconds)
        cost = session.cost(load, "publish", events, rate)
        if server != CONFLATES:
            cost.answer.checked()
        return {
            **made_of(cost, events),
            "of_rate": min(1.0, seconds / cost.answer.seconds),
            "skipped": 1 - cost.answer.delivered / cost.answer.expected,
            **observed(cost, events),
        }

    return measure


def spanning(channels: int, path: str, viewers: int, rate: int) -> Callable[[Session, str], Values]:
    """(j) Viewers that each follow many channels over one stream, at a total rate of events."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(channels=channels, path=path)
        load.ask("publish", channels, 2000)
        load.ask("connect", viewers).checked()
        load.ask("publish", rate, rate).checked()
        events = round(rate * RATE_SECONDS)
        cost = session.cost(load, "publish", events, rate)
        return {"cpu_us": micros(cost, cost.answer.checked().delivered), **observed(cost, events)}

    return measure


def flood(viewers: int, rate: int, seconds: float = RATE_SECONDS) -> Callable[[Session, str], Values]:
    """(c) One channel with many viewers, at a rate that a slow server cannot keep up with."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=MANY_CONTENTS)
        load.ask("connect", viewers).checked()
        load.ask("publish", 20, 0).checked()
        single = session.cost(load, "publish", 100, 0)
        events = round(rate * seconds)
        cost = session.cost(load, "publish", events, rate)
        parts = made_of(cost, cost.answer.checked().delivered)
        return {
            **parts,
            "to_single": parts["cpu_us"] / micros(single, single.answer.checked().delivered),
            "of_rate": min(1.0, seconds / cost.answer.seconds),
            **observed(cost, events),
        }

    return measure


SWEPT_SECONDS: Final = 3.0
"""Of silence, in which only a hub's sweeps read from the broker."""


def reconnects(viewers: int, contents: int, missed: int) -> Callable[[Session, str], Values]:
    """(d) All viewers reconnect simultaneously with a cursor, having missed a few contents of many."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=contents)
        load.ask("connect", 1).checked()
        load.ask("publish", contents - missed, 2000)
        cursor = last_event_id(session, load)
        load.ask("publish", missed - 1, 2000)
        load.ask("connect", viewers - 1, cursor).checked()
        before = session.broker_reads()
        load.ask("idle", SWEPT_SECONDS)
        reads = session.broker_reads()
        # What the hub's sweeps read meanwhile is no viewer's.
        swept = (reads - before) / SWEPT_SECONDS
        storm = session.cost(load, "reconnect", cursor)
        # A stream without a ready event may still be catching up.
        rest = session.cost(load, "idle", 0.0 if session.server.ready else 1.0)
        answer = storm.answer.checked()
        both = msgspec.structs.replace(storm, cpu=storm.cpu + rest.cpu, user=storm.user + rest.user)
        return {
            **made_of(both, viewers),
            "caught_up": (answer.caught_up + rest.answer.caught_up) / viewers,
            "broker_reads": max(session.broker_reads() - reads - math.ceil(swept * answer.seconds), 0),
            "seconds": answer.seconds,
        }

    return measure


def last_event_id(session: Session, load: Load) -> str:
    """The id of the next event on a stream; "-" where the server sends none."""
    request = (
        f"GET {session.server.path % 'ch-000000'} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", session.server.port), timeout=10) as stream:
        stream.sendall(request.encode())
        text = stream.recv(65536)
        if session.server.ready:
            while session.server.ready.encode() not in text[-65536:]:
                text += stream.recv(65536)
        load.ask("publish", 1, 0)
        # Up to the end of the frame, in which the id may follow the data.
        ready = (session.server.ready or "event: ready").encode()
        while not re.search(rb'"t":1[^\n]*\n(?:[^\n]+\n)*?\r?\n', text.rpartition(ready)[2]):
            text += stream.recv(65536)
    return session.server.cursor(text) or "-"


def idle(viewers: int, seconds: float) -> Callable[[Session, str], Values]:
    """(e) Only heartbeats, every 15 s."""

    def measure(session: Session, server: str) -> Values:
        load = session.load()
        load.ask("connect", viewers).checked()
        load.ask("idle", 2)
        memory = session.memory() - session.fresh_bytes
        cost = session.cost(load, "idle", seconds)
        if cost.answer.failed:
            raise Lost(f"{cost.answer.failed} streams were closed")
        return {
            "viewer_bytes": memory / viewers,
            "core_percent": cost.cpu / cost.seconds * 100,
            "fresh_bytes": session.fresh_bytes,
        }

    return measure


def stalled(viewers: int, stalled: int, seconds: float) -> Callable[[Session, str], Values]:
    """(f) Some viewers read nothing while events flow: the latency of the others, and the growth of memory."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=50, template=session.server.template(STALL_BYTES))
        load.ask("connect", viewers).checked()
        load.ask("publish", 100, 50).checked()
        load.ask("stall", stalled)
        memory = session.memory()
        cost = session.cost(load, "publish", round(20 * seconds), 20)
        answer = cost.answer.checked()
        grown = session.memory() - memory
        kept = {"grown_bytes": grown / stalled} if stalled else {}
        return {"p50_ms": answer.p50_us / 1e3, "p99_ms": answer.p99_us / 1e3, **kept}

    return measure


def system_calls(viewers: int, events: int) -> Callable[[Session, str], Values]:
    """Reproducible counters: system calls per delivery in (a)."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=MANY_CONTENTS)
        load.ask("connect", viewers).checked()
        load.ask("publish", 2, 0).checked()
        answer, calls = session.system_calls(load, "publish", events, 0)
        return {"calls": calls / answer.checked().delivered}

    return measure


def calls_to_open(viewers: int) -> Callable[[Session, str], Values]:
    """System calls per stream that is opened, of a channel without a state."""

    def measure(session: Session, server: str) -> Values:
        load = session.load()
        load.ask("connect", 100).checked()
        answer, calls = session.system_calls(load, "connect", viewers)
        answer.checked()
        return {"open_calls": calls / viewers}

    return measure


def unwatched(channels: int, rate: int, seconds: float) -> Callable[[Session, str], Values]:
    """Growth: events of channels without viewers."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(channels=channels)
        load.ask("publish", 100, 1000)
        # Without a viewer no delivery shows when Redis has processed these.
        time.sleep(0.2)
        cost = session.cost(load, "publish", round(rate * seconds), rate)
        return {"cpu_us": micros(cost, rate * seconds)}

    return measure


def contents_held(contents: int) -> Callable[[Session, str], Values]:
    """Growth: the hub's memory for the contents of a channel with a viewer."""

    def measure(session: Session, server: str) -> Values:
        load = session.load(contents=contents)
        load.ask("connect", 1).checked()
        before = session.memory()
        load.ask("publish", contents, 10_000).checked()
        load.ask("publish", 1, 0).checked()
        return {"content_bytes": (session.memory() - before) / contents}

    return measure


def observed(cost: Cost, events: int) -> Values:
    return {
        "redis_us": cost.redis_cpu / events * 1e6,
        "p50_ms": cost.answer.p50_us / 1e3,
        "p99_ms": cost.answer.p99_us / 1e3,
    }
