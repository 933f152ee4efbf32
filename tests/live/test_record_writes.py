"""What the hub writes back into the system of record, on every kind of database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import Column, DateTime, Enum, Integer, MetaData, String, Table, Text

from statushub.hub.intervals import Intervals
from statushub.hub.sources import recorder
from statushub.hub.sources.term import Term
from tests.support.live import LiveHub, live_hub
from tests.support.publishing import publish, publish_all
from tests.support.record import TeamDatabase, row
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually
from tests.support.written import WrittenTable

FAST: Final = Intervals(record=0.05)


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TeamDatabase:
    """A database of each kind."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("record") / "team.db"
        file.touch()
        return TeamDatabase(f"sqlite+aiosqlite:///{file}")
    return TeamDatabase(request.getfixturevalue(f"{request.param}_server").url)


@pytest.fixture
def table(database: TeamDatabase) -> WrittenTable:
    """A table with some rows, and one that is the last to be written."""
    return WrittenTable(database, "a", "b", "last")


@pytest.fixture
def hub(table: WrittenTable) -> Iterator[LiveHub]:
    """A hub that writes endings into it."""
    with recording(table) as hub:
        yield hub


def recording(
    table: WrittenTable, record: str = "endings", broker: str = "memory:", **settings: Any
) -> AbstractContextManager[LiveHub]:
    """A hub that writes into a table."""
    settings = {"source": table.database.url, "source_table": table.name, **settings}
    return live_hub(broker, record=record, intervals=FAST, **settings)


def results(hub: LiveHub) -> dict[str, int]:
    """How many states came to which end."""
    lines = httpx.get(f"{hub.base_url}/metrics").text.splitlines()
    head = 'statushub_record_writes_total{result="'
    counts = (line.removeprefix(head).split('"} ') for line in lines if line.startswith(head))
    return {result: int(float(number)) for result, number in counts if float(number)}


def wait_for_last(hub: LiveHub, table: WrittenTable) -> None:
    """Publish the ending of the content `last`, and return once it is written: what came before it was, too."""
    publish(hub, "last", "complete")
    eventually(lambda: table.statuses()["last"] == "complete")


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def test_an_ending_goes_into_its_row(hub: LiveHub, table: WrittenTable) -> None:
    """Once, with what it says; what it does not say, and states before it, change nothing."""
    moment = datetime.now(UTC).replace(microsecond=123_000) - timedelta(seconds=5)
    metadata = {"summary": "A talk.", "tags": ["a", "b"]}
    publish(hub, "a", "generating", processing_status="summarizing")
    publish(hub, "b", "generating", progress=10)
    said: dict[str, Any] = {"hls_path": "v/1.m3u8", "duration": 12.5, "ai_gen_metadata": metadata}
    publish(hub, "a", "complete", timestamp=moment.isoformat(), **said)
    wait_for_last(hub, table)
    found = table.row("a")
    assert (found["status"], found["processing_status"], found["error_reason"]) == ("complete", "completed", None)
    assert (found["hls_path"], found["duration"]) == ("v/1.m3u8", 12.5)
    assert as_json(found["ai_gen_metadata"]) == metadata
    assert str(found["updated_at"])[:19] == moment.isoformat(sep=" ")[:19]
    assert table.writes() == {"a": 1, "last": 1}
    publish(hub, "b", "error", error_message="no audio")
    eventually(lambda: table.statuses()["b"] == "error")
    found = table.row("b")
    assert (found["processing_status"], found["error_reason"], found["hls_path"]) == ("failed", "no audio", None)
    assert table.writes() == {"a": 1, "b": 1, "last": 1}


def test_a_content_that_succeeds_after_a_failure_has_no_reason(hub: LiveHub, table: WrittenTable) -> None:
    """Each attempt's ending is written, and what the first one said of its failure is taken back."""
    publish(hub, "a", "error", error_message="no audio")
    eventually(lambda: table.row("a")["error_reason"] == "no audio")
    earlier = datetime.now(UTC) - timedelta(hours=1)
    body = {"channel": "c", "content_id": "a", "attempt": 2}
    # By a worker whose clock is an hour behind.
    publish_all(hub, [{**body, "data": {"status": "complete", "timestamp": earlier.isoformat()}}])
    eventually(lambda: table.statuses()["a"] == "complete")
    assert table.row("a")["error_reason"] is None
    assert table.writes() == {"a": 2}


def test_a_row_that_is_newer_is_left_alone(hub: LiveHub, table: WrittenTable, database: TeamDatabase) -> None:
    """And so is one of the moment of the ending that says it already; one without a time is older."""
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60)
    later = row("newer", title="Edited", status="idle") | {"updated_at": moment + timedelta(seconds=1)}
    same = row("same", status="complete", processing_status="completed") | {"updated_at": moment}
    other = row("other", status="generating") | {"updated_at": moment}
    timeless = row("timeless") | {"updated_at": None}
    database.insert(table.table, later, same, other, timeless)
    for content_id in ("newer", "same", "other", "timeless"):
        publish(hub, content_id, "complete", timestamp=moment.isoformat())
    wait_for_last(hub, table)
    assert table.statuses() == {
        **{"a": None, "b": None, "last": "complete"},
        **{"newer": "idle", "same": "complete", "other": "complete", "timeless": "complete"},
    }
    assert table.writes() == {"other": 1, "timeless": 1, "last": 1}
    eventually(lambda: results(hub) == {"written": 3, "newer": 1, "same": 1})


