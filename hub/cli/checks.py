"""The checks of `statushub check`, each against the running hub."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from statushub.hub.cli.claims import claims_of
from statushub.hub.cli.duration import duration
from statushub.hub.cli.failure import TROUBLE, USAGE, Failure
from statushub.hub.cli.hub_client import HubClient
from statushub.hub.cli.outcome import Outcome
from statushub.hub.model.errors import StatushubError
from statushub.producers.following.frames import Frames, TooLong, json_object
from statushub.producers.following.stream import MEDIA_TYPE

SKEW_SECONDS: Final = 30.0
"""Difference between the clocks of hub and client from which it is worth a line: tokens are valid by the hub's."""

WILDCARD: Final = "*"

OWN_SERVER: Final = "uvicorn"
"""What a hub may call itself; a proxy has another name."""

SAMPLE: Final = "statushub-check"
"""Stands for a wildcard in the name of a channel to open. Nothing is published into it."""


class Checks:
    """Checks through `client`; `channel` is the one to open, None for any that may be read, and `seconds` is how long
    its first event may take."""

    def __init__(self, client: HubClient, channel: str | None, seconds: float) -> None:
        self._client = client
        self._channel = channel
        self._seconds = seconds
        self._gone = False
        self._checks: Mapping[str, Callable[[], Outcome]] = {
            "hub": self._hub,
            "broker": self._broker,
            "token": self._token,
            "proxy": self._proxy,
        }

    def run(self, part: str) -> Outcome:
        """Check a part of `PARTS`; it is skipped where the hub was found not to answer."""
        if self._gone:
            return Outcome("not checked: the hub does not answer", skipped=True)
        try:
            return self._checks[part]()
        except Failure as error:
            return Outcome(error.message, error.code)
        except StatushubError as error:
            self._gone = part == "hub"
            return Outcome(error.message, TROUBLE)

    def _hub(self) -> Outcome:
        began = time.monotonic()
        response = self._client.answer("GET", "/healthz")
        elapsed = time.monotonic() - began
        if json_object(response.text).get("status") != "ok":
            return Outcome(f"{self._client.name} answers, but is not a hub", USAGE)
        skew = _skew(response)
        warning = f"; its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}" if skew else ""
        return Outcome(f"{self._client.name} answers in {elapsed * 1000:.0f} ms{warning}")

    def _broker(self) -> Outcome:
        answer = self._client.get("/readyz")
        return Outcome(f"ready, but {answer['warning']}" if "warning" in answer else "ready")

    def _token(self) -> Outcome:
        self._client.post("/api/tickets")
        if not self._client.token:
            return Outcome("the hub needs none")
        return Outcome(f"accepted: {_described(claims_of(self._client.token))}")

    def _proxy(self) -> Outcome:
        channel = self._channel or _readable(self._client.token)
        if channel is None:
            return Outcome("not checked: the token reads no channel", skipped=True)
        began = time.monotonic()
        try:
            with self._client.stream(f"/api/contents/{quote(channel, safe='')}/events", self._seconds) as response:
                return self._streamed(response, began)
        except StatushubError as error:
            if isinstance(error.__cause__, httpx.ReadTimeout):
                return Outcome(
                    f"no event within {self._seconds:g} s: a proxy holds up the stream; turn off its buffering "
                    "(in nginx: proxy_buffering off)",
                    TROUBLE,
                )
            raise

    def _streamed(self, response: httpx.Response, began: float) -> Outcome:
        server = response.headers.get("via") or response.headers.get("server", OWN_SERVER)
        route = "directly, as far as the answer tells" if server == OWN_SERVER else f"through {server}"
        if encoding := response.headers.get("content-encoding"):
            return Outcome(f"a proxy compresses the stream ({encoding}): exclude text/event-stream", TROUBLE)
        if not response.headers.get("content-type", "").startswith(MEDIA_TYPE):
            return Outcome("the answer is not an event stream", USAGE)
        frames = Frames()
        try:
            for portion in response.iter_bytes():
                for frame in frames.feed(portion):
                    if frame.event == "drain":
                        return Outcome("the hub opens no stream: it is at its limit of streams, or stops", TROUBLE)
                    if frame.data:
                        return Outcome(f"events arrive after {(time.monotonic() - began) * 1000:.0f} ms, {route}")
        except TooLong as error:
            return Outcome(f"the answer is not an event stream: {error}", USAGE)
        return Outcome("the stream ends before its first event", TROUBLE)


def _skew(response: httpx.Response) -> float:
    """By how many seconds the hub's clock is ahead; 0 where it is not worth a word."""
    try:
        said = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return 0.0
    skew = (said.replace(tzinfo=said.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return skew if abs(skew) >= SKEW_SECONDS else 0.0


def _described(claims: Mapping[str, Any]) -> str:
    """Whose token it is, what it allows, and for how long."""
    parts = [f"tenant {claims.get('tenant', 'default')}"]
    if claims.get("sub"):
        parts.append(f"sub {claims['sub']}")
    for claim, verb in (("read", "reads"), ("write", "writes")):
        patterns = claims.get(claim)
        parts.append(f"{verb} {', '.join(map(str, patterns))}" if patterns else f"{verb} nothing")
    if claims.get("revoke"):
        parts.append("revokes")
    if isinstance(exp := claims.get("exp"), int | float):
        parts.append(f"expires in {duration(max(exp - time.time(), 0))}")
    return "; ".join(parts)


def _readable(token: str) -> str | None:
    """A channel that the token reads, made from the first of its patterns; None where it reads none."""
    if not token:
        return SAMPLE
    patterns = claims_of(token).get("read")
    first = next((pattern for pattern in patterns if isinstance(pattern, str)), None) if patterns else None
    if first is None:
        return None
    return first.replace(WILDCARD * 2, SAMPLE).replace(WILDCARD, SAMPLE)
