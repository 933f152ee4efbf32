"""Follows one channel's event stream as a browser would: over reconnects, resets and hubs that come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent, SSEError

from statushub.hub.cli.failure import USAGE, Failure
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import BrokerUnavailable, ConfigError

HEARTBEAT_SECONDS: Final = 15.0
"""What a hub promises where its `ready` does not say otherwise."""

SILENCE_FACTOR: Final = 2.5
"""Heartbeats that may be late before the connection counts as dead: two lost ones are no accident."""

CONNECT_SECONDS: Final = 5.0
"""How long a hub may take to accept a connection, and to answer."""

RETRY_SECONDS: Final = 2.0
"""The pause before a reconnect where the hub has not said its own."""

RETRY_SECONDS_MAX: Final = 30.0
"""To which the pause grows while nothing answers: a hub that returns is noticed within half a minute."""

PASSING: Final = frozenset({408, 425, 429})
"""The statuses under 500 that speak of the moment and not of the request (RFC 9110, 15.5.9; 8470; 6585)."""

_decoder = msgspec.json.Decoder(dict[str, Any])


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the stream; `id` is its cursor, None for a control event."""

    id: str | None
    type: str
    data: dict[str, Any]


class Follower:
    """The messages of a channel, from `since` or from its whole state on, for ever.

    `notice` is told in a sentence when the stream breaks off and when it is back.
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
        self._met = self._lost = False
        self._failures = 0
        self._retry = RETRY_SECONDS
        self._silence = HEARTBEAT_SECONDS * SILENCE_FACTOR

    def messages(self) -> Generator[Message]:
        """All but heartbeats. Each state's `id` is the cursor from which a later follower goes on.

        Raises `BrokerUnavailable` where the hub cannot be reached at first, `Failure` where it will not
        answer, `ConfigError` where its address is none. Later on it is waited for.
        """
        with httpx.Client(follow_redirects=True) as client:
            while True:
                try:
                    yield from self._connection(client)
                    reason = "closed the stream"
                except httpx.InvalidURL as error:
                    raise ConfigError(f"{self.hub} is no address: {error}", field="hub") from error
                except httpx.UnsupportedProtocol as error:
                    raise ConfigError(f"a hub's address begins with http:// or https://: {self.hub}") from error
                except (httpx.HTTPError, BrokerUnavailable) as error:
                    reason = self._reason(error)
                    if not self._met:
                        raise BrokerUnavailable(f"{self.hub}: {reason}") from error
                    self._failures += 1
                self._wait(reason)

    def _connection(self, client: httpx.Client) -> Iterator[Message]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        since = {"since": str(self._since)} if self._since and not self._met else {}
        timeout = httpx.Timeout(CONNECT_SECONDS, read=self._silence)
        with client.stream("GET", self._path, params=since, headers=headers, timeout=timeout) as response:
            self._check(response)
            self._met = True
            try:
                for event in EventSource(response).iter_sse():
                    yield from self._heard(event)
            except SSEError as error:
                raise Failure(f"{self.hub} answers, but not as a hub does: {error}", USAGE) from error

    def _heard(self, event: ServerSentEvent) -> Iterator[Message]:
        if event.retry is not None:
            self._retry = event.retry / 1000
        # httpx-sse gives out empty messages for blocks that hold no data, which are none (HTML, 9.2.6).
        if not event.data:
            return
        if event.event != "drain":
            self._lives()
        data = _decode(event.data)
        control = event.event in ("ready", "reset", "heartbeat", "drain")
        if event.event == "ready":
            self._ready(data)
        elif event.event == "reset":
            self._cursor = None
        elif not control:
            self._cursor = event.id or self._cursor
        if event.event not in ("heartbeat", "drain"):
            yield Message(id=None if control else event.id or None, type=event.event, data=data)

    def _ready(self, data: dict[str, Any]) -> None:
        beat = data.get("heartbeat_ms")
        if isinstance(beat, int | float) and beat > 0:
            self._silence = beat / 1000 * SILENCE_FACTOR
        if isinstance(cursor := data.get("cursor"), str):
            self._cursor = cursor

    def _lives(self) -> None:
        self._failures = 0
        if self._lost:
            self._lost = False
            self._notice(f"{self.hub} is back")

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        response.read()
        message = f"answers {status}: {_said(response)}"
        if status >= 500 or status in PASSING:
            raise BrokerUnavailable(message)
        raise Failure(f"{self.hub} {message}", USAGE)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, httpx.ReadTimeout):
            return f"has been silent for {self._silence:g} s"
        return " ".join(str(error).split()) or type(error).__name__

    def _wait(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._notice(f"{self.hub}: {reason}; nothing is lost, waiting for it")
        time.sleep(min(self._retry * 2 ** min(self._failures, 16), max(self._retry, RETRY_SECONDS_MAX)))


def _decode(text: str) -> dict[str, Any]:
    """Any producer may have stored it: what is no JSON object says nothing."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _said(response: httpx.Response) -> str:
    """Why, in the hub's own words where it is one that answers."""
    error = _decode(response.text).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or response.reason_phrase)
