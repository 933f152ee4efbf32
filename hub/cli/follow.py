"""Follows the event stream of one channel as a browser does: it reconnects, resumes at its cursor, and obeys resets."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent, SSEError

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.model.backoff import Backoff
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, ConfigError
from statushub.hub.model.vocabulary import CONTROL_TYPES

HEARTBEAT_SECONDS: Final = 15.0
"""Interval of heartbeats until a `ready` names the hub's own."""

SILENCE_FACTOR: Final = 2.5
"""Silence after which a connection counts as dead, in heartbeats: two were lost, and a third is late."""

CONNECT_SECONDS: Final = 5.0
"""How long a hub may take to accept a connection."""

RETRY_SECONDS: Final = 2.0
"""Pause before a reconnect until the hub sends a `retry`."""

RETRY_SECONDS_MAX: Final = 30.0
"""Longest pause while reconnects fail: a hub that returns is noticed within half a minute."""

TRANSIENT: Final = frozenset({408, 425, 429})
"""Statuses below 500 after which a retry of the same request may succeed (RFC 9110, 15.5.9; RFC 8470; RFC 6585)."""

_decoder = msgspec.json.Decoder(dict[str, Any])


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the stream; `id` is its cursor, None for a control event."""

    id: str | None
    type: str
    data: dict[str, Any]


class Follower:
    """The messages of a channel, from the cursor `since` on, or from its whole state.

    `notice` is called with a sentence when the stream breaks off, and when it resumes.
    """

    def __init__(
        self, hub: str, channel: str, *, token: str | None, since: Cursor | None, notice: Callable[[str], object]
    ) -> None:
        self.hub = hub
        self._path = f"{hub.rstrip('/')}/api/contents/{quote(channel, safe='')}/events"
        self._token = token
        self._since = since
        self._notice = notice
        self._cursor: str | None = None
        self._connected_once = self._lost = False
        self._backoff = Backoff(RETRY_SECONDS, RETRY_SECONDS_MAX)
        self._retry = RETRY_SECONDS
        self._silence = HEARTBEAT_SECONDS * SILENCE_FACTOR

    def messages(self) -> Generator[Message]:
        """Every message but heartbeats and `drain`, without an end. A state's `id` is the cursor to resume from.

        Raises `BrokerUnavailable` where the first connection fails, `Failure` where the hub refuses the request,
        `ConfigError` where its URL is invalid. Later failures are retried without a limit.
        """
        with httpx.Client(follow_redirects=True) as client:
            while True:
                try:
                    yield from self._connection(client)
                    reason, pause = "closed the stream", self._retry
                except httpx.InvalidURL as error:
                    raise ConfigError(f"{self.hub} is not a valid address: {error}", field="hub") from error
                except httpx.UnsupportedProtocol as error:
                    raise ConfigError(
                        f"the URL of a hub begins with http:// or https://: {self.hub}", field="hub"
                    ) from error
                except (httpx.HTTPError, BrokerUnavailable) as error:
                    reason = self._reason(error)
                    if not self._connected_once:
                        raise BrokerUnavailable(f"{self.hub}: {reason}") from error
                    pause = max(self._retry, self._backoff.next())
                self._wait(reason, pause)

    def _connection(self, client: httpx.Client) -> Iterator[Message]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        since = {"since": str(self._since)} if self._since and not self._connected_once else {}
        timeout = httpx.Timeout(CONNECT_SECONDS, read=self._silence)
        with client.stream("GET", self._path, params=since, headers=headers, timeout=timeout) as response:
            self._check(response)
            self._connected_once = True
            try:
                for event in EventSource(response).iter_sse():
                    yield from self._received(event)
            except SSEError as error:
                raise Failure(f"{self.hub} answers, but does not send an event stream: {error}", USAGE) from error

    def _received(self, event: ServerSentEvent) -> Iterator[Message]:
        if event.retry is not None:
            self._retry = event.retry / 1000
        # httpx-sse yields events without data, which the specification discards (HTML, section 9.2.6).
        if not event.data:
            return
        if event.event != "drain":
            self._alive()
        data = _decode(event.data)
        control = event.event in CONTROL_TYPES
        if event.event == "ready":
            self._ready(data)
        elif event.event == "reset":
            self._cursor = None
        elif not control:
            self._cursor = event.id or self._cursor
        if event.event not in ("heartbeat", "drain"):
            yield Message(id=None if control else event.id or None, type=event.event, data=data)

    def _ready(self, data: dict[str, Any]) -> None:
        heartbeat = data.get("heartbeat_ms")
        if isinstance(heartbeat, int | float) and heartbeat > 0:
            self._silence = heartbeat / 1000 * SILENCE_FACTOR
        if isinstance(cursor := data.get("cursor"), str):
            self._cursor = cursor

    def _alive(self) -> None:
        self._backoff.reset()
        if self._lost:
            self._lost = False
            self._notice(f"{self.hub} is back")

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        response.read()
        message = f"answers {status}: {_error_text(response)}"
        if status >= 500 or status in TRANSIENT:
            raise BrokerUnavailable(message)
        raise Failure(f"{self.hub} {message}", USAGE)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, httpx.ReadTimeout):
            return f"has been silent for {self._silence:g} s"
        return " ".join(str(error).split()) or type(error).__name__

    def _wait(self, reason: str, pause: float) -> None:
        if not self._lost:
            self._lost = True
            self._notice(f"{self.hub}: {reason}; reconnecting, and no event is lost")
        time.sleep(pause)


def _decode(text: str) -> dict[str, Any]:
    """The JSON object in `text`, which any producer may have written; empty where it is not one."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _error_text(response: httpx.Response) -> str:
    """The message of a hub's error, or the reason phrase of another server's."""
    error = _decode(response.text).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or response.reason_phrase)
