"""Removal of contents: what a producer asks for, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import check_name


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """How many contents were removed, and which of the named ones the channel did not have."""

    count: int
    unknown: tuple[str, ...] = ()


def removed(content_ids: Sequence[str], gone: Sequence[str]) -> Removed:
    """The result for the named contents, of which `gone` were removed."""
    there = set(gone)
    return Removed(count=len(gone), unknown=tuple(it for it in dict.fromkeys(content_ids) if it not in there))


def wanted(channel: str, content_ids: Sequence[str], *, all: bool) -> Sequence[str] | None:
    """The contents to remove; None for all. Raises `Invalid` for an illegal name, and unless either is given."""
    check_name(channel, "channel")
    for index, content_id in enumerate(content_ids):
        check_name(content_id, f"content_ids[{index}]")
    if all == bool(content_ids):
        raise Invalid("name the contents to remove, or give all=True, and not both", field="content_ids")
    return None if all else content_ids
