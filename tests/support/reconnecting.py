"""A viewer as browsers have it: it reconnects by the rules of `EventSource`, and ends for good where one would."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from tests.support.sse_client import StreamClient, open_stream

RETRY_MS: Final = 1_000
"""Until the stream says another time."""


class Reconnecting:
    """Follows a channel in a thread of its own until it is closed."""

    def __init__(self, base_url: str, channel: str) -> None:
        self.ended: int | None = None
        """The status that ended it for good: any but 200 (HTML standard, section 9.2.2)."""
        self.ready = 0
        """How many streams have shown it the whole state."""
        self.drains: list[int] = []
        """The `retry_ms` of each `drain`."""
        self.states: dict[str, str] = {}
        """The last status of each content."""
        self.failure: Exception | None = None
        """What this client itself failed with."""
        self._base_url = base_url
        self._path = f"/api/contents/{quote(channel, safe='')}/events"
        self._retry_ms = RETRY_MS
        self._cursor = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """End it, at its next frame or reconnect."""
        self._closed.set()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set() and self.ended is None:
            # A closed connection and a silent one are both reasons to reconnect.
            with contextlib.suppress(OSError, EOFError):
                self._follow()
            self._closed.wait(self._retry_ms / 1000)

    def _follow(self) -> None:
        # A proxy would keep the connection of an answer that has ended.
        headers = {"Connection": "close"} | ({"Last-Event-ID": self._cursor} if self._cursor else {})
        with open_stream(self._base_url, self._path, headers) as stream:
            if stream.status != 200:
                self.ended = stream.status
                return
            try:
                self._read(stream)
            except (ValueError, KeyError) as error:
                self.failure = error
                raise EOFError from error

    def _read(self, stream: StreamClient) -> None:
        while not self._closed.is_set():
            frame = stream.frame()
            if frame.retry is not None:
                self._retry_ms = frame.retry
            if frame.id is not None:
                self._cursor = frame.id
            if frame.event == "ready":
                self.ready += 1
            elif frame.event == "drain":
                self.drains.append(frame.json["retry_ms"])
            elif frame.event == "reset":
                self.states.clear()
            elif frame.id:
                data: dict[str, Any] = frame.json
                self.states[data["content_id"]] = data["status"]


@contextlib.contextmanager
def reconnecting(base_url: str, channel: str, count: int) -> Iterator[list[Reconnecting]]:
    """So many viewers for the block."""
    viewers = [Reconnecting(base_url, channel) for _ in range(count)]
    try:
        yield viewers
    finally:
        for viewer in viewers:
            viewer.close()
        for viewer in viewers:
            viewer.join()
    assert [viewer.failure for viewer in viewers if viewer.failure] == []
