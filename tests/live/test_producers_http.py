from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from statushub import Denied, Producer
from statushub.hub.app import create_app
from statushub.hub.config import Config
from statushub.hub.model.errors import BrokerUnavailable, ConfigError, Invalid, TooLarge
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.receipt import Refusal
from statushub.producers.http_transport import HttpTransport
from statushub.producers.transports import Busy
from tests.support.asgi_server import live_server
from tests.support.moody import Moody
from tests.support.ports import free_port
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = pytest.mark.anyio

UNWELL = Response("<h1>Bad gateway</h1>", 502, media_type="text/html")
TOO_MANY = Response(status_code=429, headers={"Retry-After": "1"})


def hub() -> ASGIApp:
    return create_app(Config(broker="memory:"))


@contextlib.contextmanager
def moody(*answers: Response, app: ASGIApp | None = None) -> Iterator[tuple[str, Moody]]:
    """A hub on a real socket that answers with `answers` first."""
    there = Moody(app or hub(), answers)
    with live_server(there) as url:
        yield url, there


def statuses(url: str, channel: str = "ch") -> dict[str, dict[str, Any]]:
    """The hub's statuses, by content."""
    contents = httpx.get(f"{url}/api/contents/{channel}").raise_for_status().json()["contents"]
    return {content["content_id"]: content for content in contents}


def offer(content_id: str = "c", **fields: Any) -> Publication:
    return publication(channel="ch", content_id=content_id, data={"status": "generating", **fields})


@contextlib.asynccontextmanager
async def transport(url: str, token: str | None = None) -> AsyncIterator[HttpTransport]:
    opened = HttpTransport(url, token=token)
    try:
        yield opened
    finally:
        await opened.aclose()


async def answering(status: int, **headers: str) -> type[Exception]:
    """The error that `send` raises for such an answer."""
    answer = JSONResponse({"error": {"code": "x", "message": "why", "field": "f"}}, status, headers=headers)
    with moody(answer) as (url, _):
        async with transport(url) as opened:
            with pytest.raises(Exception, match=f"answers {status}: why") as caught:
                await opened.send([offer()])
            return caught.type


async def test_a_work_is_published_through_a_hub() -> None:
    """The states of a work reach a hub's HTTP address, and `publish` answers with a receipt."""
    with moody() as (url, there):
        async with Producer(f"{url}/", token="secret", rate=1000) as p:
            async with p.work("c", channel="ch", title="A film") as work:
                await work.update("PROCESSING", progress=45, step="transcoding")
                await until(lambda: statuses(url).get("c", {}).get("progress") == 45)
                assert await work.complete(size=3)
            first = await p.publish("d", channel="ch", status="complete", attempt=2, seq=1)
            late = await p.publish("d", channel="ch", status="generating", attempt=1)
        assert statuses(url)["c"]["status"] == "complete"
        assert statuses(url)["c"]["title"] == "A film"
        assert first.accepted
        assert late.reason is Refusal.SUPERSEDED
        assert {request["authorization"] for request in there.requests} == {"Bearer secret"}


async def test_a_failed_call_is_retried() -> None:
    """After a 502, a 429 and an invalid answer the state arrives, and `Retry-After` was obeyed."""
    with moody(UNWELL, TOO_MANY, PlainTextResponse("welcome to this hotel")) as (url, there):
        began = time.monotonic()
        async with Producer(url, patience=WAIT_SECONDS) as p, p.work("c", channel="ch") as work:
            await work.update("generating", progress=1)
            assert await work.complete()
        assert statuses(url)["c"]["status"] == "complete"
        assert len(there.requests) == 4
        assert time.monotonic() - began >= 1.0


async def test_a_waiting_state_is_replaced_by_a_later_one() -> None:
    """Of the states reported during an outage only the latest is sent."""
    sent: list[dict[str, Any]] = []
    real = hub()

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            body = await Request(scope, receive).body()
            sent.extend(json.loads(body)["events"])

            async def again() -> dict[str, Any]:
                return {"type": "http.request", "body": body}

            await real(scope, again, send)
        else:
            await real(scope, receive, send)

    with moody(*[UNWELL] * 1000, app=noting) as (url, there):
        async with Producer(url, rate=1000, patience=WAIT_SECONDS) as p, p.work("c", channel="ch") as work:
            await work.update("generating", n=1)
            await until(lambda: len(there.requests) == 1)
            for n in range(2, 1000):
                await work.update("generating", n=n)
            there.answers.clear()
            assert await work.complete()
    assert [event["data"]["n"] for event in sent][-1] == 999
    seqs = [event["seq"] for event in sent]
    assert seqs == sorted(set(seqs))
    assert len(sent) <= 3


