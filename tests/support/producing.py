"""What the tests of the producers share: a look into Redis, a link that can be cut, a hub that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import anyio
from redis import Redis
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from statushub.hub.brokers.redis import commands
from statushub.hub.model.event import decode
from tests.support.servers import free_port

TIMEOUT = 20.0


async def until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds."""
    with anyio.fail_after(TIMEOUT):
        while not condition():
            await anyio.sleep(0.005)


class Stored:
    """What Redis holds of one tenant."""

    def __init__(self, redis: Redis, tenant: str) -> None:
        self.redis = redis
        self.tenant = tenant
        self.prefix = commands.prefix("hub", tenant)

    def call(self, function: str, *args: str | bytes) -> Any:
        return self.redis.fcall(function, 1, self.prefix, *args)

    def lookup(self, content_id: str) -> list[bytes] | None:
        """Channel, offset, type and data; None where the content, or the library, is not there."""
        if not self.redis.exists(f"{self.prefix}:content:{content_id}"):
            return None
        found: list[bytes] = self.call("statushub_lookup", content_id)[2]
        return found

    def status(self, content_id: str) -> dict[str, Any]:
        """The latest status, empty where there is none."""
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
        """How many events the tenant's clock has counted."""
        return int(self.redis.hget(f"{self.prefix}:clock", "offset") or 0)

    def stall(self, content_id: str) -> None:
        """End the content as a hub does when its lease has run out."""
        found = self.lookup(content_id)
        offset, data = (found[1], json.dumps({**decode(found[3]), "error_code": "stalled"})) if found else (b"", "")
        if self.call("statushub_stall", "", content_id, offset, "processing_error", data) != 1:
            raise RuntimeError(f"{content_id!r} holds no lease")


@contextlib.contextmanager
def stored(url: str, tenant: str) -> Iterator[Stored]:
    """A look into the Redis at `url`."""
    with contextlib.closing(Redis.from_url(url)) as redis:
        yield Stored(redis, tenant)


class Relay:
    """A link to a server that can lose the answers: what was asked arrives, and the connection is cut."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.losing = 0
        """How many answers are still to be lost."""
        self.lost = 0
        self._target = target

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        async with server:
            yield self

    async def _connected(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, asked = await asyncio.open_connection("127.0.0.1", self._target)
        with contextlib.suppress(OSError):
            async with asyncio.TaskGroup() as tasks:
                forward = tasks.create_task(self._forward(client, asked))
                await self._answer(server, answers)
                forward.cancel()
        for writer in (asked, answers):
            writer.close()

    async def _forward(self, client: asyncio.StreamReader, asked: asyncio.StreamWriter) -> None:
        while data := await client.read(65536):
            asked.write(data)
        asked.write_eof()

    async def _answer(self, server: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        while data := await server.read(65536):
            if self.losing:
                self.losing -= 1
                self.lost += 1
                return
            answers.write(data)


class Moody:
    """A hub that first answers as it is told, and then as `app` does; it notes what it was sent."""

    def __init__(self, app: ASGIApp, answers: Sequence[Response] = ()) -> None:
        self.app = app
        self.answers = list(answers)
        self.requests: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        self.requests.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if self.answers:
            await self.answers.pop(0)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
