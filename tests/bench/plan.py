"""The plan: the workloads (a) to (j) at their sizes, the growth curves, and the counters."""

from __future__ import annotations

import shutil
from typing import Final

from tests.bench.index import first_page, keeping
from tests.bench.polls import batch, polling, publishing, single
from tests.bench.several import KILLED, SEVERAL, SEVERAL_VIEWERS, death, fan_out, many_channels
from tests.bench.workloads import (
    ALL,
    Case,
    calls_to_open,
    contents_held,
    flood,
    idle,
    one_at_a_time,
    one_viewer_each,
    reconnects,
    sockets,
    spanning,
    stalled,
    system_calls,
    unwatched,
)

HUB: Final = "hub-redis"
SOCKETS: Final = "hub-websocket"
PEERS: Final = ("hub-redis", "nchan", "floor")
GO: Final = ("centrifugo", "mercure")
PROXIED: Final = "hub-nginx"
"""Only with 1,000 viewers: each takes two file descriptors of nginx, and 10,000 more than many systems allow."""

FAST: Final = (*PEERS, "hub-embedded")
STREAMERS: Final = (*FAST, "better-sse", "sse-starlette")
STALLED_SECONDS: Final = 60.0
UNSTALLED_SECONDS: Final = 30.0
"""Half of that is enough where no viewer stalls: no buffer fills up with time."""

POLL_SECONDS: Final = 3.0
GROWTH_DELIVERIES: Final = 60_000


NAMED: Final = "/api/events?" + "&".join(f"channel=ch-{number:06}" for number in range(64))
MATCHED: Final = "/api/events?match=ch-*"
SPANNING: Final = (
    ("64 channels by their names", 64, NAMED),
    ("64 channels by a pattern", 64, MATCHED),
    ("1,000 channels by a pattern", 1_000, MATCHED),
)

TITLES: Final = {
    "a": "one channel, one event at a time",
    "b": "1,000 channels with one viewer each",
    "c": "one channel, 1,000 viewers, 200 events/s",
    "d": "10,000 viewers reconnect simultaneously with a cursor; the channel has 500 contents, 9 of them missed",
    "e": "10,000 idle viewers, a heartbeat every 15 s",
    "f": "half of 500 viewers read nothing for a minute, at 20 events/s of 5 KB",
    "g": "polls over 32 keep-alive connections",
    "h": "publishing through the SDK, one process",
    "i": "streams and WebSockets: opening, an idle viewer, and one event at a time",
    "index": "the index: the first page of the list of channels, and publishing with and without it",
    "j": "20 streams of many channels each, 5,000 events/s over all",
    "processes": "several processes on one Redis: one event at a time",
    "processes-events": "several processes on one Redis: events of 20 channels with 16 viewers each",
    "processes-death": "several processes: one is killed (SIGKILL) while events flow",
    "growth-viewers": "cost of a delivery against viewers of one channel",
    "growth-channels": "cost of an event against channels with one viewer each, at 4,000 events/s over all",
    "growth-unwatched": "cost of an event against channels without viewers, at 4,000 events/s over all",
    "growth-contents": "memory per content against contents of one channel",
    "calls": "system calls per delivery, one channel with 1,000 viewers (measured where strace is installed)",
    "calls-open": "system calls per connect",
}
"""The title of each workload."""


def plan() -> list[Case]:
    """Every case, in the order of the report."""
    return [*_fan_out(), *_viewers(), *_requests(), *_several(), *_growth(), *_counters()]


def _fan_out() -> list[Case]:
    fast = (HUB, "centrifugo", *FAST[1:])
    sizes = [(1_000, (HUB, *GO, *ALL[1:], PROXIED)), (5_000, fast), (10_000, fast)]
    rates = [(1_000, ALL), (5_000, ALL), (20_000, FAST)]
    return [
        *(
            Case(
                workload="a",
                label=f"{viewers:,} viewers",
                size=viewers,
                measure=one_at_a_time(viewers),
                quick=viewers == 1_000,
                servers=servers,
            )
            for viewers, servers in sizes
        ),
        *(
            Case(
                workload="b",
                label=f"{rate:,} events/s",
                size=rate,
                measure=one_viewer_each(1_000, rate),
                servers=servers,
            )
            for rate, servers in rates
        ),
        Case(workload="c", label="200 events/s", size=200, measure=flood(1_000, 200)),
    ]


