"""What a growing text costs its readers, beside plain events in the same run: `python -m tests.bench.readers`.

A text grows by deltas, before many viewers: those that take deltas, and those that get whole states.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec

from statushub.hub.brokers.contract import Snapshot
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.event import Event
from statushub.hub.model.publication import publication
from statushub.hub.replicas.replica import Replica
from tests.bench import templates
from tests.bench.servers import hub_embedded
from tests.bench.session import Session, session

VIEWERS: Final = 1_000
DELTAS: Final = 5_000
RATE: Final = 50
"""Deltas, and plain events, in a second."""

PLAIN_EVENTS: Final = 500
PLAIN_PADDING: Final = 10
"""With it the data of a plain event have about 200 bytes."""

DELTA: Final = "twenty characters ok"
CONTENT: Final = "grows"
FIRST_SEQ: Final = 1_000_000_000
"""The load generator counts from there."""

MOST_TIMES: Final = 1.2
"""CPU of a delivery of a delta, to that of a plain event."""

MOST_TEXTS: Final = 1.5
FRAME_BYTES: Final = 120
"""A viewer is sent at most so many times the text, and so many bytes for each frame beside: a cursor of 27, the id of
the content, the names of the frame's parts."""

MARK: Final = '"n":1000000000,"t":1000000000000000000'
"""What the load generator has each event carry, which is not counted."""

DELTA_MARK: Final = f'"set":{{{MARK}}},'

MOST_MEMORY: Final = 2.0
"""A replica's memory, to the text."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds of the hub's CPU a delivery, deliveries, and bytes that each viewer was sent."""

    cpu_us: float
    deliveries: int
    viewer_bytes: float


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The costs of plain events, of deltas, and of the whole states that other viewers get meanwhile."""

    plain: Cost
    deltas: Cost
    wholes: Cost
    memory: float
    """Of the replica, to the text."""


def measure(*, viewers: int, deltas: int, rate: float, plain: int, programs: Path) -> Costs:
    """All costs, with a fresh hub for each kind of viewer; plain events come first in each."""
    found: dict[str, Cost] = {}
    for kind, query, mark in (("deltas", "?deltas=1", DELTA_MARK), ("wholes", "", MARK)):
        with session(hub_embedded, programs) as opened:
            cost = _published(opened, viewers, plain, rate, "", templates.hub_post(PLAIN_PADDING), MARK)
            found["plain"] = min(found.get("plain", cost), cost, key=lambda it: it.cpu_us)
            _begin(opened)
            found[kind] = _published(opened, viewers, deltas, rate, query, _delta_post(), mark)
    return Costs(**found, memory=memory(deltas))


def memory(deltas: int) -> float:
    """What a replica takes for a text that has grown by so many deltas, to its bytes."""
    return asyncio.run(_memory(deltas))


def _published(opened: Session, viewers: int, events: int, rate: float, query: str, template: bytes, mark: str) -> Cost:
    load = opened.load(template=template, path=f"{opened.server.path}{query}")
    load.ask("connect", viewers).checked()
    cost = opened.cost(load, "publish", events, rate)
    answer = cost.answer
    load.process.kill()
    load.process.wait()
    return Cost(
        cpu_us=cost.cpu / max(answer.delivered, 1) * 1e6,
        deliveries=answer.delivered,
        viewer_bytes=(answer.bytes - len(mark) * answer.delivered) / viewers,
    )


def _begin(opened: Session) -> None:
    data = {"status": "generating", "text": ""}
    event = {"channel": "ch-000000", "content_id": CONTENT, "seq": FIRST_SEQ, "data": data}
    url = f"http://127.0.0.1:{opened.server.publish_port}/api/publish"
    httpx.post(url, json=event).raise_for_status()


def _delta_post() -> bytes:
    delta = f'{{"follows":^^^^^^^^^^,"set":{{"n":@@@@@@@@@@,"t":~~~~~~~~~~~~~~~~~~~}},"append":{{"text":"{DELTA}"}}}}'
    body = f'{{"channel":"{templates.CHANNEL}","content_id":"{CONTENT}","seq":$$$$$$$$$$,"delta":{delta}}}'
    return templates.post("/api/publish", body, "Content-Type: application/json")


async def _memory(deltas: int) -> float:
    data = {"status": "generating", "text": ""}
    base = publication(channel="c", content_id=CONTENT, data=data)
    event = Event(channel="c", content_id=CONTENT, offset=1, type=base.type, data=base.data)
    replica = Replica("t", "c", {})
    replica.load(Snapshot(cursor=Cursor(epoch="e", offset=1), events=[event]))
    tracemalloc.start()
    held = tracemalloc.get_traced_memory()[0]
    for offset in range(2, deltas + 2):
        said = publication(
            channel="c",
            content_id=CONTENT,
            seq=offset,
            delta={"follows": offset - 1, "append": {"text": DELTA}},
        )
        grown = Event(channel="c", content_id=CONTENT, offset=offset, type=said.type, data=said.data, after=offset - 1)
        replica.apply(grown)
    taken = tracemalloc.get_traced_memory()[0] - held
    tracemalloc.stop()
    return taken / (deltas * len(DELTA))


def main(arguments: Sequence[str]) -> int:
    """Measure and print; returns 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=VIEWERS)
    parser.add_argument("--deltas", type=int, default=DELTAS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--plain", type=int, default=PLAIN_EVENTS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(
            viewers=options.viewers,
            deltas=options.deltas,
            rate=options.rate,
            plain=options.plain,
            programs=Path(folder),
        )
    text = options.deltas * len(DELTA)
    most = MOST_TEXTS * text + FRAME_BYTES * options.deltas
    times = costs.deltas.cpu_us / costs.plain.cpu_us
    for name, cost in (("plain", costs.plain), ("deltas", costs.deltas), ("wholes", costs.wholes)):
        sent = f"{cost.deliveries:,} deliveries, {cost.viewer_bytes:,.0f} bytes a viewer"
        print(f"{name:7} {cost.cpu_us:6.2f} µs a delivery, {sent}")
    print(f"a delta costs {times:.2f} times a plain event (at most {MOST_TIMES})")
    print(f"a viewer is sent {costs.deltas.viewer_bytes:,.0f} bytes of a text of {text:,} (at most {most:,.0f})")
    print(f"the replica takes {costs.memory:.2f} times the text (at most {MOST_MEMORY})")
    kept = times <= MOST_TIMES and costs.deltas.viewer_bytes <= most and costs.memory <= MOST_MEMORY
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
