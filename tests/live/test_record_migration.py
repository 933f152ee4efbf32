"""`statushub source`: its migration on every kind of database, and what its check finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import inspect

from tests.support.live import live_hub
from tests.support.record import TeamDatabase, contents_table, row

INDEXES = {"idx_posts_channel_status", "idx_posts_processing_status", "idx_posts_updated_at"}


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def dialect(request: pytest.FixtureRequest) -> str:
    """A kind of database."""
    return str(request.param)


@pytest.fixture
def database(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> TeamDatabase:
    """A database of this kind with a table `posts` that knows nothing of a status."""
    if dialect == "sqlite":
        (tmp_path / "team.db").touch()
        database = TeamDatabase(f"sqlite+aiosqlite:///{tmp_path / 'team.db'}")
    else:
        server = request.getfixturevalue(f"{dialect.removesuffix('ql')}_server")
        database = TeamDatabase(server.url)
    rows = [row(f"r{number}", age=number) for number in range(50)]
    told = [row("told", ai_gen_metadata={"summary": "x"}), row("hollow", ai_gen_metadata={})]
    database.create(contents_table("posts", migrated=False), rows + told)
    if dialect == "mariadb":
        # Its planner cannot be told that reading a small table is dear.
        database.execute(
            "INSERT INTO posts (id, channel_id, updated_at)"
            " SELECT CONCAT('s', seq), CONCAT('many-', seq % 50), '2024-01-01' + INTERVAL seq SECOND"
            " FROM seq_1_to_20000;\n"
        )
    return database


def source(*arguments: str, table: str = "posts") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "statushub", "source", *arguments, "--source-table", table]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def shape(database: TeamDatabase) -> tuple[set[str], set[str | None]]:
    """The columns and the indexes of the table."""

    def look(connection: object) -> tuple[set[str], set[str | None]]:
        found = inspect(connection)
        columns = {column["name"] for column in found.get_columns("posts")}
        return columns, {index["name"] for index in found.get_indexes("posts")}

    return database.run(lambda connection: connection.run_sync(look))


def test_the_migration_can_be_applied_and_taken_back(dialect: str, database: TeamDatabase) -> None:
    """The words of each row are the same before it, after it and after its reversal."""
    before = shape(database)

    def words() -> dict[str, tuple[str, str]]:
        with live_hub(source=database.url, source_table="posts") as hub:
            contents = httpx.get(f"{hub.base_url}/api/contents/c").json()["contents"]
        return {each["id"]: (each["status"], each["processing_status"]) for each in contents}

    expected = words()
    assert (expected["told"], expected["hollow"], expected["r0"]) == (
        ("complete", "completed"),
        ("idle", "uploading"),
        ("idle", "uploading"),
    )
    database.execute(source("sql", "--dialect", dialect).stdout)
    columns, indexes = shape(database)
    assert columns == before[0] | {"status", "processing_status"}
    assert indexes >= INDEXES
    assert words() == expected
    database.execute(source("sql", "--dialect", dialect, "--reverse").stdout)
    assert shape(database) == before
    assert words() == expected


def test_the_check_tells_which_query_uses_no_index(dialect: str, database: TeamDatabase) -> None:
    """Before the migration the channel's, and after it none."""
    found = source("check", "--source", database.url)
    lines = found.stdout.splitlines()
    assert found.returncode == 2, found
    assert lines[0].startswith("table    ok")
    assert "it lacks status, processing_status" in lines[0]
    assert any(line.startswith("query    ok    a batch of contents: ") for line in lines)
    assert any(line.startswith("query    FAIL  the first page of a channel: reads the whole table") for line in lines)
    database.execute(source("sql", "--source", database.url).stdout)
    found = source("check", "--source", database.url)
    assert found.returncode == 0, found
    told = [line.removeprefix("query    ok    ") for line in found.stdout.splitlines()[1:]]
    assert told[1:-1] == [
        "the first page of a channel: idx_posts_updated_at",
        "its next page: idx_posts_updated_at",
        "the totals of a channel: idx_posts_channel_status",
    ]


