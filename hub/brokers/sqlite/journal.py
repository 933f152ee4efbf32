"""The journal: what transactions change of known contents and channels, as one record each, until it is folded into
their rows.

A content that reports its progress is stored many times in a second, and its row, the row of its channel and their
indexes are read once in a while. A record of the journal costs far less, and is as durable. Folding writes each
row once, whatever it has been since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from statushub.hub.brokers.sqlite.sql import Execute

MOST_ROWS: Final = 2_000
"""Contents in the journal: folding as many takes some 30 ms, for which the other calls wait."""

MOST_BYTES: Final = 4 * 2**20
"""Of the journal: some 10,000 events, which opening after a crash reads again in a tenth of a second."""

Key = tuple[str, str]
"""Of a content or a channel: its tenant and its name."""

Counts = tuple[int | float, ...]
"""The values of a channel's row."""


class Update(msgspec.Struct, frozen=True, array_like=True):
    """What a whole event changes of a content: the values of the statement `update`, but for the row."""

    attempt: int
    run: str | None
    runs: str
    began: int
    seq: int | None
    seq_offset: int | None
    phase: str
    offset: int
    type: str
    data: bytes
    deadline: float | None
    ends: float
    lease: float | None


class _Record(msgspec.Struct, array_like=True):
    """What a transaction has changed. Rows have no numbers here, which VACUUM may change."""

    contents: list[tuple[str, str, Update]]
    channels: list[tuple[str, str, Counts]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


class Journal:
    """The table `journal` and its records in memory, within the transactions of its store.

    A row that it holds is outdated in its table: who reads or changes it there folds before. After `fold`, the rest of
    the transaction changes the rows themselves.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._contents: dict[Key, tuple[int, Update]] = {}
        self._channels: dict[Key, Counts] = {}
        self._new_contents: dict[Key, tuple[int, Update]] = {}
        self._new_channels: dict[Key, Counts] = {}
        self._size = 0
        self._added = 0
        self._folded = False
        self._forgotten = False

    @property
    def holds(self) -> bool:
        """Whether any row is outdated."""
        return not self._folded and bool(self._contents or self._channels or self._new_contents or self._new_channels)

    @property
    def leased(self) -> bool:
        """Whether a content that it holds has a lease."""
        return any(update.deadline is not None for update in self._held())

    def overdue(self, lease_time: float, now: float) -> bool:
        """Whether the lease or the retention of a content that it holds has ended."""
        return any(
            update.ends <= now or (update.deadline is not None and update.deadline < lease_time)
            for update in self._held()
        )

    def recover(self) -> None:
        """Read what a process has left that ended without closing the file. Writes nothing."""
        for (data,) in self._execute("records_of_journal").fetchall():
            record = _decode(data)
            for tenant, content_id, update in record.contents:
                row = self._execute("content", (tenant, content_id)).fetchone()
                self._contents[tenant, content_id] = row[0], update
            for tenant, name, values in record.channels:
                self._channels[tenant, name] = values
            self._size += len(data)
        self._forgotten = True

    def begin(self) -> None:
        """A transaction begins. It is to find outdated rows in memory, and nowhere else."""
        if self._forgotten:
            self.fold()

    def update(self, key: Key, row: int, update: Update) -> None:
        """Change a content."""
        if self._folded:
            self._execute("update", (*msgspec.structs.astuple(update), row))
        else:
            self._new_contents[key] = row, update

    def save_channel(self, key: Key, values: Counts) -> None:
        """Change a channel, or create it."""
        if self._folded:
            self._execute("save_channel", (*key, *values))
        else:
            self._new_channels[key] = values

    def release_content(self, key: Key) -> None:
        """Its row is to be changed by itself."""
        if key in self._contents or key in self._new_contents:
            self.fold()

    def release_channel(self, key: Key) -> None:
        """Its row is to be changed by itself."""
        if key in self._channels or key in self._new_channels:
            self.fold()

    def fold(self) -> None:
        """Write all rows that are outdated, within the transaction."""
        if not self.holds:
            return
        for row, update in (self._contents | self._new_contents).values():
            self._execute("update", (*msgspec.structs.astuple(update), row))
        for key, values in (self._channels | self._new_channels).items():
            self._execute("save_channel", (*key, *values))
        self._execute("delete_journal")
        self._new_contents.clear()
        self._new_channels.clear()
        self._folded = True

    def flush(self) -> None:
        """Write the transaction's record."""
        if not self._new_contents and not self._new_channels:
            return
        if len(self._contents) + len(self._new_contents) > MOST_ROWS or self._size > MOST_BYTES:
            self.fold()
            return
        contents = [(*key, update) for key, (_, update) in self._new_contents.items()]
        channels = [(*key, values) for key, values in self._new_channels.items()]
        record = _encode(_Record(contents=contents, channels=channels))
        self._added = len(record)
        self._execute("save_record_of_journal", (record,))

    def committed(self) -> None:
        """The transaction is done."""
        if self._folded:
            self._contents.clear()
            self._channels.clear()
            self._size = 0
        self._contents |= self._new_contents
        self._channels |= self._new_channels
        self._size += self._added
        self._forgotten = False
        self._end()

    def undone(self, *, forgotten: bool) -> None:
        """The transaction is rolled back, and rows in memory are `forgotten`, or are not."""
        self._forgotten |= forgotten
        self._end()

    def _end(self) -> None:
        self._new_contents.clear()
        self._new_channels.clear()
        self._added = 0
        self._folded = False

    def _held(self) -> Iterator[Update]:
        if not self._folded:
            for _, update in (self._contents | self._new_contents).values():
                yield update
