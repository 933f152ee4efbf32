"""A status as a work reports it, mended where a value breaks a rule: the work is not told, the log is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from statushub.hub.model.errors import Invalid, TooLarge
from statushub.hub.model.publication import EVENT_BYTES, Publication, publication
from statushub.producers.reduction import TRUNCATED, fitting
from statushub.producers.values import plain

OWN_BYTES: Final = 1_024
"""Room for what a publication adds to its data: names of the content and the channel, and a time."""

PROCESSING: Final = "processing"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A status that can be published, the fields that it was made of, and what had to be mended: reasons by field."""

    fields: dict[str, Any]
    publication: Publication
    mended: dict[str, str]


def said(
    *, channel: str, content_id: str, fields: Mapping[str, Any], before: str, lease: float | None, attempt: int | None
) -> Said:
    """The status that `fields` make, whose values are `plain`. `before` is the status that holds where theirs is none.

    Raises `Invalid` where the channel, the content id, the lease or the attempt is invalid.
    """
    data = dict(fields)
    mended: dict[str, str] = {}
    while True:
        try:
            made = publication(channel=channel, content_id=content_id, data=data, lease=lease, attempt=attempt)
        except Invalid as error:
            # Each pass mends or drops a field, so there is an end.
            data = _mended(data, error, mended, before)
        else:
            return Said(fields=data, publication=made, mended=mended)


def _mended(data: dict[str, Any], error: Invalid, mended: dict[str, str], before: str) -> dict[str, Any]:
    """`data` without what `error` complains of. Raises `error` where that is not in them."""
    if isinstance(error, TooLarge):
        smaller = fitting(data, EVENT_BYTES - OWN_BYTES)
        if smaller == data:
            raise error
        mended.update(dict.fromkeys(smaller.get(TRUNCATED, ()), "left out, because the status is too large"))
        return smaller
    name = (error.field or "").removeprefix("data.")
    if error.field == "data":
        valid = {str(plain(key)): plain(value) for key, value in data.items()}
        if valid == data:
            raise error
        return valid
    if name == error.field or name not in data:
        raise error
    value = data[name]
    if name == "status" and value != before:
        mended[name] = error.message
        return {**data, name: before}
    if name == "progress" and isinstance(value, int | float) and not math.isnan(value):
        # Rounding is not worth a word.
        if not -1 < value < 101:
            mended[name] = error.message
        return {**data, name: min(max(value, 0), 100)}
    mended[name] = error.message
    return {key: each for key, each in data.items() if key != name}