def test_no_row_is_made_and_none_of_another_channel_is_written(hub: LiveHub, table: WrittenTable) -> None:
    """A publisher who names another's content in its own channel writes nothing."""
    publish(hub, "unknown", "complete")
    publish(hub, "a", "complete", channel="another")
    wait_for_last(hub, table)
    assert table.statuses() == {"a": None, "b": None, "last": "complete"}
    eventually(lambda: results(hub) == {"written": 1, "missing": 2})


def test_a_removed_content_leaves_its_row(hub: LiveHub, table: WrittenTable) -> None:
    """As its ending has left it; and a content that has not ended is not touched."""
    publish(hub, "a", "complete")
    publish(hub, "b", "generating")
    eventually(lambda: table.statuses()["a"] == "complete")
    body = {"content_ids": ["a", "b"]}
    httpx.post(f"{hub.base_url}/api/contents/c/remove", json=body).raise_for_status()
    wait_for_last(hub, table)
    assert table.statuses() == {"a": "complete", "b": None, "last": "complete"}
    assert table.writes() == {"a": 1, "last": 1}


@pytest.mark.parametrize(
    ("held", "written"),
    [
        ("PROCESSING", "READY"),
        ("pending", "completed"),
        ("generating", "complete"),
        ("RUNNING", "complete"),
        ("", "complete"),
        ("draft", "draft"),
    ],
)
def test_a_row_keeps_its_vocabulary(
    hub: LiveHub, table: WrittenTable, database: TeamDatabase, held: str, written: str
) -> None:
    """A word that is no status of the hub's stays; the processing status tells of the ending all the same."""
    database.insert(table.table, row("x", status=held))
    publish(hub, "x", "complete")
    eventually(lambda: table.row("x")["processing_status"] == "completed")
    assert table.statuses()["x"] == written


def test_columns_take_what_fits_them(database: TeamDatabase) -> None:
    """Words of an enumeration, whole seconds, short texts, and texts that hold JSON; the columns have other names."""
    table = Table(
        "odd_columns",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("board", String(128)),
        Column("state", Enum("QUEUED", "RUNNING", "SUCCEEDED", "FAILED", name="state"), nullable=False),
        Column("seconds", Integer),
        Column("reason", String(10), nullable=False),
        Column("path", String(10)),
        Column("meta", Text),
        Column("changed", DateTime),
    )
    moment = datetime(2025, 7, 31, 12, 0, 0)
    rows = [{"id": id, "board": "c", "state": "RUNNING", "reason": "", "changed": moment} for id in (1, 2)]
    written = WrittenTable(database, table=table)
    for each in rows:
        database.insert(table, each)
    names = ("channel_id=board", "status=state", "duration=seconds", "error_reason=reason", "hls_path=path")
    with recording(written, source_columns=(*names, "ai_gen_metadata=meta", "updated_at=changed")) as hub:
        publish(hub, "1", "complete", duration=12.6, hls_path="much/longer/than/ten", ai_gen_metadata={"a": 1})
        publish(hub, "2", "error", error_message="The disk is full.")
        publish(hub, "no number", "error")
        eventually(lambda: written.writes() == {"1": 1, "2": 1})
    one, two = (database.query(f"SELECT * FROM odd_columns WHERE id = {id}")[0] for id in (1, 2))
    # SQLite has no enumerations.
    words = ("complete", "error") if database.url.startswith("sqlite") else ("SUCCEEDED", "FAILED")
    assert (one["state"], two["state"]) == words
    assert (one["seconds"], one["path"], one["reason"], two["reason"]) == (13, None, "", "The disk …")
    assert json.loads(one["meta"]) == {"a": 1}


