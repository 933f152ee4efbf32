"""A place in the listing of a channel: how far its contents in the hub, and its rows of the record, were read."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

import msgspec

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.hub.sources.row import Position

MARK: Final = "~"
"""What the text of a place begins with, and that of a cursor does not."""

PLACE_CHARACTERS: Final = 1024
"""Longest text of a place: an id and a time of 128 characters each, and a cursor, as JSON in base64."""


class Place(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`cursor` is that of the last event, with the offset 0 after all of them, and None before the first; `position`
    is that of the last row. `ended` says that no rows follow."""

    cursor: str | None = None
    position: Position | None = None
    ended: bool = False

    @property
    def after(self) -> Cursor | None:
        """The cursor."""
        return None if self.cursor is None else Cursor.parse(self.cursor, field="after")

    def __str__(self) -> str:
        return MARK + urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


_decoder = msgspec.json.Decoder(Place)


def parse_place(text: str) -> Place:
    """The place of its text, or of a cursor's. Raises `Invalid`."""
    if not text.startswith(MARK):
        return Place(cursor=str(Cursor.parse(text, field="after")))
    encoded = text.removeprefix(MARK)[:PLACE_CHARACTERS]
    try:
        place = _decoder.decode(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise Invalid("after is no `next` of a page", field="after") from error
    _check(place.position)
    _ = place.after
    return place


def _check(position: Position | None) -> None:
    said: Any = None if position is None else position.updated
    if said is not None and not isinstance(said, str | int | float):
        raise Invalid("after is no `next` of a page", field="after")
