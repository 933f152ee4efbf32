"""Upload of a result to its destination, any folder that fsspec can write. The master playlist goes last."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec

from statushub.producers.encode.errors import DestinationUnwritable
from statushub.producers.encode.playlist import MASTER
from statushub.producers.encode.progress import OnProgress
from statushub.producers.sources.errors import cause, reason
from statushub.producers.sources.location import printable


class Destination:
    """A local folder, or one at any fsspec URL."""

    def __init__(self, location: str) -> None:
        """Raises `DestinationUnwritable` where fsspec does not know the kind of URL."""
        self.location = location.rstrip("/") or location
        try:
            # The location is published with the result, so it must be text.
            location.encode("utf-8")
            self._filesystem, self._root = fsspec.core.url_to_fs(location)
        except (ImportError, ValueError, OSError) as error:
            raise self._unwritable(error) from cause(error, self.location)

    def check(self) -> None:
        """Write a small file and remove it. Raises `DestinationUnwritable` where this fails."""
        path = f"{self._root}/.{uuid.uuid4().hex}"
        try:
            self._filesystem.makedirs(self._root, exist_ok=True)
            self._filesystem.pipe_file(path, b"statushub")
            self._filesystem.rm_file(path)
        except Exception as error:  # noqa: BLE001 - raised again, as an error of the encode
            raise self._unwritable(error) from cause(error, self.location)

    def upload(self, folder: Path, on_progress: OnProgress) -> int:
        """Copy all files of `folder`, its master playlist last; returns their size in bytes.

        The master playlist of an earlier result is removed first: it would list segments of both. Where the
        upload fails or is cancelled, the files it copied are removed. Raises `DestinationUnwritable`.
        """
        files = sorted((each for each in folder.rglob("*") if each.is_file()), key=lambda file: file.name == MASTER)
        copied: list[str] = []
        try:
            self._remove_master()
            return self._copy(folder, files, copied, on_progress)
        except BaseException as error:
            self._remove(copied)
            if isinstance(error, Exception):
                raise self._unwritable(error) from cause(error, self.location)
            raise

    def _remove_master(self) -> None:
        path = f"{self._root}/{MASTER}"
        if self._filesystem.exists(path):
            self._filesystem.rm_file(path)

    def _copy(self, folder: Path, files: Sequence[Path], copied: list[str], on_progress: OnProgress) -> int:
        total, done = sum(file.stat().st_size for file in files), 0
        for file in files:
            target = f"{self._root}/{file.relative_to(folder).as_posix()}"
            self._filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            copied.append(target)
            self._filesystem.put_file(str(file), target)
            done += file.stat().st_size
            on_progress(done / total)
        return total

    def _remove(self, paths: Sequence[str]) -> None:
        for path in reversed(paths):
            try:
                self._filesystem.rm_file(path)
            except (OSError, NotImplementedError):
                # The failure that led here is reported; without a master playlist no player finds the rest.
                continue

    def _unwritable(self, error: Any) -> DestinationUnwritable:
        return DestinationUnwritable(
            f"{printable(self.location)} cannot be written to: {reason(error, self.location)}.", field="destination"
        )
