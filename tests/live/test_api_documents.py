"""The routes of document counts, as the pages of the system before know them."""

from __future__ import annotations

import json
import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command import ended as finished
from tests.support.command import started
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer
from tests.support.search_server import CATEGORIES, HEADERS, SearchServer, search_server
from tests.support.sse_client import open_stream
from tests.support.tokens import SECRET, bearer, token
from tests.support.waiting import eventually

BATCH = "/api/documents/batch"
STATUS = "/api/documents/status"
COUNT = "/api/documents/count"

KOREAN = re.compile("[가-힣]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("documents")
    for category, number, text in (("blog", 1, "맥북 아이폰"), ("blog", 2, "맥북"), ("cafe", 1, "아이폰")):
        (root / category).mkdir(exist_ok=True)
        (root / category / f"{number}.txt").write_text(text)
    return root


@contextmanager
def counting_hub(folder: Path, index: Path, **options: Any) -> Iterator[tuple[LiveHub, httpx.Client]]:
    options = {"documents_pace": 0.0, "documents_retry": 0.05, "jobs": True} | options
    with (
        live_hub("memory:", documents=str(folder), documents_index=str(index), **options) as hub,
        httpx.Client(base_url=hub.base_url, timeout=60) as client,
    ):
        yield hub, client


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    index = tmp_path_factory.mktemp("index") / "index.db"
    with counting_hub(folder, index, documents_queue=True) as (_, client):
        yield client


def start(client: httpx.Client, *keywords: str, **options: Any) -> str:
    answer = client.post(BATCH, json={"keywords": keywords, **options})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["jobId"])


def state(client: httpx.Client, job_id: str, **options: Any) -> dict[str, Any]:
    answer = client.get(STATUS, params={"jobId": job_id}, **options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["job"])


def ended(client: httpx.Client, job_id: str, **options: Any) -> dict[str, Any]:
    return eventually(lambda: it if (it := state(client, job_id, **options))["completedAt"] else None) or {}


def test_a_batch_is_started_and_polled(client: httpx.Client) -> None:
    """As the page does it: a body without a JSON type, the id, and the state until it is complete."""
    answer = client.post(BATCH, content=json.dumps({"keywords": ["맥북", "아이폰", "갤럭시"], "priority": "high"}))
    assert answer.status_code == 200
    started = answer.json()
    assert re.fullmatch(r"batch_[0-9]{13}_[0-9a-f]+", started["jobId"])
    assert started == {"success": True, "jobId": started["jobId"], "message": "배치 작업이 시작되었습니다"}
    job = ended(client, started["jobId"])
    assert job.pop("startedAt") <= job.pop("completedAt")
    assert job == {
        "id": started["jobId"],
        "status": "completed",
        "progress": {"current": 3, "total": 3},
        "results": [
            {"keyword": "맥북", "counts": {"blog": 2, "cafe": 0}},
            {"keyword": "아이폰", "counts": {"blog": 1, "cafe": 1}},
            {"keyword": "갤럭시", "counts": {"blog": 0, "cafe": 0}},
        ],
        "keywords": ["맥북", "아이폰", "갤럭시"],
        "error": None,
    }


def test_a_keyword_is_looked_up_once(client: httpx.Client) -> None:
    """Repeated ones, also in another form of Unicode or with spaces around, count as the first."""
    job = ended(client, start(client, "맥북", "\u1106\u1162\u11a8\u1107\u116e\u11a8", " 맥북", "아이폰", "맥북"))
    assert job["keywords"] == ["맥북", "아이폰"]


def test_results_stream_as_they_come(client: httpx.Client) -> None:
    """The job's channel has each keyword with its result."""
    job_id = start(client, "맥북", "아이폰")
    with open_stream(str(client.base_url), f"/api/contents/jobs%2F{job_id}/events") as stream:
        found: dict[str, Any] = {}
        while len(found) < 2:
            data = stream.event().json
            if "result" in data:
                found[data["input"]] = data["result"]["counts"]
    assert found == {"맥북": {"blog": 2, "cafe": 0}, "아이폰": {"blog": 1, "cafe": 1}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "객체"),
        (b"[" * 10_000, "JSON"),
        (b"\xff", "JSON"),
        (b"{}", "keywords"),
        (b'{"keywords":"a"}', "keywords"),
        (b'{"keywords":[]}', "keywords"),
        (json.dumps({"keywords": [f"k{n}" for n in range(1001)]}).encode(), "1~1000개"),
        (b'{"keywords":["a",""]}', r"keywords\[1\]"),
        (b'{"keywords":["a","b"," \\n\\u00a0"]}', r"keywords\[2\]"),
        (b'{"keywords":["a",7]}', r"keywords\[1\]"),
        (json.dumps({"keywords": ["a", "b", "x" * 201]}).encode(), r"keywords\[2\].*200"),
        (b'{"keywords":["a"],"priority":"urgent"}', "priority"),
        (b'{"keywords":["a"],"priority":[]}', "priority"),
        (b'{"keywords":["a\\ud800"]}', ""),
    ],
)
def test_what_cannot_be_started_is_refused_by_its_place(client: httpx.Client, body: bytes, said: str) -> None:
    """The page shows the error as it is."""
    answer = client.post(BATCH, content=body)
    assert answer.status_code == 400
    assert answer.json().keys() == {"success", "error"}
    assert answer.json()["success"] is False
    assert re.search(said, answer.json()["error"])
    assert KOREAN.search(answer.json()["error"])


