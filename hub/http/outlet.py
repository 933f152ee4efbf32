"""The sending half of a connection, within its limits.

uvicorn's httptools protocol keeps what a client does not read for as long as the connection is open; this one ends it.

Private parts of uvicorn used here (`compatibility` checks them):

- `HttpToolsProtocol`: `transport`, `flow`, `loop`, `scheme` and `app_state` (where the hub is) are read.
- `FlowControl`: `write_paused` tells that bytes wait.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from statushub.hub.config import STALL_SECONDS, UNREAD_BYTES
from statushub.hub.http.unread import Unread
from statushub.hub.metrics import Counts

LINGER_SECONDS: Final = 1.0
"""How long a refused connection is still read, so that its client gets the answer, and how long a piece of an answer
may take when the hub stops."""


class Hosting(Protocol):
    """What the server's state may hold as `hub`."""

    counts: Counts

    def drain(self) -> None:
        """Send every viewer a farewell. Called once per connection when the server stops."""


class Outlet(HttpToolsProtocol):
    """uvicorn's httptools protocol with limits on what waits until the socket accepts it.

    The connection is aborted where anything waits for `stall_seconds`, or where `unread`, which counts for all
    connections of the process, drops it.
    """

    def __init__(
        self, *args: Any, stall_seconds: float = STALL_SECONDS, unread: Unread | None = None, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.stall_seconds = stall_seconds
        self.unread = Unread(UNREAD_BYTES) if unread is None else unread
        self._held_back = 0
        self._drained_due: asyncio.TimerHandle | None = None

    @property
    def hosting(self) -> Hosting | None:
        """The hub that is served, where it is one."""
        hub: Hosting | None = self.app_state.get("hub")
        return hub

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Writing pauses as soon as the socket does not accept everything, and resumes once it has. With TLS, both event
        # loops pause at the limit rather than above it.
        transport.set_write_buffer_limits(high=1 if self.scheme == "https" else 0, low=0)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stop_watching()

    def hold_back(self, size: int) -> None:
        """As `Sender`."""
        self._held_back = size
        if self.flow.write_paused:
            self.unread.hold(self, self.transport.get_write_buffer_size() + size)

    def drop_unread(self) -> None:
        """As `Holder`."""
        self._abort("unread")

    def stop_watching(self) -> None:
        """Forget the bytes that waited: they were read, or the connection is another protocol's."""
        self.unread.hold(self, 0)
        if self._drained_due is not None:
            self._drained_due.cancel()
            self._drained_due = None

    def _watch(self) -> None:
        self.unread.hold(self, self.transport.get_write_buffer_size() + self._held_back)
        self._drained_due = self.loop.call_later(self.stall_seconds, self._abort, "stall_timeout")

    def _abort(self, limit: str) -> None:
        """Drop what the client does not read, because of this limit. A close would wait until it is read."""
        if (hub := self.hosting) is not None:
            hub.counts.refusals[limit] += 1
        self.transport.abort()

    def hurry(self) -> None:
        """Leave the client a second to read each piece: the hub stops."""
        self.stall_seconds = min(self.stall_seconds, LINGER_SECONDS)
        if self.flow.write_paused:
            self.stop_watching()
            self._watch()
