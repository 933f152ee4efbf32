"""The workload of the index: a page of many channels, and what keeping the index costs a publish."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import redis

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.commands import Settings
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.model.publication import publication
from tests.bench import templates
from tests.bench.load import Lost
from tests.bench.measure import cpu_seconds
from tests.bench.session import Session

CHUNK_EVENTS: Final = 400
"""Events that are published with and without the index in turn: so short that what else runs disturbs both alike."""

CALL_EVENTS: Final = 20
"""Events of one call, as a hub publishes under load: few, as from one worker, make the index cost less of each."""

PIPELINE_CALLS: Final = 50

KEPT: Final = (
    ("  shared.moved[#shared.moved + 1], shared.moved[#shared.moved + 2] = offset, channel\n", ""),
    ("      redis.call('ZADD', shared.names, 0, event.channel)\n", ""),
    (
        "  clk.updated = clk.updated or integer(clk.ms)\n"
        "  return type(redis.pcall('HSET', counts_key, 'updated', clk.updated)) == 'number'\n",
        "  return not redis.pcall('HMGET', counts_key, unpack(PHASES)).err\n",
    ),
)
"""What keeps the index in the functions, and what stood there before. Contents by phase are also what limits are
checked by, and without the index a publish has to read whether their key is its own."""

BARE: Final = "bare"
"""The name of the library, and of its tenant, without them."""

Values = dict[str, float]


def first_page(channels: int, seconds: float, query: str = "") -> Callable[[Session, str], Values]:
    """The first page of so many channels, as a page that polls it without a pause gets it."""

    def measure(session: Session, server: str) -> Values:
        client = _client(session)
        _publish(client, DEFAULT_TENANT, commands.FUNCTION, range(channels))
        poller = session.poller(templates.get(f"/api/channels{query}"))
        poller.ask("poll", 1, 0.3)
        cost = session.cost(poller, "poll", 1, seconds)
        polls = cost.answer.delivered
        if cost.answer.refused or not polls:
            raise Lost(f"{cost.answer.refused} polls were refused: {cost.answer.refusal}")
        return {
            "page_ms": (cost.cpu + cost.redis_cpu) / polls * 1e3,
            "cpu_us": cost.cpu / polls * 1e6,
            "redis_us": cost.redis_cpu / polls * 1e6,
            "p99_ms": cost.answer.p99_us / 1e3,
        }

    return measure


def keeping(channels: int, active: int, chunks: int) -> Callable[[Session, str], Values]:
    """Publishing at random into `active` of so many channels, with the index and without it in turn: CPU of Redis."""

    def measure(session: Session, server: str) -> Values:
        client = _client(session)
        client.function_load(bare_library())
        kinds = ((DEFAULT_TENANT, commands.FUNCTION), (BARE, f"{BARE}_"))
        for tenant, function in kinds:
            _publish(client, tenant, function, range(channels))
        chosen = random.Random(channels)
        spent: dict[str, list[float]] = {tenant: [] for tenant, _ in kinds}
        for number in range(chunks):
            numbers = [chosen.randrange(active) for _ in range(CHUNK_EVENTS)]
            for tenant, function in kinds[:: -1 if number % 2 else 1]:
                before = cpu_seconds(session.server.redis_pids)
                _publish(client, tenant, function, numbers)
                spent[tenant].append((cpu_seconds(session.server.redis_pids) - before) / CHUNK_EVENTS * 1e6)
        kept, bare = spent[DEFAULT_TENANT], spent[BARE]
        return {
            "redis_us": statistics.median(kept),
            "bare_us": statistics.median(bare),
            "to_bare": statistics.median(one / other for one, other in zip(kept, bare, strict=True)),
        }

    return measure


def bare_library() -> str:
    """The library of functions without the lines that keep the index, under another name."""
    text = commands.LIBRARY
    for line, before in KEPT:
        if text.count(line) != 1:
            raise Lost(f"functions.lua has this {text.count(line)} times: {line.strip()}")
        text = text.replace(line, before)
    text = text.replace(f"name={commands.FUNCTION.rstrip('_')}", f"name={BARE}", 1)
    return text.replace(commands.FUNCTION, f"{BARE}_").replace(f"'{commands.FORMER_LIBRARY}_", f"'{BARE}_former_")


def _client(session: Session) -> redis.Redis:
    if session.server.redis is None:
        raise Lost("the index is measured over Redis")
    return redis.Redis.from_url(session.server.redis.url)


def _publish(client: redis.Redis, tenant: str, function: str, numbers: Sequence[int]) -> None:
    """Publish an event into each of these channels."""
    prefix = commands.prefix(commands.root(0), tenant)
    calls = list(_calls(prefix, function, numbers))
    for start in range(0, len(calls), PIPELINE_CALLS):
        pipeline = client.pipeline(transaction=False)
        for call in calls[start : start + PIPELINE_CALLS]:
            pipeline.execute_command(*call)  # type: ignore[no-untyped-call]
        pipeline.execute()


def _calls(prefix: str, function: str, numbers: Sequence[int]) -> Iterator[list[str | bytes | int]]:
    events = [
        publication(
            channel=f"ch-{number:06}",
            content_id=f"c-{number:06}",
            data={"status": "generating", "progress": 45, "processing_status": "summarizing"},
        )
        for number in numbers
    ]
    for start in range(0, len(events), CALL_EVENTS):
        command = commands.publish_call(prefix, events[start : start + CALL_EVENTS], Settings()).command
        command[1] = f"{function}publish"
        yield command