def test_each_table_of_a_schema_has_indexes_of_its_own(dialect: str, database: TeamDatabase) -> None:
    """Also where the names of indexes are those of the schema, and one that is there already is kept."""
    database.create(contents_table("films", migrated=False))
    for table in ("films", "posts"):
        database.execute(source("sql", "--dialect", dialect, table=table).stdout)
    assert shape(database)[1] >= INDEXES


def test_the_check_tells_whether_the_table_may_be_updated(dialect: str, database: TeamDatabase) -> None:
    """Without a right to, it fails where the hub is to write, and says so where it is not; nothing is changed."""
    database.execute(source("sql", "--source", database.url).stdout)
    columns = "status, processing_status, hls_path, duration, ai_gen_metadata, error_reason, updated_at"
    said = source("check", "--source", database.url, "--record", "endings").stdout
    assert said.splitlines()[-1] == f"record   ok    writes back into {columns}"
    said = source("check", "--source", database.url).stdout
    assert said.splitlines()[-1] == f"record   ok    --record could write back into {columns}"
    url = reading_only(dialect, database)
    found = source("check", "--source", url, "--record", "endings")
    assert found.returncode == 2
    assert found.stdout.splitlines()[-1].startswith(f"record   FAIL  may not update {columns}: ")
    found = source("check", "--source", url)
    assert found.returncode == 0
    assert f"nothing is written back, and --record may not update {columns}: " in found.stdout.splitlines()[-1]


def reading_only(dialect: str, database: TeamDatabase) -> str:
    """The address of the same table for a user who may only read it."""
    if dialect == "sqlite":
        # Root may write every file, and nobody a view.
        database.execute("ALTER TABLE posts RENAME TO kept;\nCREATE VIEW posts AS SELECT * FROM kept;\n")
        return database.url
    if dialect == "postgresql":
        database.execute(
            "DROP OWNED BY reader;\n"
            if database.query("SELECT rolname FROM pg_roles WHERE rolname = 'reader'")
            else "CREATE ROLE reader LOGIN PASSWORD 'secret';\n"
        )
        database.execute("GRANT SELECT ON posts TO reader;\n")
    return database.url.replace("://hub:", "://reader:")


def test_an_index_that_leaves_a_page_to_be_sorted_is_not_enough(dialect: str, database: TeamDatabase) -> None:
    """On the channel only: all of its rows would be read for each page."""
    if dialect == "mariadb":
        database.execute("UPDATE posts SET channel_id = 'c';\n")
    database.execute("CREATE INDEX only_channel ON posts (channel_id);\n")
    found = source("check", "--source", database.url)
    sorts = dialect != "mariadb"  # whose planner prefers to read and sort the whole table
    trouble = "sorts all rows of the channel" if sorts else ""
    assert f"FAIL  the first page of a channel: {trouble}" in found.stdout
    assert found.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("check",), 2, "--source (STATUSHUB_SOURCE) is missing"),
        (("check", "--source", "postgresql://u:hunter2@127.0.0.1:1/team"), 1, "postgresql://127.0.0.1:1/team: "),
        (("check", "--source", "sqlite:////nowhere/team.db"), 1, "there is no such file"),
        (("check", "--source", "oracle://h/d"), 2, "source begins with oracle://, which is not supported"),
        (("check", "--dialect", "mysql"), 2, "--dialect and --reverse are of `source sql`"),
        (("sql", "--source-column", "name=x"), 2, "names no column that the hub knows"),
    ],
)
def test_what_cannot_be_checked_is_one_line(arguments: tuple[str, ...], code: int, message: str) -> None:
    """Without a traceback, and without the password."""
    found = source(*arguments)
    assert (found.returncode, found.stdout) == (code, "")
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
    assert "hunter2" not in found.stderr


def test_the_statements_have_the_names_of_the_table() -> None:
    """Quoted where they are words of SQL, with the tenant in the indexes."""
    text = source("sql", "--dialect", "mysql", "--source-column", "channel_id=order", "--source-tenant-column", "owner")
    assert "ON posts (`order`, owner, updated_at, id);" in text.stdout
    assert "-- DROP INDEX idx_posts_updated_at ON posts;" in text.stdout
