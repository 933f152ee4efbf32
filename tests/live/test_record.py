"""Polls over the system of record: its rows and the hub's states as one, on every kind of database."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, String, Table, Uuid

from statushub.hub.sources.place import Place
from statushub.hub.sources.row import Position
from tests.support.live import LiveHub, live_hub
from tests.support.patience import patient_sources
from tests.support.publishing import publish
from tests.support.record import NOW, TeamDatabase, contents_table, row
from tests.support.redis_server import RedisServer
from tests.support.tokens import SECRET, bearer

EMPTY: Final = {"status": "idle", "processing_status": "uploading"}

_numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def _patient() -> Iterator[None]:
    with patient_sources():
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TeamDatabase:
    """A database of each kind."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("record") / "team.db"
        file.touch()
        return TeamDatabase(f"sqlite+aiosqlite:///{file}")
    return TeamDatabase(request.getfixturevalue(f"{request.param}_server").url)


@pytest.fixture
def table(database: TeamDatabase) -> Table:
    """An empty table of its own."""
    table = contents_table(f"contents_{next(_numbers)}")
    database.create(table)
    return table


@pytest.fixture
def hub(database: TeamDatabase, table: Table) -> Iterator[LiveHub]:
    """A hub over this table."""
    with live_hub(source=database.url, source_table=table.name) as hub:
        yield hub


