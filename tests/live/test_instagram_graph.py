"""The client of the Graph API against a server with the API's quirks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from statushub.producers.instagram.answers import Comment, Media, Metric, Page, Profile
from statushub.producers.instagram.errors import (
    BadCall,
    GraphError,
    Limited,
    NotPermitted,
    NotThere,
    TokenRefused,
    Transient,
)
from statushub.producers.instagram.graph import LIMITS, TRIES, Account, Graph
from statushub.producers.instagram.timing import Timing
from tests.support.graph_server import FAILING, HTML, VERSION, Fault, GraphServer, busy, graph_server, make_users
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NOW: Final = datetime(2026, 7, 31, 12, tzinfo=UTC)

QUICK: Final = Timing(minute=0.05, limited=0.01, limited_longest=0.02, retry=0.001, retry_longest=0.002)

LONG: Final = msgspec.structs.replace(QUICK, minute=60.0, limited=3600.0, limited_longest=3600.0)
"""Pauses that no test waits for the end of."""


@pytest.fixture
def server() -> Iterator[GraphServer]:
    """Two accounts, with more posts than a page has."""
    with graph_server(make_users(2, posts=230, comments=0, now=NOW), now=NOW) as server:
        yield server


@pytest.fixture
async def graph(server: GraphServer) -> AsyncIterator[Graph]:
    async with Graph(server.url, VERSION, timing=QUICK) as graph:
        yield graph


@pytest.fixture
async def patient(server: GraphServer) -> AsyncIterator[Graph]:
    """A client that pauses as long as it is told."""
    async with Graph(server.url, VERSION, timing=LONG) as graph:
        yield graph


def account(server: GraphServer, place: int = 0, **changes: Any) -> Account:
    user = [*server.users.values()][place]
    return msgspec.structs.replace(Account(user_no=place + 1, ig_user_id=user.id, token=user.token), **changes)


async def profile(graph: Graph, of: Account) -> Profile:
    return await graph.get(of, of.ig_user_id, Profile, fields="id,username,followers_count")


async def test_only_the_fields_that_were_asked_for_are_answered(server: GraphServer, graph: Graph) -> None:
    """The rest of a profile stays unknown."""
    read = await profile(graph, account(server))
    assert (read.username, read.followers_count, read.biography) == ("shop_1", 60, None)


@pytest.mark.parametrize("empty", [False, True])
async def test_a_list_is_read_to_its_last_page(server: GraphServer, graph: Graph, empty: bool) -> None:
    """There is another page where the answer says so, also after one without entries; none is read after the last."""
    server.empty_pages = empty
    of = account(server)
    pages = [page async for page in graph.pages(of, f"{of.ig_user_id}/media", Media, fields="id,caption", limit=100)]
    ids = [each.id for page in pages for each in page]
    assert ids == [post.fields["id"] for post in server.users[of.ig_user_id].posts]
    assert [len(page) for page in pages] == [0] * empty + [100, 100, 30]
    assert len(server.calls) == len(pages)


async def test_the_address_of_the_next_page_is_not_followed(server: GraphServer, graph: Graph) -> None:
    """It has the token, and could name any host: the cursor is taken from it, or its parameters without the token."""
    of = account(server)
    path = f"{of.ig_user_id}/media"
    elsewhere = {"data": [{"id": "1"}], "paging": {"next": "https://elsewhere.example/?until=7&access_token=EAAother"}}
    server.fail(path, Fault(status=200, body=msgspec.json.encode(elsewhere).decode()))
    pages = graph.pages(of, path, Media, fields="id", limit=100)
    await anext(pages)
    await anext(pages)
    assert server.calls[1] == (path, {"fields": "id", "limit": "100", "until": "7"})
    assert [*server.tokens] == [of.token]


async def test_a_cursor_that_leads_back_ends_the_list(server: GraphServer, graph: Graph) -> None:
    """A list without an end would be read for ever."""
    of = account(server)
    path = f"{of.ig_user_id}/media"
    again = {"data": [{"id": "1"}], "paging": {"cursors": {"after": "x"}, "next": "https://graph.example/"}}
    server.fail(path, *[Fault(status=200, body=msgspec.json.encode(again).decode())] * 9)
    assert len([page async for page in graph.pages(of, path, Media)]) == 2


@pytest.mark.parametrize("fault", FAILING, ids=["1", "2", "html-502", "html-200", "half-json", "cut"])
async def test_a_failure_that_passes_is_repeated(server: GraphServer, graph: Graph, fault: Fault) -> None:
    """A call is made again some times, and then has failed."""
    of = account(server)
    server.fail(of.ig_user_id, *[fault] * (TRIES - 1))
    assert (await profile(graph, of)).username == "shop_1"
    server.fail(of.ig_user_id, *[fault] * TRIES)
    with pytest.raises(Transient):
        await profile(graph, of)
    assert server.paths[of.ig_user_id] == 2 * TRIES


async def test_a_server_that_is_away_is_a_failure_that_passes(server: GraphServer) -> None:
    """The error tells neither the address with the token nor the token."""
    async with Graph("http://127.0.0.1:9", VERSION, timing=QUICK) as graph:
        with pytest.raises(Transient) as raised:
            await profile(graph, account(server))
    assert "EAA" not in str(raised.value)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(code=190, subcode=463, message="Session has expired"), TokenRefused),
        (Fault(code=190, subcode=460, message="The session was invalidated: the password changed"), TokenRefused),
        (Fault(code=102, message="Session key invalid"), TokenRefused),
        (Fault(code=10, status=403, message="Application does not have permission for this action"), NotPermitted),
        (Fault(code=200, status=403, message="Permissions error"), NotPermitted),
        (Fault(code=100, subcode=33, message="Object does not exist"), NotThere),
        (Fault(code=100, message="Invalid parameter"), BadCall),
        (Fault(code=36009, message="Something new"), GraphError),
        (Fault(status=404, body=HTML), GraphError),
        (Fault(status=200, body="[1]"), Transient),
        (Fault(status=200, body='{"username":7}'), GraphError),
    ],
)
async def test_a_failure_that_stays_is_told_by_its_kind(
    server: GraphServer, graph: Graph, fault: Fault, expected: type[GraphError]
) -> None:
    """It is not repeated, unless the answer is not the API's."""
    of = account(server)
    server.fail(of.ig_user_id, *[fault] * TRIES)
    with pytest.raises(GraphError) as raised:
        await profile(graph, of)
    assert type(raised.value) is expected
    assert server.paths[of.ig_user_id] == (TRIES if expected is Transient else 1)


