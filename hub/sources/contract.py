"""The contract of a source: a system beside the hub that knows contents which the hub has no state of.

The hub's own state is newer by construction, and always wins: a source is asked only for what the hub does not know.
Every read asks in this order: replica, broker, the sources in theirs, and then the content is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

from statushub.hub.model.errors import StatushubError
from statushub.hub.model.status import Status


class SourceUnavailable(StatushubError):
    """Raised when a source cannot be asked, or does not answer in time. It is not passed on to clients."""

    code = "source_unavailable"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a source knows of a content. Only those who may read `channel` are told."""

    channel: str
    status: Status


class Source(Protocol):
    """Knows contents. An async context manager, which opens no connection before it is asked."""

    name: str
    """In metrics and log lines."""

    where: str
    """The address, without secrets."""

    fresh: float
    """For how many seconds an answer may be given again, a missing content included."""

    async def __aenter__(self) -> Self:
        """Open the source. A server that is away is no error."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything opened here."""

    async def find(self, tenant: str, content_ids: Sequence[str]) -> Sequence[Record | None]:
        """What is known of each content of the tenant, in the order of the request, in one round trip; None where
        nothing is known, or what is stored cannot be read.

        Nothing is written. Raises `SourceUnavailable`, and nothing else, within the source's own deadline.
        """
