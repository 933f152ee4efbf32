"""What a hub answers to a poll of a channel's changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.producers.following.hub import Hub
from statushub.producers.following.link import Answer
from statushub.producers.following.subject import channel_path
from statushub.producers.transports import Denied

UNCHANGED: Final = 304


class Event(msgspec.Struct, frozen=True):
    """An event, with its cursor."""

    id: str
    type: str
    data: Any = None


class Changes(msgspec.Struct, frozen=True):
    """What has changed."""

    cursor: str
    reset: bool
    events: list[Event]


_decoder = msgspec.json.Decoder(Changes)


def changes_path(channel: str) -> str:
    """The path of a channel's changes."""
    return f"{channel_path(channel)}/changes"


async def changes(
    hub: Hub, path: str, query: Sequence[tuple[str, str]], since: Cursor | None, silence: float, wait: float = 0.0
) -> Changes | None:
    """What has changed since a cursor in the channels that `path` and `query` name; None where nothing has.

    The hub has `silence` seconds to answer, and `wait` more for something to come. Raises as `Hub.get`, and `Denied`
    where the answer is that of no hub.
    """
    headers, asked = {"Accept": "application/json", "Cache-Control": "no-store"}, [*query]
    if since is not None:
        headers["If-None-Match"] = f'"{since}"'
        asked.append(("since", str(since)))
    if wait:
        asked.append(("wait", f"{wait:.3f}"))
    answer = await hub.get(path, asked, headers, silence=silence + wait, expected=(200, UNCHANGED))
    try:
        return None if answer.status == UNCHANGED else _decoded(await _whole(answer), hub.name)
    finally:
        await answer.aclose()


def _decoded(body: bytes, name: str) -> Changes:
    try:
        found = _decoder.decode(body)
        Cursor.parse(found.cursor)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Invalid) as error:
        raise Denied(f"{name} answers, but is not a hub: {type(error).__name__}") from error
    return found


async def _whole(answer: Answer) -> bytes:
    portions = []
    while portion := await answer.read():
        portions.append(portion)
    return b"".join(portions)
