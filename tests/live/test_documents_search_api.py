"""Counting the results of a search API, which answers as its documentation says."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from statushub.hub.model.document_source import document_categories, document_headers
from statushub.producers.documents.counter import CountFailed, KeywordRefused, RateLimited
from statushub.producers.documents.search_api import ANSWER_BYTES, LIMIT_LONGEST, SearchApi
from tests.support.search_server import CATEGORIES, CLIENT_SECRET, HEADERS, SearchServer, error, search_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with search_server() as server:
        yield server


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def counting(
    server: SearchServer,
    *,
    address: str = "",
    categories: tuple[str, ...] = CATEGORIES,
    headers: tuple[str, ...] = HEADERS,
) -> AsyncIterator[tuple[SearchApi, Clock]]:
    clock = Clock()
    api = SearchApi(address or server.address, document_categories(categories), document_headers(headers), clock=clock)
    async with api:
        yield api, clock


async def test_the_number_of_results_is_counted_by_category(server: SearchServer) -> None:
    """Each category is asked for at its own address, with the headers, and with any keyword."""
    keywords = ["맥북", "a&b=c", "100%", "C++ #1/2?", "따옴표\"'", "🧠", "{category}"]
    server.totals = {("blog", keyword): 10 + n for n, keyword in enumerate(keywords)}
    server.totals |= {("cafearticle", keyword): 20 + n for n, keyword in enumerate(keywords)}
    async with counting(server) as (api, _):
        assert api.calls == 2
        for n, keyword in enumerate(keywords):
            assert await api.count(keyword) == {"blog": 10 + n, "cafe": 20 + n}
    assert server.asked == [(service, keyword) for keyword in keywords for service in ("blog", "cafearticle")]


async def test_one_answer_may_have_all_categories(server: SearchServer) -> None:
    """Where the address names no category, one request answers for all, by their paths."""
    server.answers.append(JSONResponse({"facets": [{"n": "12"}, {"n": 3}], "total": 15}))
    address = server.address.replace("{category}", "blog")
    async with counting(server, address=address, categories=("a=facets.0.n", "b=facets.1.n", "all=total")) as (api, _):
        assert await api.count("맥북") == {"a": 12, "b": 3, "all": 15}
        assert api.calls == 1
    assert len(server.asked) == 1


async def test_a_keyword_that_is_refused_is_told_from_an_outage(server: SearchServer) -> None:
    """Trying again would not help where the API refuses the keyword, the credentials or the address."""
    async with counting(server) as (api, _):
        for code, kind in (("SE01", KeywordRefused), ("024", KeywordRefused), ("SE05", KeywordRefused)):
            server.answers.append(code)
            with pytest.raises(kind, match=code):
                await api.count("맥북")
        for answer in ("SE99", Response(status_code=503), Response(status_code=408), PlainTextResponse("<html>")):
            server.answers.append(answer)
            with pytest.raises(CountFailed) as raised:
                await api.count("맥북")
            assert not isinstance(raised.value, KeywordRefused | RateLimited)
        assert await api.count("맥북") == {"blog": 200, "cafe": 200}


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"items": []}),
        JSONResponse({"total": -1}),
        JSONResponse({"total": 1.5}),
        JSONResponse({"total": 10**30}),
        JSONResponse({"total": True}),
        JSONResponse([]),
        PlainTextResponse("[" * 100_000),
        PlainTextResponse("1" * (ANSWER_BYTES + 1)),
        RedirectResponse("/elsewhere"),
    ],
    ids=["missing", "negative", "fraction", "huge", "bool", "list", "deep", "long", "redirect"],
)
async def test_an_answer_without_a_count_fails(server: SearchServer, answer: Response) -> None:
    """No number is made up."""
    async with counting(server) as (api, _):
        server.answers.append(answer)
        with pytest.raises(CountFailed):
            await api.count("맥북")
    assert len(server.asked) == 1


async def test_a_limit_with_a_time_is_kept_without_another_request(server: SearchServer) -> None:
    """`Retry-After` in seconds, and as a date, holds for every keyword; then it is asked again."""
    async with counting(server) as (api, clock):
        for header in ("120", formatdate(4_000_000_000, usegmt=True)):
            server.answers.append(error("012", {"Retry-After": header}))
            with pytest.raises(RateLimited) as raised:
                await api.count("맥북")
            assert raised.value.after == (120 if header == "120" else 24 * 3600)
            asked = len(server.asked)
            clock.now += 100
            with pytest.raises(RateLimited) as again:
                await api.count("아이폰")
            assert again.value.after == pytest.approx(raised.value.after - 100)
            assert len(server.asked) == asked
            clock.now += raised.value.after
            assert await api.count("맥북") == {"blog": 200, "cafe": 200}


async def test_a_limit_without_a_time_is_kept_longer_each_time(server: SearchServer) -> None:
    """It may be the limit of a second, or that of a day; an answer ends it."""
    pauses = []
    async with counting(server) as (api, clock):
        server.answers.extend(["010"] * 9)
        while server.answers:
            with pytest.raises(RateLimited) as raised:
                await api.count("맥북")
            pauses.append(raised.value.after)
            clock.now += raised.value.after
        await api.count("맥북")
        server.answers.append("010")
        with pytest.raises(RateLimited) as raised:
            await api.count("맥북")
    assert pauses == [60, 120, 240, 480, 960, 1920, LIMIT_LONGEST, LIMIT_LONGEST, LIMIT_LONGEST]
    assert raised.value.after == 60


async def test_no_secret_is_told(server: SearchServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither errors, nor the name of the source, nor the log has a header or what the address has of one."""
    caplog.set_level(logging.DEBUG)
    address = f"{server.address}&key={CLIENT_SECRET}"
    async with counting(server, address=address) as (api, _):
        server.answers.append(JSONResponse({"errorMessage": f"no such client {CLIENT_SECRET}"}, status_code=401))
        with pytest.raises(KeywordRefused) as raised:
            await api.count("맥북")
        assert CLIENT_SECRET not in str(raised.value)
        assert CLIENT_SECRET not in await api.source()
    assert CLIENT_SECRET not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("statushub")
    )


async def test_the_source_changes_with_what_is_asked(server: SearchServer) -> None:
    """Counts of one address are not taken for those of another; credentials make no difference."""
    names = set()
    for options in (
        {},
        {"headers": ("X-Naver-Client-Id: another",)},
        {"categories": ("blog=total",)},
        {"address": server.address.replace("display=1", "display=2")},
    ):
        async with counting(server, **options) as (api, _):
            names.add(await api.source())
    assert len(names) == 3


async def test_an_api_that_is_away_fails_the_count() -> None:
    """Nothing listens there."""
    with search_server() as server:
        pass
    async with counting(server) as (api, _):
        with pytest.raises(CountFailed, match="does not answer"):
            await api.count("맥북")
