"""Listings: what a page of the index of channels asks for, and where it ends. No I/O."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from statushub.hub.brokers.contract import PAGE_CHANNELS
from statushub.hub.model.cursor import COUNTER_MAX
from statushub.hub.model.errors import Invalid

_OFFSET: Final = re.compile(r"o([1-9][0-9]{0,15})", re.ASCII)
_NAME: Final = re.compile(r"n((?:[A-Za-z0-9_-]{2,})?)", re.ASCII)

Row = TypeVar("Row", bound=tuple[bytes, int, *tuple[Any, ...]])


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the index: the arguments of `Broker.channels`, with `after` as the name (`named`) or the offset
    (`below`) that it tells."""

    prefix: bytes
    by_name: bool
    named: bytes | None
    below: int | None
    since: int
    limit: int

    @classmethod
    def of(cls, *, prefix: str, by_name: bool, after: str | None, since: int, limit: int) -> Listing:
        """Raises `Invalid` where `after` is not the end of a page in this order."""
        by_name = by_name or bool(prefix)
        return cls(
            prefix=prefix.encode(),
            by_name=by_name,
            named=name_before(after) if by_name and after is not None else None,
            below=_offset(after) if not by_name and after is not None else None,
            since=since,
            limit=min(limit, PAGE_CHANNELS),
        )

    @property
    def rows(self) -> int:
        """How many channels to read for it: one more than may be looked at tells whether more follow."""
        return (PAGE_CHANNELS if self.by_name and self.since else self.limit) + 1

    def cut(self, rows: Sequence[Row]) -> tuple[list[Row], str | None]:
        """Of the rows that were read, each with its channel's name and offset first, those of the page; and `next`."""
        taken: list[Row] = []
        looked = 0
        while looked < min(len(rows), self.rows - 1) and len(taken) < self.limit:
            if rows[looked][1] > self.since:
                taken.append(rows[looked])
            looked += 1
        return taken, self._place(rows[looked - 1]) if looked < len(rows) else None

    def _place(self, row: Row) -> str:
        if self.by_name:
            return place_after(row[0])
        return f"o{row[1]}"


def place_after(name: bytes) -> str:
    """`after` of the page by name that begins behind this name, whether there is such a channel or not."""
    return "n" + urlsafe_b64encode(name).decode().rstrip("=")


def name_before(after: str) -> bytes:
    """The name behind which the page by name begins. Raises `Invalid` where `after` is not the end of such a page."""
    match = _NAME.fullmatch(after)
    if match is None:
        raise _not_a_place()
    try:
        return urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
    except binascii.Error as error:
        raise _not_a_place() from error


def _offset(after: str) -> int:
    match = _OFFSET.fullmatch(after)
    if match is None or int(match[1]) > COUNTER_MAX:
        raise _not_a_place()
    return int(match[1])


def _not_a_place() -> Invalid:
    return Invalid("after is not the next of a page in this order", field="after")
