"""`statushub check`: hub, broker, token and proxy."""

from __future__ import annotations

import gzip
import re
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.asgi_server import live_server
from tests.support.command import command
from tests.support.live import live_hub
from tests.support.nginx_server import running_nginx
from tests.support.ports import free_port
from tests.support.redis_server import running_redis
from tests.support.rogue_server import Connection, rogue_server
from tests.support.tokens import SECRET, token

LINE = re.compile(r"(hub|broker|token|proxy) +(ok|FAIL|skip) +(\S.*)")


def checked(*arguments: object, **variables: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and of each part its word and its sentence."""
    result = command("check", *arguments, env=variables)
    assert result.stderr == ""
    lines = [LINE.fullmatch(line) for line in result.stdout.splitlines()]
    return result.returncode, {line[1]: (line[2], line[3]) for line in lines if line}


def words(parts: dict[str, tuple[str, str]]) -> str:
    return " ".join(word for word, _ in parts.values())


def test_everything_works() -> None:
    """A line for each part, in order, and exit code 0."""
    with live_hub() as hub:
        code, parts = checked("--hub", hub.base_url)
    assert (code, list(parts), words(parts)) == (0, ["hub", "broker", "token", "proxy"], "ok ok ok ok")
    assert hub.base_url in parts["hub"][1]
    assert parts["token"][1] == "the hub needs none"


def test_a_token_is_described() -> None:
    """Whose it is, what it allows, and how long it is valid; a channel that it reads is opened."""
    with live_hub(secret=SECRET) as hub:
        credential = token(sub="bob", read=["jobs/**/x-*"], write=[])
        code, parts = checked("--hub", hub.base_url, STATUSHUB_TOKEN=credential)
    assert (code, words(parts)) == (0, "ok ok ok ok")
    said, _, left = parts["token"][1].rpartition("; expires in ")
    assert said == "accepted: tenant acme; sub bob; reads jobs/**/x-*; writes nothing"
    assert re.fullmatch(r"59m 5\ds|1h 00m", left)


@pytest.mark.parametrize(
    ("credential", "words_of_all"),
    [("", "ok ok FAIL FAIL"), (token(exp=time.time() - 100), "ok ok FAIL FAIL"), ("nonsense", "ok ok FAIL FAIL")],
    ids=["none", "expired", "nonsense"],
)
def test_a_token_that_is_not_accepted_exits_with_2(credential: str, words_of_all: str) -> None:
    """The line says why, and not what the token is."""
    with live_hub(secret=SECRET) as hub:
        code, parts = checked("--hub", hub.base_url, STATUSHUB_TOKEN=credential)
    assert (code, words(parts)) == (2, words_of_all)
    assert "401" in parts["token"][1]
    assert not credential or credential not in parts["token"][1]


def test_a_token_that_reads_nothing_skips_the_stream() -> None:
    """The exit code is 0."""
    with live_hub(secret=SECRET) as hub:
        code, parts = checked("--hub", hub.base_url, STATUSHUB_TOKEN=token(read=[]))
    assert (code, words(parts)) == (0, "ok ok ok skip")


def test_a_hub_that_does_not_answer_exits_with_1() -> None:
    """Nothing else is tried."""
    code, parts = checked("--hub", f"http://127.0.0.1:{free_port()}")
    assert (code, words(parts)) == (1, "FAIL skip skip skip")


def test_a_server_that_is_no_hub_exits_with_2() -> None:
    """The line says so."""

    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("welcome")

    with live_server(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        code, parts = checked("hub", "--hub", url)
    assert (code, parts["hub"][0]) == (2, "FAIL")
    assert "not a hub" in parts["hub"][1]


@pytest.mark.redis
def test_a_broker_that_is_away_exits_with_1(tmp_path: Path) -> None:
    """The hub and the token are found to work; the part can be checked on its own."""
    with running_redis(tmp_path, appendonly=False) as redis:
        url = redis.url
        with live_hub(url) as hub:
            redis.kill()
            code, parts = checked("hub", "broker", "token", "--hub", hub.base_url)
            assert (code, words(parts)) == (1, "ok FAIL ok")
            assert checked("broker", "--hub", hub.base_url)[0] == 1
            assert checked("hub", "--hub", hub.base_url)[0] == 0


@pytest.mark.redis
def test_the_exit_code_is_that_of_the_first_failure(tmp_path: Path) -> None:
    """A broker that is away and a token that is not accepted are both failures, with codes of their own."""
    with running_redis(tmp_path, appendonly=False) as redis, live_hub(redis.url, secret=SECRET) as hub:
        redis.kill()
        assert checked("broker", "token", "--hub", hub.base_url)[0] == 1
        assert checked("token", "broker", "--hub", hub.base_url)[0] == 2


@pytest.mark.redis
def test_a_broker_that_evicts_is_a_warning(tmp_path: Path) -> None:
    """The hub is ready, and says what is wrong with its Redis."""
    arguments = ("--maxmemory-policy", "allkeys-lru")
    with running_redis(tmp_path, appendonly=False, arguments=arguments) as redis, live_hub(redis.url) as hub:
        code, parts = checked("broker", "--hub", hub.base_url)
    assert (code, parts["broker"][0]) == (0, "ok")
    assert "allkeys-lru" in parts["broker"][1]


def test_the_channel_that_is_named_is_opened() -> None:
    """One that the token does not read is refused."""
    with live_hub(secret=SECRET) as hub:
        credential = token(read=["films"], write=[], revoke=True)
        arguments = ("proxy", "--hub", hub.base_url, "--channel")
        assert checked(*arguments, "films", STATUSHUB_TOKEN=credential)[0] == 0
        code, parts = checked(*arguments, "clips", STATUSHUB_TOKEN=credential)
        assert (code, parts["proxy"][0]) == (2, "FAIL")
        assert "; revokes; " in checked("token", "--hub", hub.base_url, STATUSHUB_TOKEN=credential)[1]["token"][1]


def test_a_proxy_that_names_itself_is_told() -> None:
    """By the header `Via`, whatever the hub behind it calls itself."""

    async def answer(_request: object) -> Response:
        headers = {"Via": "1.1 edge", "Server": "uvicorn"}
        return Response(b"event: ready\ndata: {}\n\n", headers=headers, media_type="text/event-stream")

    with live_server(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        code, parts = checked("proxy", "--hub", url)
    assert (code, parts["proxy"][1].endswith("through 1.1 edge")) == (0, True), parts


def test_a_page_instead_of_a_stream_exits_with_2() -> None:
    """As a portal answers, in which one has to sign in."""

    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("sign in")

    with live_server(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        code, parts = checked("proxy", "--hub", url)
    assert (code, parts["proxy"][0]) == (2, "FAIL")
    assert "not an event stream" in parts["proxy"][1]


def test_nginx_as_delivered_passes(tmp_path: Path) -> None:
    """The line names the proxy."""
    with live_hub(proxies=("127.0.0.1",)) as hub, running_nginx(tmp_path, hub.base_url) as url:
        code, parts = checked("--hub", url)
    assert (code, words(parts)) == (0, "ok ok ok ok"), parts
    assert "through nginx" in parts["proxy"][1]


def test_a_proxy_that_buffers_exits_with_1() -> None:
    """An answer that it holds until it ends, which a stream never does."""

    async def held(request: Request) -> Response:
        if "events" not in request.url.path:
            return Response('{"status": "ok"}')

        async def body() -> AsyncIterator[bytes]:
            await anyio.sleep_forever()
            yield b""

        return StreamingResponse(body(), media_type="text/event-stream")

    with live_server(Starlette(routes=[Route("/{path:path}", held, methods=["GET", "POST"])])) as url:
        code, parts = checked("proxy", "--hub", url)
    assert (code, parts["proxy"][0]) == (1, "FAIL")
    assert "buffering" in parts["proxy"][1]


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (gzip.compress(b"event: ready\ndata: {}\n\n", mtime=0), {"Content-Encoding": "gzip"}, "compresses"),
        (b"event: drain\ndata: {}\n\n", {}, "limit of streams"),
        (b"", {}, "ends before its first event"),
    ],
    ids=["compressed", "refused", "cut"],
)
def test_a_stream_that_does_not_work_exits_with_1(body: bytes, headers: dict[str, str], message: str) -> None:
    """Compressed, refused, or cut."""

    async def answer(_request: object) -> Response:
        return Response(body, headers=headers, media_type="text/event-stream")

    with live_server(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        code, parts = checked("proxy", "--hub", url)
    assert (code, parts["proxy"][0]) == (1, "FAIL")
    assert message in parts["proxy"][1]


@pytest.mark.parametrize(("year", "direction"), [(2000, "behind"), (2100, "ahead")])
def test_a_clock_that_differs_is_told(year: int, direction: str) -> None:
    """Tokens are valid by the hub's clock."""

    def answer(connection: Connection) -> None:
        connection.head("200 OK", Date=format_datetime(datetime(year, 1, 1, tzinfo=UTC), usegmt=True))
        connection.send(b'{"status": "ok"}')

    with rogue_server(answer) as server:
        code, parts = checked("hub", "--hub", f"http://127.0.0.1:{server.port}")
    assert (code, parts["hub"][0]) == (0, "ok")
    assert re.search(rf"its clock is \d+ s {direction}", parts["hub"][1])


def test_a_silent_server_is_given_up() -> None:
    """A connection that is accepted and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, parts = checked("hub", "--hub", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (code, parts["hub"][0]) == (1, "FAIL")
