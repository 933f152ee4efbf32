"""The rows of contents: the latest event of each, and what the fence knows."""

from __future__ import annotations

from typing import Final

import msgspec

from statushub.hub.brokers.fence import Accepted, FenceState
from statushub.hub.brokers.growth import Growth
from statushub.hub.brokers.sqlite.journal import Journal, Update
from statushub.hub.brokers.sqlite.sql import Execute
from statushub.hub.model.publication import Publication
from statushub.hub.model.vocabulary import Phase

KEPT: Final = 10_000
"""Contents that are kept in memory: 5 MB. When they are more, all are forgotten, and those in use are read anew."""

_encode_growth = msgspec.json.Encoder().encode
_decode_growth = msgspec.json.Decoder(Growth).decode


class KeptCancel(msgspec.Struct, frozen=True):
    """A request to cancel, where it is on the clock, and when a sweep ends its attempt, in lease time."""

    request: bytes
    offset: int
    deadline: float


class Stored(msgspec.Struct, frozen=True):
    """A content before an event: its row, what the fence knows, its offset, its phase, its size, how it has grown, its
    lease in seconds, and a request to cancel it."""

    row: int
    fence: FenceState
    offset: int
    phase: Phase
    size: int
    growth: Growth | None
    lease: float | None
    cancel: KeptCancel | None


class Times(msgspec.Struct, frozen=True):
    """Until when an event holds: the end of its retention, and its lease, if it has one, in seconds and as the moment
    of lease time at which it runs out."""

    ends: float
    lease: float | None
    deadline: float | None


class ContentRows:
    """The table `contents`, within the transactions of its store. What was read or written last is kept in memory, but
    for contents that grow or are to be cancelled: only this process writes the file."""

    def __init__(self, execute: Execute, journal: Journal) -> None:
        self._execute = execute
        self._journal = journal
        self._kept: dict[tuple[str, str], Stored] = {}

    def find(self, tenant: str, content_id: str) -> Stored | None:
        """The content; None where there is none."""
        kept = self._kept.get((tenant, content_id))
        if kept is not None:
            return kept
        row = self._execute("content", (tenant, content_id)).fetchone()
        if row is None:
            return None
        place, channel, attempt, run, runs, began, seq, seq_offset, phase, offset, size, lease, grown, *cancel = row
        fence = FenceState(
            channel=channel,
            attempt=attempt,
            run=run,
            runs=tuple(runs.split()),
            began=began,
            seq=seq,
            seq_offset=seq_offset,
            closed=Phase(phase).terminal,
            processing=phase == Phase.PROCESSING,
        )
        growth = None if grown is None else _decode_growth(grown)
        size += 0 if growth is None else growth.size
        requested = None if cancel[0] is None else KeptCancel(*cancel)
        stored = Stored(place, fence, offset, Phase(phase), size, growth, lease, requested)
        if growth is None and requested is None:
            self._keep(tenant, content_id, stored)
        return stored

    def write(
        self,
        tenant: str,
        publication: Publication,
        accepted: Accepted,
        offset: int,
        times: Times,
        *,
        before: Stored | None,
        growth: Growth | None,
        cancel: KeptCancel | None,
    ) -> None:
        """Write a whole event at this offset, `before` which the content was as it says."""
        content_id, channel, phase = publication.content_id, publication.channel, publication.phase
        seq_offset = offset if accepted.seq_offset is None else accepted.seq_offset
        values = (
            *(accepted.attempt, accepted.run, " ".join(accepted.runs), accepted.began, accepted.seq, seq_offset),
            *(phase.value, offset, publication.type, publication.data),
            *(times.deadline, times.ends, times.lease),
        )
        if before is None or before.cancel is not None or before.growth is not None:
            self._release(tenant, content_id)
            grown = None if growth is None else _encode_growth(growth)
            request = (None, None, None) if cancel is None else msgspec.structs.astuple(cancel)
            self._execute("store", (*values, tenant, content_id, channel, *request, grown))
            return
        self._journal.update((tenant, content_id), before.row, Update(*values))
        fence = FenceState(
            channel=channel,
            attempt=accepted.attempt,
            run=accepted.run,
            runs=accepted.runs,
            began=accepted.began,
            seq=accepted.seq,
            seq_offset=seq_offset,
            closed=phase.terminal,
            processing=phase is Phase.PROCESSING,
        )
        size = len(publication.data)
        self._keep(tenant, content_id, Stored(before.row, fence, offset, phase, size, None, times.lease, None))

    def grow(self, tenant: str, content_id: str, accepted: Accepted, offset: int, times: Times, growth: Growth) -> None:
        """Write a delta at this offset, with how the content has grown by it."""
        self._release(tenant, content_id)
        values = (accepted.began, accepted.seq, offset, offset, times.deadline, times.ends, times.lease)
        self._execute("grow", (*values, _encode_growth(growth), tenant, content_id))

    def cancel(self, tenant: str, content_id: str, cancel: KeptCancel) -> None:
        """Write a request to cancel."""
        self._release(tenant, content_id)
        self._execute("cancel", (cancel.offset, *msgspec.structs.astuple(cancel), tenant, content_id))

    def delete(self, tenant: str, content_id: str) -> None:
        """Delete the content."""
        self._release(tenant, content_id)
        self._execute("delete_content", (tenant, content_id))

    def forget(self) -> None:
        """Keep nothing: the transaction is undone."""
        self._kept.clear()

    def _release(self, tenant: str, content_id: str) -> None:
        """The row is to be changed by itself, and read anew."""
        self._kept.pop((tenant, content_id), None)
        self._journal.release_content((tenant, content_id))

    def _keep(self, tenant: str, content_id: str, stored: Stored) -> None:
        if len(self._kept) >= KEPT:
            self._journal.fold()
            self._kept.clear()
        self._kept[tenant, content_id] = stored
