"""The nouns that every part of Statushub speaks: cursors, events, publications and what becomes of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from hub.errors import Invalid

NAME_CHARACTERS: Final = 128
"""Longest channel, content or type name: fits an indexed column, a log line and a URL segment."""

COUNTER_MAX: Final = 2**53 - 1
"""Largest attempt, seq or offset: what Lua and JavaScript count exactly (RFC 8259, section 6)."""

CURSOR_CHARACTERS: Final = 64
"""Longest cursor that is parsed; a real one has under 30. Fetch preflights `Last-Event-ID` over 128 bytes."""

DEFAULT_TENANT: Final = "default"
"""The tenant of everything where authentication is off."""

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CURSOR = re.compile(r"([a-z0-9]{1,32})-(0|[1-9][0-9]{0,15})", re.ASCII)


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A place on a tenant's clock, written `<epoch>-<offset>`; safe as an SSE id and as an ETag."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @classmethod
    def parse(cls, text: str, *, field: str = "since") -> Cursor:
        """Read a cursor. Raises `Invalid` naming `field` where the text is none."""
        match = _CURSOR.fullmatch(text) if len(text) <= CURSOR_CHARACTERS else None
        if match is None or int(match[2]) > COUNTER_MAX:
            raise Invalid(f"{field} is not a cursor: expected <epoch>-<offset>, such as k3f9a2-184", field=field)
        return cls(epoch=match[1], offset=int(match[2]))


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one content, as the broker stored it. `data` is a JSON object, whole and opaque."""

    channel: str
    content_id: str
    offset: int
    type: str
    data: bytes


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the broker announces it; `prev` is the channel's offset before it."""

    tenant: str
    epoch: str
    prev: int
    event: Event


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one content, as a producer offers it. `hub.publication` makes and checks it."""

    channel: str
    content_id: str
    type: str
    data: bytes
    terminal: bool
    attempt: int | None = None
    seq: int | None = None
    lease: float | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publication: its cursor where it was accepted, a `Refusal` where not."""

    cursor: Cursor | None = None
    reason: Refusal | None = None

    @property
    def accepted(self) -> bool:
        return self.cursor is not None


class Refusal(StrEnum):
    """Why a publication was not stored. Results, not errors: the broker did what it promises."""

    SUPERSEDED = "superseded"
    """A newer attempt, or a later seq of this one, is already stored."""
    CLOSED = "closed"
    """The attempt has ended; only a higher attempt reopens the content."""
    WRONG_CHANNEL = "wrong_channel"
    """The content lives in another channel."""


_decoder = msgspec.json.Decoder(dict[str, Any])


def timestamp(moment: datetime | None = None) -> str:
    """`moment` (now by default) as ISO 8601 in UTC with milliseconds: `2025-07-31T13:00:00.000Z`."""
    utc = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def check_name(value: object, field: str) -> str:
    """Return `value` if it is a legal channel or content name; else raise `Invalid` naming `field`.

    1 to 128 printable characters (so no control character, line separator or NUL), no space or slash at
    either end, and no `*`, which patterns use.
    """
    if not isinstance(value, str):
        raise Invalid(f"{field} must be a string", field=field)
    if not value:
        raise Invalid(f"{field} must not be empty", field=field)
    if len(value) > NAME_CHARACTERS:
        raise Invalid(
            f"{field} has {len(value)} characters; at most {NAME_CHARACTERS} are allowed", field=field, limit="name"
        )
    if not value.isprintable() or value != value.strip(" /") or "*" in value:
        raise Invalid(
            f"{field} may hold printable characters alone, no '*', and no space or slash at its ends",
            field=field,
        )
    return value


def check_tenant(value: object, field: str = "tenant") -> str:
    """Return `value` if it is a legal tenant name; else raise `Invalid` naming `field`."""
    if not isinstance(value, str) or _TENANT.fullmatch(value) is None:
        raise Invalid(f"{field} must be 1 to 64 of the characters A-Z a-z 0-9 _ -", field=field)
    return value


def decode(data: bytes) -> dict[str, Any]:
    """The mapping in an event's `data`. Raises `Invalid` where a foreign publisher stored no JSON object."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"data is not a JSON object: {error}", field="data") from error
