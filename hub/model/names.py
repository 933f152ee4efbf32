"""Names of tenants, channels and contents, and the rules they follow."""

from __future__ import annotations

import re
from typing import Final

from statushub.hub.model.errors import Invalid

NAME_CHARACTERS: Final = 128
"""Longest channel, content or type name: fits an indexed column, a log line and a URL segment."""

DEFAULT_TENANT: Final = "default"
"""The tenant of everything where authentication is off."""

RESERVED_SEGMENTS: Final = frozenset({"status", "changes", "events", "ws", "remove", "cancel"})
"""Last segments that a channel may not have, because routes below a channel have them."""

BATCH_PATH: Final = "status/batch"
"""The path of the batch poll, in the place of a channel."""

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")


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
            f"{field} may hold only printable characters, no '*', and no space or slash at its ends",
            field=field,
        )
    return value


def check_prefix(value: object, field: str) -> str:
    """Return `value` if it is the beginning of a legal name, or empty; else raise `Invalid` naming `field`."""
    if not isinstance(value, str):
        raise Invalid(f"{field} must be a string", field=field)
    if len(value) > NAME_CHARACTERS:
        raise Invalid(f"{field} has {len(value)} characters; at most {NAME_CHARACTERS} are allowed", field=field)
    if not value.isprintable() or value != value.lstrip(" /") or "*" in value:
        raise Invalid(
            f"{field} may hold only printable characters, no '*', and no space or slash at its beginning", field=field
        )
    return value


def check_published_channel(value: object) -> str:
    """As `check_name`, for a channel that is published into: its last segment may not be that of a route.

    The routes of a channel begin with its name, and so would hide such a channel from every reader.
    """
    channel = check_name(value, "channel")
    if channel.rpartition("/")[2] in RESERVED_SEGMENTS or channel == BATCH_PATH:
        raise Invalid(
            f"channel may not end in {channel.rpartition('/')[2]!r}, which names a route of the channel",
            field="channel",
        )
    return channel


def check_tenant(value: object, field: str = "tenant") -> str:
    """Return `value` if it is a legal tenant name; else raise `Invalid` naming `field`."""
    if not isinstance(value, str) or _TENANT.fullmatch(value) is None:
        raise Invalid(f"{field} must be 1 to 64 of the characters A-Z a-z 0-9 _ -", field=field)
    return value
