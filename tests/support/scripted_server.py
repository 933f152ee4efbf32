"""A server that answers each request with the next of a script, and keeps the requests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.asgi_server import live_server


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; one that `stays` open is not ended after its body."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = {}
    stays: bool = False


def stream(body: str, *, stays: bool = False) -> Reply:
    """An event stream."""
    return Reply(body=body, headers={"Content-Type": "text/event-stream"}, stays=stays)


class Asked(msgspec.Struct, frozen=True):
    """A request, and when it came on the monotonic clock."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    at: float


class Script:
    """The last reply is repeated."""

    def __init__(self, *replies: Reply) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._replies = list(replies)

    async def answer(self, request: Request) -> Response:
        """Any GET."""
        query, headers = dict(request.query_params), dict(request.headers)
        self.asked.append(Asked(request.url.path, query, headers, time.monotonic()))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return StreamingResponse(_body(reply), reply.status, dict(reply.headers))

    @property
    def paths(self) -> list[str]:
        """The last part of the path of each request."""
        return [asked.path.rpartition("/")[2] for asked in self.asked]


async def _body(reply: Reply) -> AsyncIterator[str]:
    yield reply.body
    if reply.stays:
        await anyio.sleep_forever()


@contextlib.contextmanager
def scripted_server(*replies: Reply, **options: Any) -> Iterator[Script]:
    """Such a server for the block."""
    script = Script(*replies)
    with live_server(Starlette(routes=[Route("/{path:path}", script.answer)]), **options) as url:
        script.url = url
        yield script
