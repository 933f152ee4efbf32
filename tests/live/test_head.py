"""`HEAD`: each route answers with the headers of its `GET` (RFC 9110, section 9.3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route

from statushub.hub.app import ROUTES
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish_all
from tests.support.waiting import eventually
from tests.support.wire import Wire, request, wire

ROUTE_PATHS = [re.sub(r"\{\w+(:path)?\}", "c", route.path) for route in ROUTES if isinstance(route, Route)]

PATHS = [
    *ROUTE_PATHS,
    "/api/events?channel=c",
    "/api/events?channel=a&channel=b",
    "/api/contents/c/status?view=list&limit=1",
    "/api/contents/big",
    "/api/contents/big/changes",
    "/api/contents/big/status",
    "/api/contents/c/events?since=nonsense",
    "/api/contents/c/changes?wait=nonsense",
    "/api/contents/%2A",
    "/assets/client/machine.js",
    "/assets/nope.js",
    "/assets",
    "/nope",
]

FRAMING = ("date", "transfer-encoding")
"""Headers that say when and how an answer is sent rather than what it is."""


@pytest.fixture(scope="module", params=[None, "h11"], ids=["httptools", "h11"])
def hub(request: pytest.FixtureRequest) -> Iterator[LiveHub]:
    with live_hub(http=request.param) as hub:
        data = {"status": "generating", "x": "y" * 30_000}
        publish_all(hub, [{"channel": "c", "content_id": f"c{number}", "data": data} for number in range(2)])
        publish_all(hub, [{"channel": "big", "content_id": f"b{number}", "data": data} for number in range(20)])
        yield hub


def answered(connection: Wire, method: str, path: str) -> tuple[int, dict[str, str]]:
    """The status and headers of an answer, whose body need not end."""
    connection.send(request(method, path))
    head = connection.until(b"\r\n\r\n").partition(b"\r\n\r\n")[0].decode()
    status_line, *lines = head.split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(status_line.split()[1]), {name: value for name, _, value in pairs if name not in FRAMING}


@pytest.mark.parametrize("path", PATHS)
def test_head_answers_with_the_headers_of_get(hub: LiveHub, path: str) -> None:
    """Status and headers are the same: the length too, where there is one, and none where there is none."""
    told: list[Any] = []
    for method in ("GET", "HEAD"):
        with wire(hub.base_url) as connection:
            told.append(answered(connection, method, path))
    if path == "/metrics":
        # Another request has been counted by then.
        assert all(int(headers.pop("content-length")) for _, headers in told)
    assert told[0] == told[1]
    assert told[1][1].get("content-length") != "0" or "location" in told[1][1]


@pytest.mark.parametrize("path", PATHS)
def test_head_has_no_body(hub: LiveHub, path: str) -> None:
    """The next answer of the connection follows its headers."""
    with wire(hub.base_url) as connection:
        connection.send(request("HEAD", path) + request("GET", "/healthz"))
        connection.answer("HEAD")
        assert connection.answer().json == {"status": "ok"}


def test_head_opens_no_stream(hub: LiveHub) -> None:
    """The hub has no viewer for it, and no replica of its channel."""
    eventually(lambda: len(hub.hub.viewers) == 0)
    with wire(hub.base_url) as connection:
        for path in ("/api/contents/unseen/events", "/api/events?channel=unseen"):
            connection.send(request("HEAD", path))
            answer = connection.answer("HEAD")
            assert (answer.status, answer.header("content-type")) == (200, "text/event-stream; charset=utf-8")
            assert answer.header("content-length") is None
        assert len(hub.hub.viewers) == 0
    assert hub.hub.registry.find("default", "unseen") is None
