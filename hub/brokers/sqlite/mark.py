"""The mark: a small file beside the database that shows whether the database is a restored or copied one.

It knows which file the database is, how many transactions it has seen, and when it was written. It is written after
each commit, without waiting for the disk: a mark that is behind its database proves nothing less. A mark that was
copied has other times than it says.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

SUFFIX: Final = "-mark"
"""What the mark's name ends with, after that of the database."""

WRITTEN_NS: Final = 100_000_000
"""How far the times of a mark may be from the one that it says, which is that of the write before."""

WRITES: Final = 3
"""How often it is tried to write the right time: this thread may be interrupted between two writes."""

_FORM: Final = struct.Struct("<16sQQQ")
"""The name of the database's life, its inode, its transactions, and the time in nanoseconds."""


class Mark:
    """The mark of the database at `path`."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` where it cannot be opened."""
        self._inode = path.stat().st_ino
        self._file = os.open(f"{path}{SUFFIX}", os.O_RDWR | os.O_CREAT, 0o600)
        self._moment = 0

    def proves(self, name: str, transactions: int) -> bool:
        """Whether the database with this name has lost none of its transactions, and is no copy."""
        held = os.pread(self._file, _FORM.size, 0)
        if len(held) != _FORM.size:
            return False
        known, inode, seen, written = _FORM.unpack(held)
        original = self._written_at(written)
        return bool(known == name.encode() and inode == self._inode and seen <= transactions and original)

    def write(self, name: str, transactions: int) -> None:
        """The database has committed its transactions up to this one."""
        with suppress(OSError):  # the disk is full; the next one says it, too
            for _ in range(WRITES):
                os.pwrite(self._file, _FORM.pack(name.encode(), self._inode, transactions, self._moment), 0)
                if self._written_at(self._moment):
                    return
                # By the file system's clock, which may be another machine's.
                self._moment = os.fstat(self._file).st_mtime_ns

    def _written_at(self, moment: int) -> bool:
        """Whether the file was last changed then, by its own times."""
        status = os.fstat(self._file)
        return all(abs(at - moment) < WRITTEN_NS for at in (status.st_mtime_ns, status.st_ctime_ns))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