def test_a_batch_may_have_a_thousand_keywords(client: httpx.Client) -> None:
    """The limit is inclusive, and so is that of a keyword's length."""
    keywords = [f"{'맥' * 190}{n:010}" for n in range(1000)]
    job_id = start(client, *keywords)
    assert state(client, job_id)["progress"]["total"] == 1000
    client.post("/api/contents/jobs/cancel", json={"content_id": job_id, "reason": "충분함"}).raise_for_status()
    job = ended(client, job_id)
    assert (job["status"], job["error"]) == ("failed", "작업이 취소되었습니다: 충분함")
    assert job["keywords"] == keywords


@pytest.mark.parametrize("query", ["", "?jobId=", "?jobId=batch_1_a", "?jobId=jobs", "?jobId=%00"])
def test_an_unknown_batch_is_not_found(client: httpx.Client, query: str) -> None:
    """The page shows why."""
    answer = client.get(STATUS + query)
    assert answer.status_code == (404 if "_" in query or "jobs" in query else 400)
    assert answer.json()["success"] is False


def test_a_job_of_another_kind_is_no_batch(client: httpx.Client) -> None:
    """Other jobs of the tenant have items of their own kinds."""
    event = {"channel": "jobs", "content_id": "other", "data": {"status": "pending", "job": "words"}}
    client.post("/api/publish", json=event).raise_for_status()
    assert client.get(STATUS, params={"jobId": "other"}).status_code == 404


def test_one_keyword_is_counted_by_a_request(client: httpx.Client, folder: Path) -> None:
    """Without a batch."""
    answer = client.get(COUNT, params={"keyword": "맥북"})
    assert answer.json() == {"success": True, "keyword": "맥북", "counts": {"blog": 2, "cafe": 0}}
    for query in ("", "?keyword=", "?keyword=%20", f"?keyword={'x' * 201}"):
        answer = client.get(COUNT + query)
        assert (answer.status_code, answer.json()["success"]) == (400, False)


def test_a_second_batch_is_refused_until_the_first_has_ended(folder: Path, tmp_path: Path) -> None:
    """By default one runs at a time for a tenant."""
    with counting_hub(folder, tmp_path / "index.db", documents_pace=3600) as (_, client):
        first = start(client, "맥북")
        answer = client.post(BATCH, json={"keywords": ["아이폰"]})
        assert answer.status_code == 409
        assert answer.json() == {"success": False, "error": "이미 처리 중인 작업이 있습니다"}
        client.post("/api/contents/jobs/cancel", json={"content_id": first}).raise_for_status()
        assert ended(client, first)["error"] == "작업이 취소되었습니다"
        start(client, "아이폰")


def test_batches_wait_for_their_turn_where_they_may(folder: Path, tmp_path: Path) -> None:
    """With queueing, the ones of high priority begin first."""
    options = {"documents_queue": True, "documents_pace": 3600}
    with counting_hub(folder, tmp_path / "index.db", **options) as (_, client):
        first = start(client, "맥북")
        eventually(lambda: state(client, first)["status"] == "processing")
        low, high = start(client, "가", priority="low"), start(client, "나", priority="high")
        for job_id, following in ((first, high), (high, low)):
            client.post("/api/contents/jobs/cancel", json={"content_id": job_id}).raise_for_status()
            eventually(lambda following=following: state(client, following)["status"] == "processing")  # type: ignore[misc]
        assert state(client, low)["startedAt"] >= state(client, high)["completedAt"]


@contextmanager
def searching_hub(**options: Any) -> Iterator[tuple[SearchServer, httpx.Client]]:
    options = {"documents_pace": 0.0, "documents_retry": 0.05, "jobs": True} | options
    with (
        search_server() as server,
        live_hub(
            "memory:",
            documents_url=server.address,
            documents_categories=CATEGORIES,
            documents_headers=HEADERS,
            **options,
        ) as hub,
        httpx.Client(base_url=hub.base_url, timeout=60) as client,
    ):
        yield server, client


