"""Makes a status fit that is too large, or refused: without the fields that it can be understood without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from statushub.hub.model.publication import Publication

CORE: Final = frozenset(
    {
        *("content_id", "channel_id", "status", "processing_status", "progress", "timestamp"),
        *("error_message", "error_code", "completed"),
    }
)
"""The fields that are never dropped: they say what became of the content."""

TEXT_CHARACTERS: Final = 2_000
"""Longest text of a core field in a reduced status: an error message that quotes its whole input is cut."""

NAMED_FIELDS: Final = 100
"""Most fields that `truncated_fields` names."""

NAME_CHARACTERS: Final = 100
"""Longest part of a field's name in `truncated_fields`."""

TRUNCATED: Final = "truncated_fields"

_encode = msgspec.json.Encoder().encode


def fitting(data: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """`data` with its largest fields left out until it has at most `limit` bytes as JSON, as far as core fields allow.

    `truncated_fields` names those that were left out. The values must be such as can be written as JSON.
    """
    kept = dict(data)
    dropped = [name for name in kept.pop(TRUNCATED, None) or [] if isinstance(name, str)]
    for name in CORE & kept.keys():
        if isinstance(value := kept[name], str):
            kept[name] = value[:TEXT_CHARACTERS]
    sizes = {name: len(_encode(name)) + len(_encode(value)) + 2 for name, value in kept.items()}
    total = sum(sizes.values()) + 2
    for name in sorted(sizes.keys() - CORE, key=sizes.__getitem__, reverse=True):
        if total + _named_bytes(dropped) <= limit:
            break
        total -= sizes[name]
        del kept[name]
        dropped.append(name[:NAME_CHARACTERS])
    return {**kept, TRUNCATED: dropped[:NAMED_FIELDS]} if dropped else kept


def reduced(publication: Publication, limit: int) -> Publication | None:
    """`publication` with at most `limit` bytes of data, as far as core fields allow; None where it is no smaller."""
    data = msgspec.json.decode(publication.data, type=dict[str, Any])
    smaller = _encode(fitting(data, limit))
    return replace(publication, data=smaller) if len(smaller) < len(publication.data) else None


def _named_bytes(names: list[str]) -> int:
    return len(_encode(names[:NAMED_FIELDS])) + len(TRUNCATED) + 4 if names else 0
