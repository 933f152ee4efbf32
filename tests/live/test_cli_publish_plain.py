"""`statushub publish` to a plain address and to any other: two ways to the same hub, which end alike."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.publication import publication
from statushub.producers import publish_call
from statushub.producers.plain_hub import plain_hub
from tests.support.asgi_server import live_server
from tests.support.command import command
from tests.support.live import live_hub
from tests.support.rogue_server import Connection, rogue_server
from tests.support.tokens import SECRET, token

RECEIPT = {"results": [{"accepted": True, "cursor": "abc-7", "attempt": 1}]}
REFUSED = {"results": [{"accepted": False, "reason": "wrong_channel", "channel": "other"}]}


async def _chunks() -> AsyncIterator[bytes]:
    for byte in json.dumps(RECEIPT).encode():
        yield bytes([byte])


def _error(status: int, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": "x", "message": "token=s3cret no", "field": "data"}}, status, headers)


ANSWERS: dict[str, Callable[[], Response]] = {
    "a receipt": lambda: JSONResponse(RECEIPT),
    "a receipt in chunks": lambda: StreamingResponse(_chunks()),
    "a refusal": lambda: JSONResponse(REFUSED),
    "too few receipts": lambda: JSONResponse({"results": []}),
    "no JSON": lambda: PlainTextResponse("welcome"),
    "a redirect": lambda: RedirectResponse("/elsewhere"),
    "unauthorized": lambda: _error(401),
    "too large": lambda: _error(413),
    "invalid": lambda: _error(422),
    "busy": lambda: _error(429, {"Retry-After": "7"}),
    "an error": lambda: PlainTextResponse("<h1>no</h1>", 503),
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server with a path for each of the answers."""

    async def answer(request: Request) -> Response:
        await request.body()
        return ANSWERS[request.path_params["case"].replace("-", " ")]()

    with live_server(Starlette(routes=[Route("/{case}/api/publish", answer, methods=["POST"])])) as url:
        yield url


@pytest.mark.parametrize("case", ANSWERS)
def test_both_ways_take_an_answer_alike(server: str, case: str) -> None:
    """Output, errors and exit codes are equal; a user in the address is what the plain way leaves to the other."""
    path = case.replace(" ", "-")
    ended = []
    for address in (server, server.replace("//", "//user:word@")):
        result = command("publish", "films", "clip", "complete", "--hub", f"{address}/{path}/")
        ended.append((result.returncode, result.stdout, result.stderr))
    assert ended[0] == ended[1]
    assert ended[0][0] == {"a receipt": 0, "a receipt in chunks": 0, "a refusal": 4}.get(case, ended[0][0] or -1)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://localhost"])
def test_a_plain_address_takes_a_token(url: str) -> None:
    """With it an event is stored, without it the hub refuses, and a token that no header holds is not sent."""
    with live_hub(secret=SECRET) as hub:
        address = f"{url}:{hub.base_url.rpartition(':')[2]}"
        publish = ("publish", "films", "clip", "generating", "--hub", address)
        assert command(*publish, "--token", token()).returncode == 0
        assert command(*publish, env={"STATUSHUB_TOKEN": f" {token()}\n"}).returncode == 0
        for options, message in (((), "answers 401"), (("--token", "a b"), "printable ASCII")):
            refused = command(*publish, *options)
            assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
            assert message in refused.stderr


def test_a_proxy_of_the_environment_is_used() -> None:
    """It gets the call to any other machine, and none to this one."""

    def receipt(connection: Connection) -> None:
        connection.head("200 OK", Content_Type="application/json")
        connection.send(json.dumps(RECEIPT).encode())

    with rogue_server(receipt) as proxy, live_hub() as hub:
        for variable in ("http_proxy", "ALL_PROXY"):
            for address in ("http://hub.invalid", hub.base_url):
                command("publish", "films", "clip", "generating", "--hub", address, env={variable: proxy.url})
        assert [head.split(b" ")[1] for head in proxy.heads] == [b"http://hub.invalid/api/publish"] * 2


def test_an_answer_that_drips_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single bytes do not extend it."""
    monkeypatch.setattr(publish_call, "CALL_SECONDS", 0.5)
    event = publication(channel="films", content_id="clip", data={"status": "complete"})
    with rogue_server(lambda connection: connection.drip(b"HTTP/1.1 100 Continue\r\n\r\n")) as server:
        hub = plain_hub(server.url, None, {})
        assert hub
        with pytest.raises(BrokerUnavailable, match="does not answer in time"):
            hub.publish(event)
