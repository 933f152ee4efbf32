"""The work that is current: what code deep within a work reports by, without having been handed it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

from statushub.hub.model.cancel import CancelRequest


class Reports(Protocol):
    """What the current work can do."""

    @property
    def content_id(self) -> str: ...

    @property
    def channel(self) -> str: ...

    @property
    def cancel_requested(self) -> CancelRequest | None: ...

    def say(self, status: str | None, fields: Mapping[str, Any]) -> None:
        """Report a state; waits for nothing."""

    def log(self, message: object, level: str = "info") -> None:
        """Append a line to the log; waits for nothing."""


CURRENT: Final[ContextVar[Any]] = ContextVar("statushub_work", default=None)
"""The work whose block this context has entered, and not left."""


class CurrentWork:
    """The work that is current, in asyncio and in ordinary code alike. False where there is none; then it reports
    nothing."""

    def __init__(self, work: Reports | None) -> None:
        self._work = work

    def __bool__(self) -> bool:
        return self._work is not None

    @property
    def content_id(self) -> str | None:
        return None if self._work is None else self._work.content_id

    @property
    def channel(self) -> str | None:
        return None if self._work is None else self._work.channel

    @property
    def cancel_requested(self) -> CancelRequest | None:
        """As `SyncWork.cancel_requested`."""
        return None if self._work is None else self._work.cancel_requested

    def update(self, status: str | None = None, /, **fields: Any) -> None:
        """As `SyncWork.update`; does not wait, and is not awaited."""
        if self._work is not None:
            self._work.say(status, fields)

    def log(self, message: object, level: str = "info") -> None:
        """As `SyncWork.log`."""
        if self._work is not None:
            self._work.log(message, level)


def current() -> CurrentWork:
    """The work whose `with` block the calling code runs in, on this thread or in this task: the innermost.

    `statushub.current().update(progress=40)` reports its progress, and does nothing outside of a work. Other threads
    begin without a current work.
    """
    return CurrentWork(CURRENT.get())
