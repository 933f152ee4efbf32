"""The workloads without streams: polling (g) and publishing through the SDK (h)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import msgspec

from tests.bench import templates
from tests.bench.load import Answer, Lost
from tests.bench.measure import LOAD_CORE, SERVER_CORE, on_core
from tests.bench.session import Session

CONTENTS: Final = 100
"""Contents in the polled channel: as many as one batch may name."""

CONNECTIONS: Final = 32
"""Keep-alive connections that poll, each immediately after its last answer."""

SDK: Final = Path(__file__).parent / "sdk.py"
SDK_SECONDS: Final = 120.0

Values = dict[str, float]


NOTHING: Final = templates.post("/", "{}")
"""The request to the server that does nothing, which every poll is compared to."""


def batch(ids: int, *, unknown: bool = False) -> bytes:
    """A batch poll of `ids` contents; where the last of them is `unknown`, the hub has to read the broker."""
    numbers = [*range(ids - unknown), *[CONTENTS] * unknown]
    asked = ",".join(f'"c-{number:06}"' for number in numbers)
    return templates.post(
        "/api/contents/status/batch", f'{{"content_ids":[{asked}]}}', "Content-Type: application/json"
    )


def single() -> bytes:
    """A poll of one content, as of a page that polls for each of its cards."""
    return templates.get("/api/v1/media/videos/c-000001/progress/")


def polling(request: bytes, seconds: float) -> Callable[[Session, str], Values]:
    """(g) The same poll over keep-alive connections."""

    def measure(session: Session, server: str) -> Values:
        if session.server.ready:
            session.load(contents=CONTENTS).ask("publish", CONTENTS, 1000)
        poller = session.poller(NOTHING if server == "nothing" else request)
        _polled(poller.ask("poll", CONNECTIONS, 0.5))
        cost = session.cost(poller, "poll", CONNECTIONS, seconds)
        polls = _polled(cost.answer).delivered
        return {
            "per_second": polls / cost.answer.seconds,
            "cpu_us": cost.cpu / polls * 1e6,
            "redis_us": cost.redis_cpu / polls * 1e6,
            "p99_ms": cost.answer.p99_us / 1e3,
        }

    return measure


def _polled(answer: Answer) -> Answer:
    if answer.refused or not answer.delivered:
        raise Lost(f"{answer.refused} polls were refused: {answer.refusal}")
    return answer


class _Published(msgspec.Struct):
    seconds: float
    cpu: float


def publishing(events: int, *, over_http: bool) -> Callable[[Session, str], Values]:
    """(h) One process that publishes through the SDK: each event is of another content, and the index counts those."""

    def measure(session: Session, server: str) -> Values:
        redis = session.server.redis
        base = f"http://127.0.0.1:{session.server.port}"
        url = base if over_http or redis is None else redis.url
        # Over HTTP the hub has the server's core; over Redis the hub is idle, and Redis has the other core.
        with on_core(LOAD_CORE if over_http else SERVER_CORE):
            said = subprocess.run(
                [sys.executable, str(SDK), url, str(events)], capture_output=True, timeout=SDK_SECONDS, check=True
            )
        published = msgspec.json.decode(said.stdout, type=_Published)
        [channel] = httpx.get(f"{base}/api/channels").json()["channels"]
        arrived = channel["processing"]
        return {
            "per_second": arrived / published.seconds,
            "cpu_us": published.cpu / arrived * 1e6,
            "arrived": arrived,
        }

    return measure