def _viewers() -> list[Case]:
    half = stalled(500, 250, STALLED_SECONDS)
    none = stalled(500, 0, UNSTALLED_SECONDS)
    keepers = ("hub-redis", "nchan")
    return [
        Case(
            workload="d",
            label="10,000 viewers",
            size=1e4,
            measure=reconnects(10_000, 500, 10),
            servers=(HUB, *GO, *STREAMERS[1:]),
        ),
        Case(
            workload="e",
            label="10,000 viewers",
            size=1e4,
            measure=idle(10_000, 15),
            servers=(HUB, *GO, *STREAMERS[1:]),
        ),
        Case(workload="i", label="5,000 viewers", size=5e3, measure=sockets(5_000), servers=(HUB, SOCKETS)),
        *(
            Case(
                workload="j",
                label=label,
                size=channels,
                measure=spanning(channels, path, 20, 5_000),
                servers=(HUB,),
            )
            for label, channels, path in SPANNING
        ),
        Case(workload="f", label="none stalled", size=0, measure=none, servers=keepers),
        Case(workload="f", label="250 stalled", size=250, measure=half, servers=keepers),
    ]


def _requests() -> list[Case]:
    hubs = ("hub-redis", "hub-embedded")
    polled = ("hub-redis", "nothing", "hub-embedded")
    return [
        *(
            Case(
                workload="g",
                label=f"batch of {ids}, {'broker' if unknown else 'replica'}",
                size=ids,
                measure=polling(batch(ids, unknown=unknown), POLL_SECONDS),
                servers=polled,
            )
            for unknown in (False, True)
            for ids in (1, 20, 100)
        ),
        Case(workload="g", label="one GET for an id", size=1, measure=polling(single(), POLL_SECONDS), servers=polled),
        Case(workload="h", label="Redis", size=1, measure=publishing(50_000, over_http=False), servers=(HUB,)),
        *(
            Case(
                workload="index",
                label=f"100,000 channels, {label}",
                size=1e5,
                measure=measure,
                servers=(HUB,),
            )
            for label, measure in (
                ("first page of 1,000", first_page(100_000, POLL_SECONDS)),
                ("first page of 100", first_page(100_000, POLL_SECONDS, "?limit=100")),
                ("publishing into 1,000", keeping(100_000, 1_000, 200)),
                ("publishing into all", keeping(100_000, 100_000, 200)),
            )
        ),
        Case(workload="h", label="HTTP", size=2, measure=publishing(50_000, over_http=True), servers=hubs),
    ]


def _several() -> list[Case]:
    workers = tuple(name for name in SEVERAL if name.startswith("workers"))
    cases = (
        ("processes", SEVERAL_VIEWERS, fan_out(2_000), (HUB, *SEVERAL)),
        ("processes-events", "1,000 events/s over 20 channels", many_channels(20, 16, 1_000, 4), (HUB, *SEVERAL)),
        ("processes-death", KILLED, death(200, 10, 20, 8), workers),
    )
    return [
        Case(workload=workload, label=label, size=1, measure=measure, servers=servers)
        for workload, label, measure, servers in cases
    ]


def _growth() -> list[Case]:
    return [
        *(
            Case(
                workload="growth-viewers",
                label=f"{viewers:,}",
                size=viewers,
                measure=one_at_a_time(viewers, GROWTH_DELIVERIES),
                servers=PEERS,
            )
            for viewers in (100, 300, 1_000, 3_000, 10_000)
        ),
        *(
            Case(
                workload="growth-channels",
                label=f"{channels:,}",
                size=channels,
                measure=one_viewer_each(channels, 4_000, 3),
                servers=PEERS,
            )
            for channels in (1, 10, 100, 1_000, 10_000)
        ),
        *(
            Case(
                workload="growth-unwatched",
                label=f"{channels:,}",
                size=channels,
                measure=unwatched(channels, 4_000, 3),
                servers=(HUB,),
            )
            for channels in (1, 100, 10_000, 100_000)
        ),
        *(
            Case(
                workload="growth-contents",
                label=f"{contents:,}",
                size=contents,
                measure=contents_held(contents),
                servers=(HUB,),
            )
            for contents in (100, 1_000, 10_000, 50_000)
        ),
    ]


def _counters() -> list[Case]:
    if shutil.which("strace") is None:
        return []
    counted = (HUB, "centrifugo", "nchan", "floor")
    return [
        Case(workload="calls", label="1,000 viewers", size=1e3, measure=system_calls(1_000, 10), servers=counted),
        Case(workload="calls-open", label="1,000 connects", size=1e3, measure=calls_to_open(1_000), servers=counted),
    ]