def sums(client: httpx.Client, job_id: str) -> dict[str, Any]:
    contents = client.get("/api/contents/jobs").json()["contents"]
    return dict(next(it for it in contents if it["content_id"] == job_id)["sums"])


def test_one_bad_keyword_does_not_end_a_batch() -> None:
    """It fails, after as many tries as help, and the others are counted; a failed look-up is tried again."""
    with searching_hub() as (server, client):
        server.refused.add("나쁜")
        server.answers.append("SE99")
        job_id = start(client, "맥북", "나쁜", "아이폰")
        job = ended(client, job_id)
        assert (job["status"], job["progress"], job["error"]) == ("completed", {"current": 3, "total": 3}, None)
        assert [result["keyword"] for result in job["results"]] == ["맥북", "아이폰"]
        assert server.asked.count(("blog", "나쁜")) == 1
        assert server.asked.count(("blog", "맥북")) == 2
        assert sums(client, job_id) == {"calls": 8}
        job = ended(client, start(client, "나쁜"))
        assert (job["status"], job["results"]) == ("failed", [])
        assert job["error"].startswith("모든 키워드의 조회에 실패했습니다: 127.0.0.1 answers 400")


def test_a_count_is_good_for_a_day() -> None:
    """A keyword is looked up once, whether by a batch or by a request, and the calls of the source say so."""
    with searching_hub() as (server, client):
        job_id = start(client, "맥북", "아이폰")
        ended(client, job_id)
        assert sums(client, job_id) == {"calls": 4}
        again = start(client, "맥북", " 아이폰 ", "갤럭시")
        job = ended(client, again)
        assert [result["keyword"] for result in job["results"]] == ["맥북", " 아이폰 ", "갤럭시"]
        assert sums(client, again) == {"calls": 2}
        assert client.get(COUNT, params={"keyword": "맥북"}).json()["counts"] == {"blog": 200, "cafe": 200}
        assert len(server.asked) == 6


def test_a_source_that_fails_is_told_by_the_request() -> None:
    """A limit says when to ask again."""
    with searching_hub() as (server, client):
        server.answers.extend(["SE99", "SE01", "012"])
        answers = [client.get(COUNT, params={"keyword": f"맥북{n}"}) for n in range(3)]
        assert [answer.status_code for answer in answers] == [502, 502, 503]
        assert answers[2].headers["retry-after"] == "60"
        assert all(answer.json()["success"] is False for answer in answers)


@pytest.mark.parametrize(
    ("claims", "starts", "reads"),
    [
        ({"read": ["jobs/**"], "write": ["jobs/**"]}, 200, 200),
        ({"read": ["jobs/**"], "write": ["jobs"]}, 403, 200),
        ({"read": [], "write": ["**"]}, 200, 403),
        ({"read": ["jobs"], "write": []}, 403, 403),
        ({"tenant": "beta"}, 403, 200),
    ],
)
def test_a_token_starts_and_reads_what_it_may(
    folder: Path, tmp_path: Path, claims: dict[str, Any], starts: int, reads: int
) -> None:
    """Starting needs `write` for the channels below `jobs/`, reading `read`, and tenants see their own only."""
    options = {"secret": SECRET, "jobs_tenants": ("acme",)}
    with counting_hub(folder, tmp_path / "index.db", **options) as (_, client):
        assert client.get(COUNT, params={"keyword": "맥북"}).status_code == 401
        headers = bearer(**claims)
        answer = client.post(BATCH, json={"keywords": ["맥북"]}, headers=headers)
        assert (answer.status_code, answer.json()["success"]) == (starts, starts == 200)
        assert client.get(COUNT, params={"keyword": "맥북"}, headers=headers).status_code == reads
        job_id = answer.json().get("jobId", "batch_1_a")
        found = client.get(STATUS, params={"jobId": job_id}, headers=headers)
        assert found.status_code == (404 if reads == 200 and starts != 200 else reads)
        if starts == 200:
            assert client.get(STATUS, params={"jobId": job_id}, headers=bearer(tenant="beta")).status_code == 404


