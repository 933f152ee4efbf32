"""The data of one tenant in Redis, read without hub and producers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from redis import Redis

from statushub.hub.brokers.redis import commands
from statushub.hub.model.event import decode


class Stored:
    """The data of one tenant in Redis."""

    def __init__(self, redis: Redis, tenant: str) -> None:
        self.redis = redis
        self.tenant = tenant
        self.prefix = commands.prefix("hub", tenant)

    def call(self, function: str, *args: str | bytes) -> Any:
        return self.redis.fcall(function, 1, self.prefix, *args)

    def lookup(self, content_id: str) -> list[bytes] | None:
        """Channel, offset, type and data; None where the content or the library does not exist."""
        if not self.redis.exists(f"{self.prefix}:content:{content_id}"):
            return None
        found: list[bytes] = self.call("statushub_lookup", content_id)[2]
        return found

    def status(self, content_id: str) -> dict[str, Any]:
        """The latest status; empty for an unknown content."""
        found = self.lookup(content_id)
        return decode(found[3]) if found else {}

    def fence(self, content_id: str) -> tuple[int, int]:
        attempt, seq = self.redis.hmget(f"{self.prefix}:content:{content_id}", ["attempt", "seq"])
        return int(attempt or 0), int(seq or 0)

    def lease(self, content_id: str) -> float | None:
        """The deadline of the content's lease, in milliseconds."""
        score: float | None = self.redis.zscore(f"{self.prefix}:leases", content_id)
        return score

    def events(self) -> int:
        """The number of events that the tenant's clock has counted."""
        return int(self.redis.hget(f"{self.prefix}:clock", "offset") or 0)

    def stall(self, content_id: str) -> None:
        """End the content as a hub does when its lease has expired."""
        found = self.lookup(content_id)
        offset, data = (found[1], json.dumps({**decode(found[3]), "error_code": "stalled"})) if found else (b"", "")
        if self.call("statushub_stall", "", content_id, offset, "processing_error", data) != 1:
            raise RuntimeError(f"{content_id!r} holds no lease")


@contextlib.contextmanager
def stored(url: str, tenant: str) -> Iterator[Stored]:
    """The stored data of a tenant in the Redis at `url`."""
    with contextlib.closing(Redis.from_url(url)) as redis:
        yield Stored(redis, tenant)
