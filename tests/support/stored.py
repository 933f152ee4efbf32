"""The data of one tenant in Redis, read without hub and producers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from redis import Redis

from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.commands import Call
from statushub.hub.model.event import Event, decode
from tests.support.waiting import eventually


class Stored:
    """The data of one tenant in Redis."""

    def __init__(self, redis: Redis, tenant: str) -> None:
        self.redis = redis
        self.tenant = tenant
        self.prefix = commands.prefix("hub", tenant)

    def call(self, call: Call) -> Any:
        return self.redis.execute_command(*call.command)  # type: ignore[no-untyped-call]

    def lookup(self, content_id: str) -> Event | None:
        """The latest event; None where the content or the library does not exist."""
        if not self.redis.exists(f"{self.prefix}:content:{content_id}"):
            return None
        [event] = commands.states([content_id], self.call(commands.states_call(self.prefix, [content_id]))).events
        return event

    def status(self, content_id: str) -> dict[str, Any]:
        """The latest status; empty for an unknown content."""
        found = self.lookup(content_id)
        return decode(found.data) if found else {}

    def fence(self, content_id: str) -> tuple[int, int]:
        attempt, seq = self.redis.hmget(f"{self.prefix}:content:{content_id}", ["attempt", "seq"])
        return int(attempt or 0), int(seq or 0)

    def lease(self, content_id: str) -> float | None:
        """The deadline of the content's lease, in milliseconds."""
        score: float | None = self.redis.zscore(f"{self.prefix}:leases", content_id)
        return score

    def events(self) -> int:
        """The number of events that the tenant's clock has counted since `begin`."""
        return int(self.redis.hget(f"{self.prefix}:clock", "offset") or 0)

    def begin(self) -> None:
        """Begin the tenant's clock at 0, as one that another server left behind, so that its events can be counted."""
        self.redis.hset(f"{self.prefix}:clock", mapping={"epoch": "1", "offset": "0"})

    def stall(self, content_id: str) -> None:
        """End the content as a hub does when its lease has expired; again where something came meanwhile."""

        def ended() -> bool:
            known = [(content_id, self.lookup(content_id))]
            call = commands.stall_call(self.prefix, time.time() + 24 * 3600, commands.Settings(), known)
            answer: list[int] = self.call(call)
            return answer == [1]

        eventually(ended)


@contextlib.contextmanager
def stored(url: str, tenant: str) -> Iterator[Stored]:
    """The stored data of a tenant in the Redis at `url`."""
    with contextlib.closing(Redis.from_url(url)) as redis:
        there = Stored(redis, tenant)
        there.begin()
        yield there
