"""The rows of channels: their counts, their floors, and how far they have come."""

from __future__ import annotations

from typing import Final

import msgspec

from statushub.hub.brokers.sqlite.journal import Journal
from statushub.hub.brokers.sqlite.sql import Execute
from statushub.hub.model.vocabulary import Phase

KEPT: Final = 10_000
"""Channels that are kept in memory: 3 MB. When they are more, all are forgotten, and those in use are read anew."""


class Channel(msgspec.Struct):
    """A channel: the offset of its latest event, its tombstones, its floor, the time of that event, and its contents by
    phase."""

    offset: int = 0
    tombstones: int = 0
    floor: int = 0
    updated: float = 0.0
    pending: int = 0
    processing: int = 0
    completed: int = 0
    failed: int = 0
    idle: int = 0

    @property
    def contents(self) -> int:
        """How many contents it has."""
        return self.pending + self.processing + self.completed + self.failed + self.idle

    def enter(self, offset: int, now: float, before: Phase | None, after: Phase | None) -> None:
        """Take in an event that moves a content from one phase to another, or from or to none."""
        self.offset, self.updated = offset, now
        if before is after:
            return
        for phase, change in ((before, -1), (after, 1)):
            if phase is not None:
                setattr(self, phase.value, getattr(self, phase.value) + change)


class ChannelRows:
    """The table `channels`, within the transactions of its store. What is used is kept in memory: only this process
    writes the file."""

    def __init__(self, execute: Execute, journal: Journal) -> None:
        self._execute = execute
        self._journal = journal
        self._kept: dict[tuple[str, str], Channel] = {}
        self._changed: set[tuple[str, str]] = set()

    def find(self, tenant: str, name: str) -> Channel:
        """The channel; a new one where there is none. What changes it saves it."""
        key = (tenant, name)
        channel = self._kept.get(key)
        if channel is None:
            if len(self._kept) >= KEPT and not self._changed:
                self._journal.fold()
                self._kept.clear()
            row = self._execute("channel", key).fetchone()
            channel = self._kept[key] = Channel() if row is None else Channel(*row)
        return channel

    def save(self, tenant: str, name: str, channel: Channel) -> None:
        """Save the channel with the transaction, which may have many of its events."""
        self._kept[tenant, name] = channel
        self._changed.add((tenant, name))

    def delete(self, tenant: str, name: str) -> None:
        """Delete the channel."""
        self._changed.discard((tenant, name))
        self._kept.pop((tenant, name), None)
        self._journal.release_channel((tenant, name))
        self._execute("delete_channel", (tenant, name))

    def flush(self) -> None:
        """Write what the transaction has saved."""
        for key in self._changed:
            self._journal.save_channel(key, msgspec.structs.astuple(self._kept[key]))
        self._changed.clear()

    def forget(self) -> None:
        """Keep nothing: the transaction is undone."""
        self._changed.clear()
        self._kept.clear()
