"""The index of a folder of documents, in SQLite FTS5."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from statushub.producers.documents.counter import CountFailed, KeywordRefused
from statushub.producers.documents.reading import read_text
from statushub.producers.documents.text import TOKENIZER, grams, normalized, phrase

LAYOUT: Final = 1
"""The version of schema.sql and of `text`, kept in the file's `user_version`."""

BATCH_SECONDS: Final = 1.0
"""Between two commits: what a process that is killed has to read again, and how long others wait."""

BUSY_SECONDS: Final = 60.0
"""How long to wait for another process to commit."""

DEAD_MIN: Final = 1_000
"""Fewest documents left behind for which the index is made anew; and as many as there are documents."""

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """Raised where a refresh was told to stop."""


class _File(NamedTuple):
    path: bytes
    category: str
    signature: str


class Index:
    """The documents below the sub-folders of `root`, which are their categories, in the SQLite file `file`. Several
    processes may share the file. All calls are to be made in one thread."""

    def __init__(self, root: Path, file: Path) -> None:
        self._root = root.absolute()
        self._file = file
        self._database: sqlite3.Connection | None = None
        self._categories: tuple[str, ...] = ()

    def open(self) -> None:
        """Raises `OSError` and `sqlite3.Error` where the file cannot be opened."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            if self._value("PRAGMA user_version") != LAYOUT:
                self._create()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def source(self) -> str:
        """A name of the documents as they are indexed."""
        name, version = self._execute("SELECT name, version FROM state").fetchone()
        return f"folder:{name}:{version}"

    def count(self, keyword: str) -> Mapping[str, int]:
        """The documents that have the keyword, in each category. Raises `KeywordRefused` for a blank one."""
        wanted = normalized(keyword)
        if not wanted:
            raise KeywordRefused("the keyword is blank")
        found = self._execute(
            "SELECT category, count(*) FROM grams JOIN documents ON documents.id = grams.rowid "
            "WHERE grams MATCH ? GROUP BY category",
            (phrase(wanted),),
        )
        return dict.fromkeys(self._categories, 0) | dict(found.fetchall())

    def refresh(self, stopping: Callable[[], bool]) -> float:
        """Take in which files are new, changed or gone; returns the seconds that it took to look for them. Raises
        `CountFailed` where the folder cannot be read, and `Stopped`."""
        began = time.monotonic()
        try:
            categories = _categories(self._root)
            files = {file.path: file for file in _files(categories, stopping)}
        except OSError as error:
            raise CountFailed(f"{self._root} cannot be read: {error.strerror or error}") from error
        known: dict[bytes, str] = dict(self._execute("SELECT path, signature FROM documents"))
        looked = time.monotonic() - began
        gone = [path for path in known if path not in files]
        new = [file for file in files.values() if known.get(file.path) != file.signature]
        if gone:
            with self._transaction():
                self._changed(sum(self._drop(path) for path in gone))
        self._read(new, stopping)
        if self._value("SELECT dead FROM state") > DEAD_MIN + len(files):
            self._rebuild([*files.values()], stopping)
        self._categories = tuple(sorted(categories))
        return looked

    def _read(self, new: list[_File], stopping: Callable[[], bool]) -> None:
        waiting = iter(new)
        left = len(new)
        while left:
            until = time.monotonic() + BATCH_SECONDS
            with self._transaction():
                dead = 0
                for file in waiting:
                    dead += self._take(file)
                    left -= 1
                    if stopping() or time.monotonic() > until:
                        break
                self._changed(dead)
            if stopping():
                raise Stopped
            if left:
                logger.info("%s: %d of %d documents are indexed", self._root, len(new) - left, len(new))

    def _take(self, file: _File) -> int:
        """Index a file; returns how many were left behind."""
        held = self._execute("SELECT signature FROM documents WHERE path = ?", (file.path,)).fetchone()
        if held == (file.signature,):
            return 0  # by another process
        dead = self._drop(file.path)
        try:
            text = read_text(Path(os.fsdecode(file.path)))
        except FileNotFoundError:
            return dead
        except OSError as error:
            logger.warning("%s is not counted: %s", os.fsdecode(file.path), error.strerror)
            text = None
        row = self._execute(
            "INSERT INTO documents (path, category, signature) VALUES (?, ?, ?)",
            (file.path, file.category, file.signature),
        ).lastrowid
        if text is not None:
            self._execute(
                "INSERT INTO grams (rowid, unigrams, bigrams) VALUES (?, ?, ?)", (row, *grams(normalized(text)))
            )
        return dead

    def _drop(self, path: bytes) -> int:
        return self._execute("DELETE FROM documents WHERE path = ?", (path,)).rowcount

    def _changed(self, dead: int) -> None:
        self._execute("UPDATE state SET version = version + 1, dead = dead + ?", (dead,))

    def _rebuild(self, files: list[_File], stopping: Callable[[], bool]) -> None:
        """Make the index anew, in one transaction, so that others count with the former one meanwhile."""
        with self._transaction():
            self._create()
            for file in files:
                if stopping():
                    raise Stopped
                self._take(file)

    def _create(self) -> None:
        """Begin the index anew."""
        for table in ("documents", "grams", "state"):
            self._execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _SCHEMA.format(tokenizer=TOKENIZER).split(";\n"):
            self._execute(statement)
        self._execute("INSERT INTO state VALUES (?, 0, 0)", (secrets.token_hex(8),))
        self._execute(f"PRAGMA user_version = {LAYOUT}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")

    def _execute(self, statement: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        if self._database is None:
            raise CountFailed("the index of documents is closed")
        return self._database.execute(statement, tuple(values))

    def _value(self, statement: str) -> Any:
        return self._execute(statement).fetchone()[0]


_SCHEMA: Final = files("statushub.producers.documents").joinpath("schema.sql").read_text(encoding="utf-8")


def _categories(root: Path) -> dict[str, Path]:
    """The sub-folders by their names as text."""
    with closing(os.scandir(root)) as entries:
        return {
            os.fsencode(entry.name).decode(errors="replace"): Path(entry.path)
            for entry in entries
            if entry.is_dir() and not entry.name.startswith(".")
        }


def _files(categories: Mapping[str, Path], stopping: Callable[[], bool]) -> Iterator[_File]:
    """The files below each category. Links to folders below them are not followed, since they may lead in circles."""
    for category, folder in categories.items():
        waiting = [str(folder)]
        while waiting:
            if stopping():
                raise Stopped
            try:
                entries = os.scandir(waiting.pop())
            except FileNotFoundError:
                continue  # removed in this moment
            with entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif (signature := _signature(entry)) is not None:
                        yield _File(os.fsencode(entry.path), category, signature)


def _signature(entry: os.DirEntry[str]) -> str | None:
    """What changes with a regular file; None for what is none."""
    try:
        if not entry.is_file():
            return None
        known = entry.stat()
    except OSError:
        return None  # removed in this moment, or a link to nothing
    return f"{known.st_mtime_ns}:{known.st_ctime_ns}:{known.st_size}"