async def test_one_invalid_event_does_not_lose_others() -> None:
    """A batch that is refused for one of its events is bisected; only that one is lost."""
    real = hub()

    async def choosy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await real(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        if any(event["content_id"] == "c5" for event in json.loads(body)["events"]):
            await JSONResponse({"error": {"message": "no", "field": "events[5].data"}}, 422)(scope, receive, send)
            return

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        await real(scope, again, send)

    with moody(app=choosy) as (url, _):
        async with Producer(url, patience=WAIT_SECONDS) as p:
            works = [p.work(f"c{n}", channel="ch") for n in range(20)]
            for work in works:
                await work.update("complete")
            await until(works[5]._run.settled.is_set)
            assert not works[5]._run.delivered
            with pytest.raises(Invalid) as caught:
                await p.publish("c5", channel="ch", status="idle")
            assert caught.value.field == "events[5].data"
        assert set(statuses(url)) == {f"c{n}" for n in range(20)} - {"c5"}


@pytest.mark.parametrize("status", [401, 403, 404, 302])
async def test_a_denial_is_not_retried(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong token or address ends the delivery of a state without waiting, with one line in the log."""
    with moody(*[Response(status_code=status) for _ in range(20)]) as (url, there):
        async with Producer(url, patience=WAIT_SECONDS) as p:
            for content_id in ("c", "d"):
                async with p.work(content_id, channel="ch") as work:
                    assert not await work.complete()
        # At most the start and the end of each.
        assert 2 <= len(there.requests) <= 4
    assert len([r for r in caplog.records if "states are dropped" in r.getMessage()]) == 1


async def test_an_unreachable_hub_fails_no_work() -> None:
    """Without a hub at the address, a work ends normally, and `publish` raises."""
    async with Producer(f"http://127.0.0.1:{free_port()}", patience=0.1) as p:
        async with p.work("c", channel="ch") as work:
            await work.update("generating")
            assert not await work.complete()
        with pytest.raises(BrokerUnavailable):
            await p.publish("c", channel="ch", status="idle")


async def test_the_environment_leads_to_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments, address and token are read from the environment."""
    with moody() as (url, there):
        monkeypatch.setenv("STATUSHUB_URL", url)
        monkeypatch.setenv("STATUSHUB_TOKEN", "from-outside")
        async with Producer() as p, p.work("c", channel="ch"):
            pass
        assert statuses(url)["c"]["status"] == "complete"
        assert there.requests[0]["authorization"] == "Bearer from-outside"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, Invalid) for status in (400, 422)),
        (413, TooLarge),
        *((status, Denied) for status in (401, 403, 404, 410)),
        *((status, BrokerUnavailable) for status in (408, 429, 500, 503)),
    ],
)
async def test_each_status_has_its_error(status: int, error: type[Exception]) -> None:
    """A status tells an invalid event, a denied producer and a temporary failure apart."""
    assert await answering(status) is error


@pytest.mark.parametrize(
    ("spelled", "least", "most"),
    [
        (lambda now: "7", 7, 7),
        (lambda now: "99999999999", 300, 300),
        (lambda now: format_datetime(now + timedelta(seconds=250), usegmt=True), 150, 250),
        (lambda now: format_datetime(now - timedelta(days=1)), 0, 0),
        (lambda now: format_datetime((now + timedelta(seconds=250)).replace(tzinfo=None)), 150, 250),
    ],
    ids=["seconds", "too many seconds", "a date", "a date gone by", "a date of no zone"],
)
async def test_retry_after_is_parsed(spelled: Callable[[datetime], str], least: float, most: float) -> None:
    """`Retry-After` may be seconds or a date, and is bounded."""
    value = spelled(datetime.now(UTC))
    with moody(Response(status_code=503, headers={"Retry-After": value})) as (url, _):
        async with transport(url) as opened:
            with pytest.raises(Busy) as caught:
                await opened.send([offer()])
            assert least <= caught.value.retry_after <= most


async def test_an_invalid_retry_after_is_ignored() -> None:
    """A `Retry-After` that cannot be parsed leaves an ordinary outage."""
    assert await answering(503, **{"Retry-After": "soon"}) is BrokerUnavailable


@pytest.mark.parametrize(
    "answer",
    [
        {"results": []},
        {"results": [{"accepted": True, "cursor": "nonsense"}]},
        {"results": [{"accepted": True}]},
        {"results": [{"accepted": False}]},
        {"results": [{"accepted": False, "reason": "mood"}]},
        [],
    ],
)
async def test_an_invalid_answer_is_an_outage(answer: object) -> None:
    """A server that does not answer as a hub does is an outage."""
    with moody(JSONResponse(answer)) as (url, _):
        async with transport(url) as opened:
            with pytest.raises(BrokerUnavailable):
                await opened.send([offer()])


async def test_receipts_come_in_the_order_of_the_batch() -> None:
    """A call carries a thousand events; the receipts have their order."""
    with moody() as (url, _):
        async with transport(url) as opened:
            receipts = await opened.send([offer(f"c{n}", n=n) for n in range(1_000)])
    offsets = [receipt.cursor.offset for receipt in receipts if receipt.cursor]
    assert offsets == list(range(offsets[0], offsets[0] + 1_000))


async def test_large_states_leave_in_several_calls() -> None:
    """A hundred states of 60 KB are sent in several bodies."""
    with moody() as (url, there):
        async with Producer(url, patience=WAIT_SECONDS) as p:
            for n in range(100):
                await p.work(f"c{n}", channel="ch", notes="x" * 60_000).update("complete")
            with anyio.fail_after(WAIT_SECONDS):
                await until(lambda: len(there.requests) >= 6)
        assert max(int(request["content-length"]) for request in there.requests) <= 1024 * 1024
        assert len(statuses(url)) == 100


def test_a_malformed_token_is_refused() -> None:
    """A token with a line break raises in the constructor, not at the first event."""
    with pytest.raises(ConfigError) as caught:
        Producer("http://127.0.0.1:1", token="sec\nret")
    assert caught.value.field == "token"
