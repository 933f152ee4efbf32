"""`statushub feed import`: likes, follows, counters and notifications of another system, from CSV or a database."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import click

from statushub.extras import required
from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.cli.target import producer, target_options
from statushub.hub.cli.terminal import echo
from statushub.hub.feeds.writes import BATCH, CHANGES, AnyWrite, Count, Follow, Like, Notify
from statushub.hub.model.errors import Invalid

ID_BYTES: Final = 12
"""Of the hash of a row by which it is written once."""

EPILOG: Final = """\b
Examples:
  statushub feed import likes likes.csv
  statushub feed import counts --source postgresql://reader@db.example.com/team \\
    --query "SELECT id AS video_id, view_count AS views, like_count AS likes FROM videos"

\b
The columns, by their names; others are ignored but for notifications, which keep them:
  likes           user_id, video_id
  follows         user_id, followed_id
  counts          video_id, and any of views, likes, comments, remixes, glitches
  notifications   user_id, category, and id where it has one

\b
Likes and follows that are there already change nothing. Counts are added; a row that is imported twice within a day
counts once. Likes of users count by themselves, so import either these, or `likes` with the counts.
Exit codes:
  1  the hub, the broker or the database cannot be reached
  2  the command line, or a row, is invalid, or the hub refuses the token
"""

Row = Mapping[str, Any]


@click.command(name="feed", epilog=EPILOG, short_help="Import likes, follows, counters and notifications.")
@click.argument("what", metavar="import", type=click.Choice(["import"]))
@click.argument("kind", metavar="KIND", type=click.Choice(["likes", "follows", "counts", "notifications"]))
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--source", metavar="URL", help="Database to read, in any form that the hub's --source has.")
@click.option("--query", metavar="SQL", help="With --source: the query whose rows are imported.")
@target_options
def feed(what: str, kind: str, file: Path | None, source: str | None, query: str | None, **target: Any) -> None:
    """Import rows of a CSV FILE (- is stdin), or of a database, into the feeds of a hub.

    KIND is likes, follows, counts or notifications. The token needs the right to write feed/**.
    """
    import anyio

    if (file is None) == (source is None) or (source is None) != (query is None):
        raise Failure("name a CSV file, or give --source and --query", USAGE)
    if file is not None:
        rows = _of(_csv(file))
    else:
        with required("the source"):
            from statushub.hub.sources.sql.address import parse_address
        rows = _queried(parse_address(str(source)), str(query))
    read, changed = anyio.run(_import, target, KINDS[kind], rows)
    echo(f"imported: {read} rows, of which {changed} changed something")


async def _import(target: dict[str, Any], make: Callable[[Row], AnyWrite], rows: AsyncIterator[Row]) -> tuple[int, int]:
    from statushub.producers.feed import Batch, Feed

    read = changed = 0
    async with producer(**target) as opened:
        importer, batch = Feed(opened), Batch()
        async for row in rows:
            read += 1
            try:
                batch.add(make(row))
            except (Invalid, KeyError, ValueError) as error:
                raise Failure(f"row {read} is invalid: {_said(error)}", USAGE) from error
            if len(batch.writes) == BATCH:
                changed += sum(await importer.write(batch))
                batch = Batch()
        changed += sum(await importer.write(batch))
    return read, changed


def _said(error: Exception) -> str:
    return f"it has no column {error}" if isinstance(error, KeyError) else str(error)


def _like(row: Row) -> AnyWrite:
    return Like(user_id=_text(row, "user_id"), video_id=_text(row, "video_id"))


def _follow(row: Row) -> AnyWrite:
    return Follow(user_id=_text(row, "user_id"), followed_id=_text(row, "followed_id"))


def _count(row: Row) -> AnyWrite:
    video = _text(row, "video_id")
    changes = {name: int(row.get(name) or 0) for name in CHANGES}
    return Count(id=_id("count", {"video_id": video, **changes}), video_id=video, **changes)


def _notify(row: Row) -> AnyWrite:
    data = {
        str(name): value
        for name, value in row.items()
        if name not in ("user_id", "category", "id") and value not in (None, "")
    }
    named = row.get("id")
    id = str(named) if named not in (None, "") else _id("notify", {**row})
    return Notify(id=id, user_id=_text(row, "user_id"), category=_text(row, "category"), data=_plain(data))


KINDS: Final[Mapping[str, Callable[[Row], AnyWrite]]] = {
    "likes": _like,
    "follows": _follow,
    "counts": _count,
    "notifications": _notify,
}
"""How a row of each kind becomes a write. Raises `KeyError` for a column that is missing, `ValueError`, `Invalid`."""


def _text(row: Row, name: str) -> str:
    value = row[name]
    if value is None:
        raise ValueError(f"{name} is empty")
    return str(value)


def _id(kind: str, row: Row) -> str:
    """The same for the same row, however often it is imported."""
    said = json.dumps({str(name): str(value) for name, value in row.items()}, sort_keys=True)
    return f"import:{kind}:{blake2b(said.encode(), digest_size=ID_BYTES).hexdigest()}"


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """The values as JSON can hold them: a database gives times and numbers of its own types."""
    plain = (str, int, float, bool)
    return {name: value if isinstance(value, plain) else str(value) for name, value in data.items()}


def _csv(file: Path) -> Iterable[Row]:
    try:
        with click.open_file(str(file), encoding="utf-8-sig") as opened:
            for row in csv.DictReader(opened, restkey="", strict=True):
                if "" in row:
                    raise Failure(f"{file} has a row with more values than its first line has names", USAGE)
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"{file} cannot be read as CSV: {error}", USAGE) from error


async def _of(rows: Iterable[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row


async def _queried(address: Any, query: str) -> AsyncIterator[Row]:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.ext.asyncio import create_async_engine

    from statushub.hub.sources.sql.address import where_of

    engine = create_async_engine(address, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            async for row in await connection.stream(text(query)):
                yield dict(row._mapping)
    except (SQLAlchemyError, OSError) as error:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise Failure(f"{where_of(address)}: {lines[0] if lines else type(error).__name__}") from error
    finally:
        await engine.dispose()