def get(hub: LiveHub, path: str, **options: Any) -> Any:
    answer = httpx.get(f"{hub.base_url}{path}", timeout=30, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def batch(hub: LiveHub, *content_ids: str, **options: Any) -> list[dict[str, Any]]:
    body = {"content_ids": list(content_ids)}
    answer = httpx.post(f"{hub.base_url}/api/contents/status/batch", json=body, timeout=30, **options)
    assert answer.status_code == 200, answer.text
    statuses: list[dict[str, Any]] = answer.json()["statuses"]
    return statuses


def pages(hub: LiveHub, channel: str, limit: int) -> list[list[str]]:
    """The ids on each page."""
    found: list[list[str]] = []
    after = None
    while after is not None or not found:
        page = get(hub, f"/api/contents/{channel}", params={"limit": limit, **({"after": after} if after else {})})
        found.append([content["content_id"] for content in page["contents"]])
        after = page["next"]
    return found


def test_a_row_is_a_content(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """With all of its columns as the database gives them, and texts for its names."""
    metadata = {"summary": "A talk.", "tags": ["a", "b"]}
    said: dict[str, Any] = {
        "title": "Talk",
        "url": "https://example.com/1",
        "ai_gen_metadata": metadata,
        "duration": 12.5,
    }
    database.insert(table, row("a", status="complete", processing_status="completed", likes="7", **said))
    [content] = get(hub, "/api/contents/c")["contents"]
    assert {name: content[name] for name in said} == said
    names = {"id": "a", "content_id": "a", "channel_id": "c", "likes": "7", "provider_id": None}
    assert {name: content[name] for name in names} == names
    assert (content["status"], content["processing_status"]) == ("complete", "completed")
    assert content["updated_at"].startswith(NOW.isoformat(sep=content["updated_at"][10])[:19])


def test_the_status_of_the_hub_wins(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """Its other fields, too, but for the times; what the row alone has stays."""
    database.insert(table, row("a", status="complete", processing_status="completed", title="Row", url="u"))
    publish(hub, "a", "generating", title="Event", progress=40, url=None, updated_at="never")
    [content] = get(hub, "/api/contents/c")["contents"]
    assert (content["status"], content["processing_status"], content["progress"]) == ("generating", None, 40)
    assert (content["title"], content["url"]) == ("Event", "u")
    assert content["updated_at"].startswith("2025-07-31")
    assert batch(hub, "a") == [content]


@pytest.mark.parametrize("migrated", [True, False])
def test_the_words_follow_from_metadata(database: TeamDatabase, *, migrated: bool) -> None:
    """Where the record says neither, or has no columns for it, in pages, batches and totals alike."""
    table = contents_table(f"contents_{next(_numbers)}", migrated=migrated)
    database.create(
        table, [row("told", ai_gen_metadata={"summary": "x"}), row("silent"), row("hollow", ai_gen_metadata={})]
    )
    with live_hub(source=database.url, source_table=table.name) as hub:
        contents = {each["id"]: each for each in get(hub, "/api/contents/c")["contents"]}
        words = {id: (each["status"], each["processing_status"]) for id, each in contents.items()}
        assert words == {
            "told": ("complete", "completed"),
            "silent": ("idle", "uploading"),
            "hollow": ("idle", "uploading"),
        }
        assert batch(hub, *contents) == list(contents.values())
        summary = get(hub, "/api/contents/c/status")
        assert (summary["total_completed"], summary["total_processing"], summary["total_failed"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"status": "READY"}, ("complete", "completed")),
        ({"status": "FAILED"}, ("error", "failed")),
        ({"status": "PENDING"}, ("idle", "pending")),
        ({"status": "idle", "processing_status": "uploading"}, ("idle", "uploading")),
        ({"status": "generating", "processing_status": "summarizing"}, ("generating", "summarizing")),
        ({"status": None, "processing_status": "summarizing"}, ("generating", "summarizing")),
        ({"status": "draft", "processing_status": None}, ("idle", "uploading")),
        ({"status": "", "processing_status": ""}, ("idle", "uploading")),
    ],
    ids=str,
)
def test_the_words_of_a_row_are_those_of_contents(
    hub: LiveHub, database: TeamDatabase, table: Table, words: dict[str, Any], expected: tuple[str, str]
) -> None:
    """Other vocabularies are translated, and a word that means nothing is not taken for work."""
    database.insert(table, row("a", **words))
    [content] = get(hub, "/api/contents/c")["contents"]
    assert (content["status"], content["processing_status"]) == expected


def test_pages_have_each_content_once_and_the_newest_first(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """Rows, events, and contents that are both, rows of one moment and rows without a time included."""
    database.insert(
        table,
        *(row(f"r{number:02}", age=10 * number) for number in range(20)),
        *(row(f"same-{letter}", age=55) for letter in "abc"),
        *(row(f"timeless-{letter}") | {"updated_at": None} for letter in "ab"),
        row("other", "another"),
        row("both", age=500),
    )
    for content_id, age in (("live", 75), ("both", 45), ("r03", -5)):
        moment = row(content_id, age=age)["updated_at"].isoformat()
        publish(hub, content_id, "generating", timestamp=moment)
    order = [
        *("r03", "r00", "r01", "r02", "r04", "both", "r05", "same-c", "same-b", "same-a", "r06", "r07", "live"),
        *(f"r{number:02}" for number in range(8, 20)),
        *("timeless-b", "timeless-a"),
    ]
    for limit in (1, 3, 7, 100):
        found = pages(hub, "c", limit)
        assert list(itertools.chain.from_iterable(found)) == order
        assert all(len(page) == limit for page in found[:-1])


def test_more_rows_than_a_page_are_read_behind_live_ones(database: TeamDatabase, table: Table) -> None:
    """A page that begins with rows whose contents the hub knows goes on with the next ones."""
    database.insert(table, *(row(f"r{number:03}", age=number) for number in range(230)))
    with live_hub(source=database.url, source_table=table.name, publish_rate=100_000) as hub:
        for number in range(150):
            publish(hub, f"r{number:03}", "generating", timestamp="2020-01-01T00:00:00Z")
        found = pages(hub, "c", 1000)
        assert sorted(itertools.chain.from_iterable(found)) == [f"r{number:03}" for number in range(230)]
        assert found[0][0] == "r150"


def test_a_summary_counts_each_content_once(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """By the hub's status where it has one; the lists are those of the page."""
    words = {"a": "complete", "b": "complete", "c": "generating", "d": "error", "e": "idle", "f": "generating"}
    database.insert(table, *(row(id, status=word, error_reason="no audio") for id, word in words.items()))
    publish(hub, "a", "generating", progress=30)
    publish(hub, "f", "error", error_message="lost")
    publish(hub, "g", "complete")
    found = get(hub, "/api/contents/c/status")
    assert (found["total_processing"], found["total_completed"], found["total_failed"]) == (2, 2, 2)
    assert found["has_processing"] is True
    assert sorted(each["id"] for each in found["processing_contents"]) == ["a", "c"]
    assert sorted(each["id"] for each in found["completed_contents"]) == ["b", "g"]
    failed = {each["id"]: each["error_message"] for each in found["failed_contents"]}
    assert failed == {"d": "no audio", "f": "lost"}
    listed = httpx.get(f"{hub.base_url}/api/contents/c/status?view=list&limit=4")
    assert len(listed.json()) == 4
    following = httpx.get(f"{hub.base_url}/api/contents/c/status{listed.links['next']['url']}").json()
    assert {each["id"]: each["status"] for each in listed.json() + following} == words | {
        **{"a": "generating", "f": "error", "g": "complete"}
    }


def test_batches_and_jobs_know_the_rows(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """What neither knows is not found, as without a record."""
    database.insert(table, row("a", status="complete", title="Row"), row("b", status="error", error_reason="no audio"))
    publish(hub, "live", "generating", progress=20)
    known, failed, live, unknown = batch(hub, "a", "b", "live", "nothing")
    assert (known["id"], known["status"], known["title"], known["channel_id"]) == ("a", "complete", "Row", "c")
    assert (failed["status"], failed["error_reason"]) == ("error", "no audio")
    assert (live["status"], live["progress"]) == ("generating", 20)
    assert unknown == {"id": "nothing", "status": "not_found"}
    body = {"job_ids": ["a", "b", "live", "nothing"]}
    jobs = httpx.post(f"{hub.base_url}/v1/ai/jobs/batch-status", json=body).json()["jobs"]
    assert {id: (job["status"], job["progress"], job["error"]) for id, job in jobs.items()} == {
        "a": ("completed", 100, None),
        "b": ("failed", 0, "no audio"),
        "live": ("processing", 20, None),
        "nothing": ("not_found", 0, None),
    }


def test_a_video_is_answered_from_its_row_once_it_has_ended(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """READY and FAILED with what the row says; of one under way it has no progress."""
    database.insert(
        table,
        row("ready", status="READY", hls_path="v/master.m3u8", duration=12.5),
        row("failed", status="FAILED", error_reason="no audio"),
        row("running", status="PROCESSING"),
    )
    answers = {id: get(hub, f"/api/v1/media/videos/{id}/progress/") for id in ("ready", "failed", "running", "none")}
    assert {id: (it["status"], it["progress"]) for id, it in answers.items()} == {
        "ready": ("READY", 100),
        "failed": ("FAILED", 0),
        "running": ("PENDING", 0),
        "none": ("PENDING", 0),
    }
    assert (answers["ready"]["hls_path"], answers["ready"]["duration"]) == ("v/master.m3u8", 12.5)
    assert answers["failed"]["error_reason"] == "no audio"


@pytest.mark.redis
def test_the_keys_of_a_video_come_before_its_row(
    redis_server: RedisServer, database: TeamDatabase, table: Table
) -> None:
    """And the row before nothing."""
    database.insert(table, *(row(id, status="READY", duration=1) for id in ("keyed", "rowed")))
    redis_server.command("SET", "tenant:default:video:keyed:status", json.dumps({"status": "FAILED"}))
    with live_hub(source=database.url, source_table=table.name, video_keys=redis_server.url) as hub:
        assert get(hub, "/api/v1/media/videos/keyed/progress/")["status"] == "FAILED"
        assert get(hub, "/api/v1/media/videos/rowed/progress/")["status"] == "READY"


@pytest.mark.parametrize("kind", [Integer, BigInteger, Uuid])
def test_a_table_may_have_other_names_and_types(database: TeamDatabase, kind: Any) -> None:
    """Table, columns, a tenant column with its values, and ids that are no texts; what is no id is unknown."""
    uuids = [f"8f14e45f-ceea-467f-a9c1-0000000000{number:02}" for number in range(3)]
    ids: list[Any] = uuids if kind is Uuid else [1, 2, 3]
    if kind is Uuid and "sqlite" in database.url:
        # It has no such type; SQLAlchemy would make a text of another form.
        kind = String
    options: dict[str, Any] = {"as_uuid": False} if kind is Uuid else {}
    table = Table(
        f"posts_{next(_numbers)}",
        MetaData(),
        Column("post", kind(**options), primary_key=True, autoincrement=False),
        Column("board", kind(**options)),
        Column("state", String(20)),
        Column("owner", Integer),
        Column("changed", DateTime),
        Column("status", String(20)),
    )
    naive = NOW.replace(tzinfo=None)
    database.create(
        table,
        [
            {"post": ids[0], "board": ids[0], "state": "complete", "owner": 7, "changed": naive, "status": "x"},
            {"post": ids[1], "board": ids[0], "state": "error", "owner": 8, "changed": naive, "status": "x"},
        ],
    )
    columns = ("id=post", "channel_id=board", "status=state", "updated_at=changed")
    settings: dict[str, Any] = {
        **{"source": database.url, "source_table": table.name, "source_columns": columns},
        **{"source_tenant_column": "owner", "source_tenants": ("acme=7", "beta=8"), "secret": SECRET},
    }
    with live_hub(**settings) as hub:
        path = f"/api/contents/{ids[0]}"
        [own] = get(hub, path, headers=bearer(tenant="acme"))["contents"]
        assert (own["id"], own["content_id"], own["channel_id"]) == (str(ids[0]), str(ids[0]), str(ids[0]))
        assert own["status"] == "complete"
        assert {"post", "board", "state", "changed"}.isdisjoint(own)
        summary = get(hub, f"{path}/status", headers=bearer(tenant="acme"))
        assert (summary["total_completed"], summary["total_failed"]) == (1, 0)
        [other] = get(hub, path, headers=bearer(tenant="beta"))["contents"]
        assert other["id"] == str(ids[1])
        assert get(hub, path, headers=bearer(tenant="gamma"))["contents"] == []
        odd = ["x", "01", "-1", "9" * 12, "9" * 40, uuids[0].upper(), "1.0", "é"]
        asked = batch(hub, str(ids[0]), str(ids[1]), *odd, headers=bearer(tenant="acme"))
        assert [each["status"] for each in asked] == ["complete", *["not_found"] * 9]
        assert get(hub, "/api/contents/none", headers=bearer(tenant="acme"))["contents"] == []
        assert _metric(hub, 'statushub_source_failures_total{source="record"}') == 0


def test_a_row_is_told_to_those_who_read_its_channel(database: TeamDatabase, table: Table) -> None:
    """In batches, jobs and progress it is else as unknown as one that does not exist; a table without tenants is that
    of the tenants that are named."""
    database.insert(table, row("a", "secret/1", status="READY"), row("b", "open", status="READY"))
    settings: dict[str, Any] = {"source_tenants": ("acme",), "secret": SECRET}
    with live_hub(source=database.url, source_table=table.name, **settings) as hub:
        token = bearer(tenant="acme", read=["open"])
        assert [each["status"] for each in batch(hub, "a", "b", headers=token)] == ["not_found", "complete"]
        body = {"job_ids": ["a", "b"]}
        jobs = httpx.post(f"{hub.base_url}/v1/ai/jobs/batch-status", json=body, headers=token).json()["jobs"]
        assert [job["status"] for job in jobs.values()] == ["not_found", "completed"]
        videos = [get(hub, f"/api/v1/media/videos/{id}/progress/", headers=token)["status"] for id in "ab"]
        assert videos == ["PENDING", "READY"]
        assert [each["status"] for each in batch(hub, "b", headers=bearer(tenant="beta"))] == ["not_found"]
        assert get(hub, "/api/contents/open", headers=bearer(tenant="beta"))["contents"] == []


def test_names_that_a_collation_holds_for_equal_are_not(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """MariaDB compares without case."""
    database.insert(table, row("Upper", "Chan"), row("lower", "chan"))
    assert [each["id"] for each in get(hub, "/api/contents/chan")["contents"]] == ["lower"]
    assert [each["status"] for each in batch(hub, "upper", "Upper")] == ["not_found", "idle"]


def test_a_page_that_is_unchanged_is_not_sent_again(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """A change of a row that no event tells of has another entity tag, although the cursor is the same."""
    database.insert(table, row("a", title="First", status="complete"))
    publish(hub, "live", "generating")
    paths = ("/api/contents/c", "/api/contents/c/status", "/api/contents/c/status?view=list")
    held = {path: httpx.get(f"{hub.base_url}{path}").headers["ETag"] for path in paths}

    def codes() -> set[int]:
        answers = [httpx.get(f"{hub.base_url}{path}", headers={"If-None-Match": tag}) for path, tag in held.items()]
        return {answer.status_code for answer in answers}

    assert codes() == {304}
    database.execute(f"UPDATE {table.name} SET title = 'Second', status = 'error';\n")
    # As when the cache has forgotten it.
    record = hub.hub.record
    assert record is not None
    hub.call(partial(record.forget, "default", "c"))
    assert codes() == {200}


@pytest.mark.parametrize(
    "after", ["~", "~e30", "~AAAA", "~WyJ4IixudWxsLGZhbHNlXQ", "~W251bGwsW1tdLCJhIl0sZmFsc2Vd", "x"]
)
def test_a_place_that_is_none_is_refused(hub: LiveHub, after: str) -> None:
    """As a malformed cursor is."""
    answer = httpx.get(f"{hub.base_url}/api/contents/c", params={"after": after})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "after")


def test_a_forged_place_is_no_failure_of_the_record(hub: LiveHub, database: TeamDatabase, table: Table) -> None:
    """Anyone can write one; the record is asked again by the next poll."""
    database.insert(table, row("a"))
    for updated in ("yesterday", "", "0001-01-01T00:00:00+14:00", "2026-11-30", 7, 1e300, 2**70):
        place = Place(position=Position(updated=updated, id="\0"))
        get(hub, "/api/contents/c", params={"after": str(place)})
    assert _metric(hub, 'statushub_source_failures_total{source="record"}') == 0


def _metric(hub: LiveHub, name: str) -> float:
    lines = httpx.get(f"{hub.base_url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[-1])


def test_a_table_of_another_age_is_read_as_it_is(tmp_path: Path) -> None:
    """SQLite holds any value in any column: odd times and broken JSON are passed on."""
    file = tmp_path / "odd.db"
    file.touch()
    database = TeamDatabase(f"sqlite+aiosqlite:///{file}")
    table = contents_table()
    database.create(table)
    database.execute(
        "INSERT INTO contents (id, channel_id, updated_at, created_at, ai_gen_metadata, duration)"
        " VALUES ('a', 'c', '30.11.2026', 7, '{broken', 'long');\n"
        "INSERT INTO contents (id, channel_id, updated_at) VALUES ('b', 'c', 1764504000);\n"
        "INSERT INTO contents (id, channel_id, updated_at) VALUES ('d', 'c', '2026-11-30T12:00:00Z');\n"
    )
    with live_hub(source=database.url) as hub:
        contents = {each["id"]: each for each in get(hub, "/api/contents/c")["contents"]}
        assert contents["a"]["updated_at"] == "30.11.2026"
        assert contents["a"]["ai_gen_metadata"] == "{broken"
        assert contents["b"]["updated_at"] == 1764504000
        assert sorted(itertools.chain.from_iterable(pages(hub, "c", 1))) == ["a", "b", "d"]