async def test_a_token_is_in_no_error_and_no_log_line(
    server: GraphServer, graph: Graph, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where the API repeats it, and where every library logs all that it does."""
    caplog.set_level(logging.DEBUG)
    of = account(server, token="EAAforeign")
    server.fail(of.ig_user_id, Fault(code=2), Fault(code=17, headers=busy(0.01)))
    with pytest.raises(TokenRefused, match="Malformed access token") as raised:
        await profile(graph, of)
    assert server.tokens == {"EAAforeign": 3}
    assert caplog.records
    said = "".join(f"{record.getMessage()}{record.args}" for record in caplog.records)
    assert "EAAforeign" not in f"{said}{raised.value}{raised.value!r}{of!r}"


@pytest.mark.parametrize("code", [17, 32, 613, 80002])
async def test_an_account_that_is_limited_waits_as_long_as_it_is_told(
    server: GraphServer, graph: Graph, patient: Graph, code: int
) -> None:
    """Its calls wait, those of other accounts do not."""
    limited, free = account(server), account(server, 1)
    server.fail(limited.ig_user_id, Fault(code=code, headers=busy(minutes=6)))
    began = time.monotonic()
    await profile(graph, limited)
    assert time.monotonic() - began >= 6 * QUICK.minute
    assert server.paths[limited.ig_user_id] == 2
    server.fail(limited.ig_user_id, Fault(code=code, headers=busy(minutes=6)))
    async with waiting(patient, limited):
        assert 300 < patient.pause_of(limited) <= 360
        assert (await profile(patient, free)).username == "shop_2"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(code=4, status=403, headers={"X-App-Usage": '{"call_count":100}'}),
        Fault(code=4),
        Fault(status=429, body=HTML),
    ],
)
async def test_a_limit_of_the_app_stops_all_calls(server: GraphServer, patient: Graph, fault: Fault) -> None:
    """No account is called for until the pause is over, which nothing tells."""
    limited, other = account(server), account(server, 1)
    server.fail(limited.ig_user_id, fault)
    async with waiting(patient, limited), waiting(patient, other):
        assert 3500 < patient.pause_of(other) <= 7200
    assert server.paths == {limited.ig_user_id: 1}


@asynccontextmanager
async def waiting(graph: Graph, of: Account) -> AsyncIterator[None]:
    """A call that waits for the end of a pause, for the block."""
    call = asyncio.ensure_future(profile(graph, of))
    try:
        await until(lambda: graph.pause_of(of) > 0)
        yield
        assert not call.done()
    finally:
        call.cancel()
        await asyncio.wait([call])


async def test_a_limit_that_does_not_end_is_a_failure(server: GraphServer, graph: Graph) -> None:
    """A user is not waited for without end."""
    of = account(server)
    server.fail(of.ig_user_id, *[Fault(code=17)] * LIMITS)
    with pytest.raises(Limited):
        await profile(graph, of)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-App-Usage": "{", "X-Business-Use-Case-Usage": "[]"},
        {"X-App-Usage": '{"call_count":"many"}', "X-Business-Use-Case-Usage": '{"1":[{"type":7}]}'},
        {"X-App-Usage": "", "X-Business-Use-Case-Usage": '{"1":[{"estimated_time_to_regain_access":-3}]}'},
    ],
)
async def test_usage_that_cannot_be_read_is_left_out(
    server: GraphServer, graph: Graph, headers: dict[str, str]
) -> None:
    """It is a hint, and no reason to fail."""
    server.usage = headers
    of = account(server)
    assert (await profile(graph, of)).username == "shop_1"
    assert graph.pause_of(of) == 0


async def test_an_answer_may_tell_that_the_next_call_would_be_refused(server: GraphServer, patient: Graph) -> None:
    """Calls that are refused would make the pause longer."""
    server.usage = busy(minutes=100)
    of = account(server)
    await profile(patient, of)
    assert 5900 < patient.pause_of(of) <= 6000
    other = account(server, 1)
    assert patient.pause_of(other) == 0
    server.usage = {"X-App-Usage": '{"call_count":40,"total_cputime":100,"total_time":25}'}
    await profile(patient, other)
    third = msgspec.structs.replace(other, ig_user_id="3")
    assert 3500 < patient.pause_of(third) <= 3600


async def test_insights_are_answered_for_thirty_days_at_most(server: GraphServer, graph: Graph) -> None:
    """A window of a day more is refused, as are metrics that the account does not have."""
    of = account(server)

    async def ask(days: int, metric: str) -> list[Metric]:
        since = int(NOW.timestamp()) - days * 24 * 3600
        page = await graph.get(
            of,
            f"{of.ig_user_id}/insights",
            Page[Metric],
            metric=metric,
            period="day",
            since=since,
            until=int(NOW.timestamp()),
        )
        return page.data

    [reach] = await ask(30, "reach")
    assert len(reach.values) == 30
    with pytest.raises(BadCall, match="30 days"):
        await ask(31, "reach")
    with pytest.raises(BadCall, match="follower_count"):
        await ask(30, "follower_count")


async def test_comments_come_with_their_replies(graph: Graph, server: GraphServer) -> None:
    """`fields` asks for them in one call."""
    with graph_server(make_users(1, posts=1, comments=2, replies=2, now=NOW), now=NOW) as other:
        async with Graph(other.url, VERSION, timing=QUICK) as client:
            of = account(other)
            post = next(iter(other.posts))
            fields = "id,text,replies{id,text}"
            [page] = [page async for page in client.pages(of, f"{post}/comments", Comment, fields=fields, limit=50)]
    assert [len(comment.replies.data) for comment in page if comment.replies] == [2, 2]