def test_what_the_database_refuses_keeps_no_other_ending_back(
    database: TeamDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it refuses a part of an ending its words are written; where it refuses these, too, nothing is."""
    database.execute(
        "DROP TABLE IF EXISTS strict;\n"
        "CREATE TABLE strict (id VARCHAR(64) PRIMARY KEY, channel_id VARCHAR(64), status VARCHAR(32),"
        " hls_path VARCHAR(64) CHECK (hls_path <> 'bad'), updated_at TIMESTAMP NULL,"
        " CONSTRAINT locked CHECK (id <> 'locked' OR status <> 'complete'));\n"
    )
    for content_id in ("a", "half", "locked", "z"):
        database.execute(f"INSERT INTO strict VALUES ('{content_id}', 'c', 'idle', NULL, '2025-07-31 12:00:00');\n")
    with live_hub(source=database.url, source_table="strict", record="endings", intervals=FAST) as hub:
        publish_all(
            hub,
            [
                {"channel": "c", "content_id": each, "data": {"status": "complete", "hls_path": path}}
                for each, path in (("a", "good"), ("half", "bad"), ("locked", "good"), ("z", "good"))
            ],
        )
        eventually(lambda: results(hub) == {"written": 3, "refused": 1})
    found = {it["id"]: (it["status"], it["hls_path"]) for it in database.query("SELECT * FROM strict")}
    assert found == {
        "a": ("complete", "good"),
        "half": ("complete", None),
        "locked": ("idle", None),
        "z": ("complete", "good"),
    }
    told = [it.getMessage() for it in caplog.records if it.name.endswith("sql.writer")]
    assert len(told) == 1
    assert "further ones are not logged" in told[0]


def test_all_states_are_conflated(database: TeamDatabase) -> None:
    """Of what comes together the latest is written, pending and processing states included."""
    table = WrittenTable(database, "a", "b", "last")
    with recording(table, "all") as hub:
        states = [{"status": "generating", "processing_status": f"step-{number}"} for number in range(20)]
        publish_all(hub, [{"channel": "c", "content_id": "a", "data": data} for data in states])
        publish(hub, "b", "pending")
        eventually(lambda: table.row("a")["processing_status"] == "step-19")
        eventually(lambda: table.row("b")["processing_status"] == "pending")
        assert table.writes() == {"a": 1, "b": 1}
        assert table.statuses() == {"a": "generating", "b": "idle", "last": None}
        publish(hub, "a", "generating", progress=50)
        eventually(lambda: table.row("a")["processing_status"] is None)
        publish(hub, "a", "complete")
        eventually(lambda: table.statuses()["a"] == "complete")


def test_a_time_that_a_trigger_sets_is_not_newer(database: TeamDatabase) -> None:
    """Its row is the hub's own, and so the next state is written although it was before that time."""
    if not database.url.startswith("postgresql"):
        pytest.skip("other databases have no such triggers")
    table = WrittenTable(database, "a")
    database.execute(
        "CREATE OR REPLACE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.updated_at = now() + interval '1 hour'; RETURN NEW; END $$;\n"
        f"CREATE TRIGGER touched BEFORE UPDATE ON {table.name} FOR EACH ROW EXECUTE FUNCTION touched();\n"
    )
    with recording(table, "all") as hub:
        publish(hub, "a", "generating")
        eventually(lambda: table.statuses()["a"] == "generating")
        publish(hub, "a", "complete")
        eventually(lambda: table.statuses()["a"] == "complete")
        assert table.writes() == {"a": 2}


def test_each_tenant_writes_its_own_rows(database: TeamDatabase) -> None:
    """Those that the column gives it, in as many channels as there are."""
    columns = [Column(each, String(64)) for each in ("channel_id", "owner", "status")]
    table = Table(
        "owned",
        MetaData(),
        Column("key", Integer, primary_key=True),
        Column("id", String(64)),
        *columns,
        Column("updated_at", DateTime),
    )
    written = WrittenTable(database, table=table)
    owners = {"acme": "4711", "beta": "beta"}
    for number, (owner, channel) in enumerate((owner, f"c{place}") for owner in owners.values() for place in range(30)):
        database.insert(table, {"key": number + 1, "id": f"x-{channel}", "channel_id": channel, "owner": owner})
    with recording(
        written, secret=SECRET, source_tenant_column="owner", source_tenants=("acme=4711",), publish_rate=1000
    ) as hub:
        for tenant, status in (("acme", "complete"), ("beta", "error")):
            events = [
                {"channel": f"c{place}", "content_id": f"x-c{place}", "data": {"status": status}} for place in range(30)
            ]
            publish_all(hub, events, headers=bearer(tenant=tenant))
        eventually(lambda: results(hub) == {"written": 60})
    for owner, status in (("4711", "complete"), ("beta", "error")):
        rows = database.query(f"SELECT status FROM owned WHERE owner = '{owner}'")
        assert [it["status"] for it in rows] == [status] * 30


def test_a_restart_begins_at_the_mark(table: WrittenTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept with the hub's state: what was written before is not even compared; what came since is written."""
    monkeypatch.setattr(recorder, "SURE_SECONDS", 0)
    broker = f"sqlite:///{tmp_path / 'hub.db'}"
    with recording(table, broker=broker) as hub:
        publish(hub, "a", "complete")
        clock = hub.run(hub.hub.broker.offsets("default", [])).cursor
        eventually(lambda: hub.run(Term(hub.hub.broker, shared=False, interval=1).mark("default")) == clock)
    with recording(table, record="off", broker=broker) as hub:
        publish(hub, "b", "complete")
    with recording(table, broker=broker) as hub:
        wait_for_last(hub, table)
        eventually(lambda: results(hub) == {"written": 2})
    assert table.writes() == {"a": 1, "b": 1, "last": 1}


def test_polls_have_the_row_as_it_was_written(hub: LiveHub, table: WrittenTable) -> None:
    """What was kept of it between the event and the write is dropped."""

    def time_of_row() -> str:
        [content] = [it for it in httpx.get(f"{hub.base_url}/api/contents/c").json()["contents"] if it["id"] == "a"]
        return str(content["updated_at"])

    before = time_of_row()
    publish(hub, "a", "complete")
    eventually(lambda: time_of_row() != before)
