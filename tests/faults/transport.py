"""The two ways to a viewer: an event stream, with one cursor, and a WebSocket, with one for each channel. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlencode

import msgspec

from statushub.hub.model.cursor import Cursor
from tests.support.frames import Frames
from tests.support.proxy import Address
from tests.support.socket_client import CLOSE, TEXT, UPGRADE, frame

EVENT, READY, RESET, RETRY, OTHER = "event", "ready", "reset", "retry", ""

Channels = frozenset[str]


class Message(NamedTuple):
    """What a hub says. `channels` are those of the cursor that it concerns; None: any."""

    kind: str
    channels: Channels | None = None
    cursor: Cursor | None = None
    type: str = ""
    data: bytes = b""
    retry: float = 0.0


class Transport(Protocol):
    """Opens a connection, and reads what comes over it. Whatever is malformed raises `ValueError`."""

    status: bytes
    """The status code of a connection that is open."""

    def scopes(self, channels: Channels) -> Sequence[Channels]:
        """The channels that share a cursor."""

    def request(self, hub: Address, cursors: Mapping[Channels, Cursor | None]) -> bytes:
        """The request, to resume after these cursors."""

    def opening(self, cursors: Mapping[Channels, Cursor | None]) -> bytes:
        """What is sent once the connection is open."""

    def feed(self, head: bytes) -> Callable[[bytes], Iterator[Message]]:
        """A parser of the bytes after `head`, the answer's in lower case."""


class EventStream:
    """Server-Sent Events; a `portable` one uses HTTP/1.0, which is not handed over.

    `matches` are the patterns by which it asks for its channels; without one it names them.
    """

    status = b" 200 "

    def __init__(self, *, portable: bool = False, matches: Sequence[str] = (), deltas: bool = False) -> None:
        """`deltas`: it takes contents that grow as deltas."""
        self._portable = portable
        self._matches = matches
        self._deltas = [("deltas", "1")] if deltas else []

    def scopes(self, channels: Channels) -> Sequence[Channels]:
        return [channels]

    def request(self, hub: Address, cursors: Mapping[Channels, Cursor | None]) -> bytes:
        [(channels, cursor)] = cursors.items()
        query = [("match", it) for it in self._matches] or [("channel", it) for it in sorted(channels)]
        path = f"/api/events?{urlencode(query + self._deltas)}"
        lines = [f"GET {path} HTTP/{'1.0' if self._portable else '1.1'}", f"Host: {hub[0]}:{hub[1]}"]
        if cursor is not None:
            lines.append(f"Last-Event-ID: {cursor}")
        return "\r\n".join([*lines, "", ""]).encode()

    def opening(self, cursors: Mapping[Channels, Cursor | None]) -> bytes:
        return b""

    def feed(self, head: bytes) -> Callable[[bytes], Iterator[Message]]:
        frames = Frames(chunked=b"transfer-encoding: chunked" in head)

        def messages(data: bytes) -> Iterator[Message]:
            for it in frames.feed(data):
                if it.retry is not None:
                    yield Message(RETRY, retry=it.retry / 1000)
                if it.event == "reset":
                    yield Message(RESET)
                elif it.event == "ready":
                    yield Message(READY, cursor=Cursor.parse(msgspec.json.decode(it.data, type=_Ready).cursor))
                elif it.id:
                    yield Message(EVENT, cursor=Cursor.parse(it.id), type=it.event or "", data=it.data.encode())

        return messages


class WebSocket:
    """One socket for all channels, each of which is subscribed with its own cursor."""

    status = b" 101 "

    def __init__(self, *, deltas: bool = False) -> None:
        self._deltas = {"deltas": True} if deltas else {}

    def scopes(self, channels: Channels) -> Sequence[Channels]:
        return [frozenset({channel}) for channel in sorted(channels)]

    def request(self, hub: Address, cursors: Mapping[Channels, Cursor | None]) -> bytes:
        return "\r\n".join(["GET /api/ws HTTP/1.1", f"Host: {hub[0]}:{hub[1]}", *UPGRADE, "", ""]).encode()

    def opening(self, cursors: Mapping[Channels, Cursor | None]) -> bytes:
        said = []
        for (channel,), cursor in cursors.items():
            since = {} if cursor is None else {"since": str(cursor)}
            message = {"type": "subscribe", "channel_id": channel, **since, **self._deltas}
            said.append(frame(msgspec.json.encode(message)))
        return b"".join(said)

    def feed(self, head: bytes) -> Callable[[bytes], Iterator[Message]]:
        rest = bytearray()

        def messages(data: bytes) -> Iterator[Message]:
            rest.extend(data)
            while (taken := _frame(rest)) is not None:
                opcode, payload = taken
                if opcode == CLOSE:
                    raise EOFError(f"closed with {int.from_bytes(payload[:2])}")
                if opcode == TEXT:
                    yield _message(payload)

        return messages


class _Ready(msgspec.Struct):
    cursor: str


class _Text(msgspec.Struct):
    type: str
    id: str | None = None
    channel_id: str | None = None
    cursor: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    retry_ms: int | None = None
    code: str | None = None


class _Place(msgspec.Struct):
    channel_id: str


_SHORT: Final = 125


def _frame(rest: bytearray) -> tuple[int, bytes] | None:
    """Take a whole unmasked frame off the front of `rest`."""
    if len(rest) < 2:
        return None
    if rest[0] & 0xF0 != 0x80 or rest[1] & 0x80:
        raise ValueError(f"not a whole unmasked frame: {bytes(rest[:2])!r}")
    start, size = 2, rest[1]
    if size > _SHORT:
        start += 2 if size == _SHORT + 1 else 8
        size = int.from_bytes(rest[2:start])
    if len(rest) < max(start, start + size):
        return None
    payload = bytes(rest[start : start + size])
    opcode = rest[0] & 0x0F
    del rest[: start + size]
    return opcode, payload


def _message(payload: bytes) -> Message:
    said = msgspec.json.decode(payload, type=_Text)
    channels = None if said.channel_id is None else frozenset({said.channel_id})
    match said.type:
        case "ready":
            return Message(READY, channels, Cursor.parse(said.cursor or ""))
        case "reset":
            return Message(RESET, channels)
        case "drain":
            return Message(RETRY, retry=(said.retry_ms or 0) / 1000)
        case "error":
            raise ValueError(f"the hub refuses with {said.code}")
    if said.id is None:
        return Message(OTHER)
    channel = msgspec.json.decode(said.data, type=_Place).channel_id
    return Message(EVENT, frozenset({channel}), Cursor.parse(said.id), said.type, bytes(said.data))
