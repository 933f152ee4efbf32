"""The routes of the sync of Instagram."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.support.graph_server import VERSION, GraphServer, graph_server, make_users
from tests.support.instagram import connect, open_tables
from tests.support.live import live_hub
from tests.support.redis_server import RedisServer
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

PATH: Final = "/api/v1/batch/instagram"

NOW: Final = datetime.now(UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[GraphServer]:
    """Two accounts, of which one is refused."""
    with graph_server(make_users(2, posts=3, comments=2, now=NOW), now=NOW) as server:
        [*server.users.values()][1].dead = True
        yield server


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, server: GraphServer) -> dict[str, Any]:
    """The settings of a hub that syncs them when it is asked to."""
    url = f"sqlite:///{tmp_path_factory.mktemp('sync') / 'sync.db'}"

    async def fill() -> None:
        async with open_tables(url) as tables:
            await connect(tables, server)

    asyncio.run(fill())
    return {
        "instagram": True,
        "instagram_database": url,
        "instagram_graph": server.url,
        "instagram_version": VERSION,
        "instagram_timezone": "America/New_York",
        "instagram_time": "off",
    }


@pytest.fixture(scope="module")
def client(settings: dict[str, Any]) -> Iterator[httpx.Client]:
    with live_hub(**settings) as hub, httpx.Client(base_url=hub.base_url) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "message", "numbers"),
    [
        ("", "인스타그램 데이터 동기화가 시작되었습니다 (최근 6개월, 기본값)", {"monthsToSync": 6}),
        (
            "/user/1",
            "사용자 1의 인스타그램 데이터 동기화가 시작되었습니다 (최근 6개월, 기본값)",
            {"targetUserNo": 1, "monthsToSync": 6},
        ),
        ("/months/12", "인스타그램 데이터 동기화가 시작되었습니다 (최근 12개월)", {"monthsToSync": 12}),
        (
            "/user/007/months/01",
            "사용자 7의 인스타그램 데이터 동기화가 시작되었습니다 (최근 1개월)",
            {"targetUserNo": 7, "monthsToSync": 1},
        ),
    ],
)
def test_a_start_is_answered_as_before(client: httpx.Client, path: str, message: str, numbers: dict[str, int]) -> None:
    """With exactly these fields; the time is that of the zone."""
    before = datetime.now(ZoneInfo("America/New_York")).replace(tzinfo=None, microsecond=0)
    answer = client.post(f"{PATH}/sync{path}")
    body = answer.json()
    at = datetime.strptime(body["data"].pop("executionTime"), "%Y-%m-%d %H:%M:%S")
    assert before <= at <= before + timedelta(minutes=5)
    assert answer.status_code == 200
    assert body == {
        "success": True,
        "data": {"status": "success", "message": message, "executionType": "manual_async", **numbers},
    }


@pytest.mark.parametrize(
    ("path", "field"),
    [
        *((f"/months/{text}", "months") for text in ("0", "13", "-1", "1.5", "x", "٣", "9" * 40)),
        *((f"/user/{text}", "userNo") for text in ("0", "x", "-1", str(2**63), "9" * 40)),
        ("/user/1/months/0", "months"),
        ("/user/0/months/1", "userNo"),
    ],
)
def test_a_number_that_is_none_is_400_and_named(client: httpx.Client, path: str, field: str) -> None:
    """The message says which it is, and what would be right."""
    answer = client.post(f"{PATH}/sync{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "malformed", field)
    assert field in error["message"]


def test_the_status_has_the_execution_that_ran_last(client: httpx.Client) -> None:
    """With its steps, users, counts and failures, which the list of executions has, too."""
    client.post(f"{PATH}/sync/months/1").raise_for_status()

    def ended() -> Any:
        said = client.get(f"{PATH}/executions", params={"limit": 1}).json()["data"]["executions"][0]
        return said if said["status"] in ("completed", "failed") else None

    execution = eventually(ended)
    asked = client.get(f"{PATH}/status").json()
    assert asked["data"].pop("lastExecution")
    shown = asked["data"].pop("execution")
    assert asked == {
        "success": True,
        "data": {
            "batchName": "Instagram 데이터 동기화",
            "description": "인스타그램 프로필, 미디어, 댓글, 인사이트 데이터를 수집하여 저장합니다",
            "schedule": "예약 없음",
            "status": "active",
        },
    }
    assert set(shown) == set(execution)
    # The second user was refused before, or in this execution.
    assert execution["completed"] == 1
    assert execution["users"] == 1 + execution["failed"]
    assert execution["counts"].items() >= {"profile": 1, "media": 3, "comments": 6}.items()
    assert [step["name"] for step in execution["steps"]] == ["profile", "media", "comments", "insights"]
    assert all(step["progress"] == 100 for step in execution["steps"])
    listed = client.get(f"{PATH}/executions").json()["data"]["executions"]
    failures = [failure for each in listed for failure in each["failures"] if failure["userNo"] == 2]
    assert failures
    assert all("Session has expired" in failure["error"] for failure in failures)
    assert client.get(f"{PATH}/executions", params={"limit": 101}).status_code == 422


def test_an_execution_is_a_content_of_the_hub(client: httpx.Client) -> None:
    """Pages watch it as any job."""
    client.post(f"{PATH}/sync/user/1").raise_for_status()
    [execution, *_] = client.get(f"{PATH}/executions").json()["data"]["executions"]
    answer = client.post("/v1/ai/jobs/batch-status", json={"job_ids": [execution["executionId"]]})
    assert answer.json()["jobs"][execution["executionId"]]["status"] in ("processing", "completed")


def test_a_hub_that_does_not_sync_has_no_such_routes() -> None:
    """It says so, for each of them."""
    with live_hub() as hub, httpx.Client(base_url=hub.base_url) as client:
        answers = [client.post(f"{PATH}/sync"), client.get(f"{PATH}/status"), client.get(f"{PATH}/executions")]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert answers[0].json()["error"]["code"] == "not_found"


def test_tokens_start_and_read_as_their_patterns_say(settings: dict[str, Any]) -> None:
    """And only those of the tenant whose accounts they are."""
    calls = (("POST", "/sync/user/9"), ("GET", "/status"), ("GET", "/executions"))
    given: dict[str, tuple[dict[str, Any], list[int]]] = {
        "writer": ({"write": ["jobs", "jobs/**"], "read": []}, [200, 403, 403]),
        "reader": ({"write": [], "read": ["jobs", "jobs/**"]}, [403, 200, 200]),
        "items only": ({"write": ["jobs/**"], "read": ["jobs/**"]}, [403, 403, 403]),
        "other tenant": ({"tenant": "other", "write": ["**"], "read": ["**"]}, [404, 404, 404]),
    }
    own = {"instagram_tenant": "acme"}
    with live_hub(**settings | own, secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        for name, (claims, expected) in given.items():
            headers = bearer(**{"tenant": "acme"} | claims)
            statuses = [client.request(method, PATH + path, headers=headers).status_code for method, path in calls]
            assert statuses == expected, name
        assert [client.request(method, PATH + path).status_code for method, path in calls] == [401] * 3


@pytest.mark.redis
def test_what_has_no_place_in_the_pool_is_503(
    settings: dict[str, Any], redis_server: RedisServer, tmp_path: Path
) -> None:
    """Over two hubs that share the pool, the one after 35 is told when to try again."""
    given = settings | {"broker": redis_server.url, "instagram_database": f"sqlite:///{tmp_path / 'sync.db'}"}
    with live_hub(**given) as one, live_hub(**given) as other:
        answers = [httpx.post(f"{hub.base_url}{PATH}/sync") for hub in [one, other] * 18]
        waiting = httpx.get(f"{one.base_url}{PATH}/status").json()["data"]
    assert [answer.status_code for answer in answers] == [200] * 35 + [503]
    assert answers[-1].json()["error"]["code"] == "busy"
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert (waiting["execution"]["status"], waiting["lastExecution"]) == ("waiting", None)


def test_a_database_that_is_away_is_503(settings: dict[str, Any], tmp_path: Path) -> None:
    """The hub serves on, and the answer says when to try again."""
    given = settings | {"instagram_database": f"sqlite:///{tmp_path / 'no' / 'sync.db'}"}
    with live_hub(**given) as hub, httpx.Client(base_url=hub.base_url, timeout=60) as client:
        answers = [client.post(f"{PATH}/sync"), client.get(f"{PATH}/status")]
        assert client.get("/readyz").status_code == 200
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
