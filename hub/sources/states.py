"""States that are written back into the record, and the contract of what writes them. No I/O.

What a row is to say follows from the latest event of its content: a state, not a message. So it does not matter how
often it is written, how long the database was away, or which hub writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Protocol, Self

import msgspec

from statushub.hub.model import status
from statushub.hub.model.event import Event
from statushub.hub.model.vocabulary import Phase
from statushub.hub.sources.row import PROCESSING_STATUS

FIELDS: Final = ("hls_path", "duration", "ai_gen_metadata")
"""What an event may say and a row has a column for. What it does not say the row keeps."""


class Outcome(StrEnum):
    """What became of a state that is to go into its row."""

    WRITTEN = "written"
    SAME = "same"
    """The row says it already."""
    NEWER = "newer"
    """The row was changed later, and is left alone."""
    MISSING = "missing"
    """The tenant's channel has no such row."""
    LOCKED = "locked"
    """Another transaction has locked the row. The state is to be written again."""
    REFUSED = "refused"
    """The database does not take it, for a constraint for example."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a row is to say.

    `error` is why the content failed; empty where it did not. `moment` is when it was so; None where the event does not
    say, or names a time that has not come.
    """

    channel: str
    content_id: str
    phase: Phase
    processing_status: str | None
    error: str
    fields: Mapping[str, Any]
    moment: datetime | None


class RecordWriter(Protocol):
    """Writes states into the rows of the record. An async context manager."""

    where: str
    """The address, without secrets."""

    tenants: Sequence[str] | None
    """Those that may have rows; None where any may."""

    @property
    def losses(self) -> int:
        """How many times the database was found to have gone; it may have lost then what it had written last."""

    async def __aenter__(self) -> Self:
        """Open it. A server that is away is no error."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything opened here."""

    async def ping(self) -> None:
        """Return when the database answers; `losses` tells then whether it has gone since. Raises
        `SourceUnavailable`."""

    async def write(self, tenant: str, states: Sequence[State]) -> list[Outcome]:
        """Bring the rows of these contents up to these states, each atomically, and say what became of each, in order.

        Rows are only updated: one that is missing, is of another channel, or was changed after the state's moment, is
        left alone. Repeating a call changes no row that has not changed since. Raises `SourceUnavailable`, within the
        record's deadline; rows may have been written by then.
        """


def state_of(event: Event, now: datetime) -> State:
    """What the row of a content is to say, of its latest event; `now` has a zone."""
    said = status.read(event)
    failed = said.phase is Phase.FAILED
    return State(
        channel=event.channel,
        content_id=event.content_id,
        phase=said.phase,
        processing_status=said.text("processing_status") or PROCESSING_STATUS.get(said.phase),
        error=(said.error_message or "") if failed else "",
        fields={name: value for name in FIELDS if (value := said.data.get(name)) is not None},
        moment=_moment(said.text("timestamp"), now),
    )


def _moment(text: str | None, now: datetime) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
        if moment is None:
            return None
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment <= now else None