def test_a_foreign_page_starts_nothing(folder: Path, tmp_path: Path) -> None:
    """Browsers send `text/plain` with the cookie for any page, without asking first: its origin is checked."""
    body = json.dumps({"keywords": ["맥북"]})
    listed = "https://app.example.com"
    with counting_hub(folder, tmp_path / "index.db", secret=SECRET, cors_origins=(listed,), jobs_tenants=("acme",)) as (
        hub,
        client,
    ):
        client.cookies.set("statushub_token", token())
        for origin, status in (
            ({}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": listed}, 200),
        ):
            assert client.post(BATCH, content=body, headers=origin).status_code == status, origin
        job_id = client.get("/api/contents/jobs").json()["contents"][0]["content_id"]
        ended(client, job_id)
        assert client.post(BATCH, content=body, headers={"Origin": hub.base_url}).status_code == 200
        header = {**bearer(), "Content-Type": "application/x-www-form-urlencoded"}
        assert client.post(BATCH, content=body, headers=header).status_code == 415
    with counting_hub(folder, tmp_path / "index.db") as (_, client):
        foreign = {"Origin": "https://evil.example", "Content-Type": "text/plain;charset=UTF-8"}
        assert client.post(BATCH, content=body, headers=foreign).status_code == 403
        assert client.post(BATCH, content=body, headers={"Content-Type": "text/plain"}).status_code == 200


def test_without_documents_the_routes_say_what_to_set() -> None:
    """They are there, and tell people what is missing."""
    with live_hub("memory:") as hub, httpx.Client(base_url=hub.base_url) as client:
        for answer in (
            client.post(BATCH, json={"keywords": ["a"]}),
            client.get(STATUS, params={"jobId": "a"}),
            client.get(COUNT, params={"keyword": "a"}),
        ):
            assert answer.status_code == 404
            assert "STATUSHUB_DOCUMENTS" in answer.json()["error"]


def test_the_log_has_the_lines_that_operators_know(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Creation, start, each keyword with its place, and the end."""
    with caplog.at_level(logging.INFO), counting_hub(folder, tmp_path / "index.db") as (_, client):
        job_id = start(client, "맥북", "아이폰\n[배치] 작업 취소: 모두")
        ended(client, job_id)
        eventually(lambda: any("작업 완료" in record.getMessage() for record in caplog.records))
    said = [record.getMessage() for record in caplog.records if "[배치]" in record.getMessage()]
    assert said == [
        f"[배치] 작업 생성: {job_id} (2개 키워드)",
        f"[배치] 작업 시작: {job_id}",
        "[배치] 1/2 완료: 맥북",
        "[배치] 2/2 완료: 아이폰 [배치] 작업 취소: 모두",
        f"[배치] 작업 완료: {job_id} (성공 2, 실패 0)",
    ]


@pytest.mark.redis
def test_a_worker_counts_for_the_hubs(folder: Path, tmp_path: Path, redis_server: RedisServer) -> None:
    """With Redis, a process that has the same settings counts, and of two hubs one starts a batch."""
    url = f"redis://127.0.0.1:{redis_server.port}/11?prefix={tmp_path.name}:"
    index = str(tmp_path / "index.db")
    options: dict[str, Any] = {"documents": str(folder), "documents_index": index, "documents_pace": 0.0}
    arguments = ("--documents", str(folder), "--documents-index", index)
    with (
        live_hub(url, **options) as one,
        live_hub(url, **options) as other,
        httpx.Client(base_url=one.base_url, timeout=60) as first,
        httpx.Client(base_url=other.base_url, timeout=60) as second,
    ):
        job_id = start(first, "맥북", "아이폰")
        assert second.post(BATCH, json={"keywords": ["갤럭시"]}).status_code == 409
        assert state(second, job_id)["status"] == "pending"
        with started("worker", "--broker", url, "--documents-pace", "0", *arguments) as process:
            assert ended(second, job_id)["results"][0] == {"keyword": "맥북", "counts": {"blog": 2, "cafe": 0}}
            assert finished(process, signal.SIGTERM)[0] == 0
        start(second, "갤럭시")


FUNCTION = """
from statushub.jobs import PermanentFailure

tries = []


async def count(keyword):
    tries.append(keyword)
    if keyword == "never":
        raise PermanentFailure("no such word")
    if keyword == "odd":
        return {"blog": "many"}
    if keyword == "later" and tries.count("later") < 3:
        raise ConnectionError("not now")
    return {"blog": len(keyword)}
"""


def test_a_function_of_ones_own_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it raises is tried again, unless it says that this is useless; what is no count fails."""
    (tmp_path / "team_counts.py").write_text(FUNCTION)
    monkeypatch.syspath_prepend(str(tmp_path))
    options: dict[str, Any] = {"documents_counter": "team_counts:count", "documents_pace": 0.0, "documents_retry": 0.01}
    with (
        live_hub("memory:", jobs=True, **options) as hub,
        httpx.Client(base_url=hub.base_url, timeout=60) as client,
    ):
        job_id = start(client, "맥북", "never", "odd", "later")
        job = ended(client, job_id)
        assert [result["keyword"] for result in job["results"]] == ["맥북", "later"]
        assert sums(client, job_id) == {"calls": 6}
        answers = [client.get(COUNT, params={"keyword": keyword}) for keyword in ("맥북", "never", "odd")]
        assert [answer.status_code for answer in answers] == [200, 502, 502]
        assert answers[1].json()["error"] == "no such word"
