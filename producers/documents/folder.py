"""Counts the documents of a folder, which may change at any time."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from statushub.hub.model.errors import ConfigError
from statushub.producers.documents.counter import Counter, CountFailed
from statushub.producers.documents.index import Index, Stopped

LOOK_SECONDS: Final = 1.0
"""Between two looks at which files have changed: people who save a file and look again have waited as long."""

LOOK_PART: Final = 20
"""A look that took a second is repeated after so many: it reads the names of all files, and may take a twentieth of the
disk's time."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class FolderCounter:
    """The documents below the sub-folders of a folder, which are their categories. A result names all of them."""

    def __init__(self, root: Path, *, index: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """The index is kept in the file `index`, by default one in the user's cache, for the next start."""
        self._root = root
        self._file = index
        self._clock = clock
        self._index = Index(root, index or _cached(root))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="documents")
        self._stopping = threading.Event()
        self._look_at = -float("inf")
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def check(self) -> None:
        """Raise `ConfigError` where there is no such folder, or its index cannot be kept in the file that was named."""
        if not self._root.is_dir():
            raise ConfigError(f"{str(self._root)!r} is not a folder", field="documents")
        if self._file is not None:
            try:
                self._index.open()
            except (OSError, sqlite3.Error) as error:
                raise ConfigError(f"{str(self._file)!r} is no index: {error}", field="documents_index") from error
            finally:
                self._index.close()

    async def __aenter__(self) -> Self:
        await self._run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await asyncio.shield(self._run(self._close))
        self._thread.shutdown(wait=False)

    @property
    def calls(self) -> int:
        return 1

    async def source(self) -> str:
        return await self._run(self._source)

    async def count(self, keyword: str) -> Mapping[str, int]:
        return await self._run(lambda: self._count(keyword))

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except sqlite3.Error as error:
            raise CountFailed(f"the index of documents failed: {error}") from error
        except Stopped:
            raise CountFailed("the index of documents is being closed") from None

    def _open(self) -> None:
        try:
            self._index.open()
        except (OSError, sqlite3.Error) as error:
            if self._file is not None:
                raise
            self._index.close()
            self._temporary = tempfile.TemporaryDirectory(prefix="statushub-documents-")
            self._index = Index(self._root, Path(self._temporary.name, "index.db"))
            logger.warning("The index of %s is not kept for the next start: %s", self._root, error)
            self._index.open()

    def _close(self) -> None:
        self._index.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _source(self) -> str:
        self._refresh()
        return self._index.source

    def _count(self, keyword: str) -> Mapping[str, int]:
        self._refresh()
        return self._index.count(keyword)

    def _refresh(self) -> None:
        if self._clock() >= self._look_at:
            looked = self._index.refresh(self._stopping.is_set)
            self._look_at = self._clock() + max(LOOK_SECONDS, looked * LOOK_PART)


def _cached(root: Path) -> Path:
    """Where the index of this folder is kept for the next start."""
    name = hashlib.blake2b(str(root.absolute()).encode(errors="surrogateescape"), digest_size=8).hexdigest()
    return Path("~/.cache/statushub").expanduser() / f"documents-{name}.db"


def _fits(counter: FolderCounter) -> Counter:
    return counter
