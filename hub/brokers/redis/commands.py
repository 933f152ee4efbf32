"""The calls of `functions.lua`, as arguments and answers. No I/O."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import COUNTER_MAX, Cursor
from statushub.hub.model.event import Announcement, Event
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal

VERSION: Final = 4
"""The library's version. It replaces a lower one on a server."""

LIBRARY: Final = files("statushub.hub.brokers.redis").joinpath("functions.lua").read_text(encoding="utf-8")
"""The library's source, for `FUNCTION LOAD REPLACE`."""

MISSING: Final = "Function not found"
"""The server's message where the library is not loaded: it restarted without its data, or is new."""

RETENTION: Final = "retention"
"""The field of the settings that holds the hubs' retention, in milliseconds."""


def root(db: int) -> str:
    """What every key begins with. It names the database, because Redis' pub/sub spans all databases."""
    return f"hub{db}" if db else "hub"


def prefix(root: str, tenant: str) -> str:
    """The key prefix of a tenant; its hash tag puts all of the tenant in one cluster slot."""
    return f"{root}:{{{tenant}}}"


def tenants(root: str) -> str:
    """The key of the set of tenants that have leases to sweep. It lies outside the tenants' own slots."""
    return f"{root}:tenants"


def settings(root: str) -> str:
    """The key of the hash in which hubs write what publishers need to know."""
    return f"{root}:settings"


def events(prefix: str, channel: str) -> bytes:
    """The pub/sub channel on which a channel's events are announced."""
    return f"{prefix}:events:{channel}".encode()


def milliseconds(seconds: float) -> str:
    """Seconds as the functions take them."""
    return str(round(seconds * 1000))


def seconds(milliseconds: bytes | str | None) -> float | None:
    """Seconds of a stored number of milliseconds; None where there is no valid one."""
    text = _text(milliseconds or "")
    return int(text) / 1000 if text.isascii() and text.isdigit() and int(text) else None


def publish_args(publications: Sequence[Publication], retention: float | None) -> list[str | bytes]:
    """The arguments of `statushub_publish` after the key; `retention` in seconds."""
    args: list[str | bytes] = ["" if retention is None else milliseconds(retention)]
    for p in publications:
        args += (
            p.channel,
            p.content_id,
            p.type,
            "1" if p.terminal else "0",
            "" if p.attempt is None else str(p.attempt),
            "" if p.seq is None else str(p.seq),
            "" if p.lease is None or p.terminal else repr(p.lease),
            p.data,
        )
    return args


def receipts(answer: Sequence[int | bytes]) -> list[Receipt]:
    """The answer of `statushub_publish`."""
    verdicts = iter(answer)
    return [_receipt(accepted, text) for accepted, text in zip(verdicts, verdicts, strict=True)]


def _receipt(accepted: int | bytes, text: int | bytes) -> Receipt:
    value = str(text, "ascii") if isinstance(text, bytes) else str(text)
    return Receipt(cursor=Cursor.parse(value)) if accepted else Receipt(reason=Refusal(value))


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of `statushub_changes`: the clock, up to a limit of events, and whether more follow."""

    clock: Cursor
    more: bool
    events: list[Event]


def page(channel: str, answer: Sequence[int | bytes]) -> Page:
    """The answer of `statushub_changes` about `channel`."""
    epoch, offset, more = answer[:3]
    rows = iter(answer[3:])
    return Page(
        clock=_clock(epoch, offset),
        more=bool(more),
        events=[_event(channel, *row) for row in zip(rows, rows, rows, rows, strict=True)],
    )


def found(content_ids: Sequence[str], answer: Sequence[Any]) -> tuple[Cursor, list[Event | None]]:
    """The answer of `statushub_lookup` about these contents: the clock, and each one's event or None."""
    # Interned, because many contents share a channel, and comparing identical strings is fast.
    events = [
        _event(sys.intern(_text(row[0])), row[1], content_id, row[2], row[3]) if row else None
        for content_id, row in zip(content_ids, answer[2:], strict=True)
    ]
    return _clock(answer[0], answer[1]), events


def offsets(answer: Sequence[int | bytes]) -> tuple[str, list[int]]:
    """The answer of `statushub_offsets`: the epoch, and each channel's offset."""
    return _text(answer[0]), [int(offset) for offset in answer[1:]]


def overdue(answer: Sequence[int | bytes]) -> list[Event]:
    """The answer of `statushub_due`: the latest event of each content whose lease ran out."""
    rows = iter(answer)
    return [
        _event(_text(channel), offset, content_id, type, data)
        for channel, content_id, offset, type, data in zip(rows, rows, rows, rows, rows, strict=True)
    ]


def announcement(tenant: str, channel: str, message: bytes) -> Announcement:
    """A message on a channel's pub/sub channel. Raises `ValueError` for a foreign publisher's message."""
    head, newline, data = message.partition(b"\n")
    epoch, offset_text, prev_text, content_id, type = head.decode().split("\t")
    offset, prev = int(offset_text), int(prev_text)
    if not newline or b"\r" in head or not 0 <= prev < offset <= COUNTER_MAX:
        raise ValueError("not an announcement")
    event = Event(channel=channel, content_id=content_id, offset=offset, type=type, data=data)
    return Announcement(tenant=tenant, epoch=epoch, prev=prev, event=event)


def _event(channel: str, offset: int | bytes, content_id: str | int | bytes, type: int | bytes, data: Any) -> Event:
    return Event(channel=channel, content_id=_text(content_id), offset=int(offset), type=_text(type), data=data)


def _clock(epoch: int | bytes, offset: int | bytes) -> Cursor:
    return Cursor(epoch=_text(epoch), offset=int(offset))


def _text(value: str | int | bytes) -> str:
    # A foreign publisher's broken UTF-8 must not keep a channel from being read.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
