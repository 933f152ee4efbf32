"""Bring a result to its destination: any folder that fsspec can write. The master playlist goes last."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec

from statushub.producers.encode.errors import DestinationUnwritable, reason, shown
from statushub.producers.encode.playlist import MASTER
from statushub.producers.encode.progress import Tick


class Destination:
    """A folder on this machine or at any fsspec URL."""

    def __init__(self, location: str) -> None:
        """Raises `DestinationUnwritable` where no such kind of place is known."""
        self.location = location.rstrip("/") or location
        try:
            # Its name is published with the result, so it must be text.
            location.encode("utf-8")
            self._filesystem, self._root = fsspec.core.url_to_fs(location)
        except (ImportError, ValueError, OSError) as error:
            raise self._unwritable(error) from error

    def check(self) -> None:
        """Write a small file and remove it. Raises `DestinationUnwritable` where that fails."""
        path = f"{self._root}/.{uuid.uuid4().hex}"
        try:
            self._filesystem.makedirs(self._root, exist_ok=True)
            self._filesystem.pipe_file(path, b"statushub")
            self._filesystem.rm_file(path)
        except Exception as error:
            raise self._unwritable(error) from error

    def upload(self, folder: Path, tick: Tick) -> int:
        """Copy all files of `folder`, its master playlist last; returns their bytes.

        An earlier result is withdrawn first: its playlist would list a mixture. Where the upload fails or is
        cancelled, what it brought is removed. Raises `DestinationUnwritable`.
        """
        files = sorted((each for each in folder.rglob("*") if each.is_file()), key=lambda file: file.name == MASTER)
        brought: list[str] = []
        try:
            self._withdraw()
            return self._copy(folder, files, brought, tick)
        except BaseException as error:
            self._remove(brought)
            if isinstance(error, Exception):
                raise self._unwritable(error) from error
            raise

    def _withdraw(self) -> None:
        path = f"{self._root}/{MASTER}"
        if self._filesystem.exists(path):
            self._filesystem.rm_file(path)

    def _copy(self, folder: Path, files: Sequence[Path], brought: list[str], tick: Tick) -> int:
        total, done = sum(file.stat().st_size for file in files), 0
        for file in files:
            target = f"{self._root}/{file.relative_to(folder).as_posix()}"
            self._filesystem.makedirs(target.rpartition("/")[0], exist_ok=True)
            brought.append(target)
            self._filesystem.put_file(str(file), target)
            done += file.stat().st_size
            tick(done / total)
        return total

    def _remove(self, paths: Sequence[str]) -> None:
        for path in reversed(paths):
            try:
                self._filesystem.rm_file(path)
            except (OSError, NotImplementedError):
                # The failure that led here is the one to tell of; without a master playlist nothing shows.
                continue

    def _unwritable(self, error: Any) -> DestinationUnwritable:
        return DestinationUnwritable(
            f"{shown(self.location)} cannot be written to: {reason(error)}.", field="destination"
        )
