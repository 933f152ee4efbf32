"""The query string, read within its limit."""

from __future__ import annotations

import math
from typing import Final

from starlette.requests import Request

from statushub.hub.model.errors import Invalid, TooLarge

QUERY_BYTES: Final = 8192
"""Longest query string. The longest sensible one, a filter of 100 contents whose ids are UUIDs, has about 5 KiB."""

WAIT_SECONDS_MAX: Final = 25.0
"""Longest long poll: under the 30 seconds after which common proxies give an answer up."""


def limit_of(request: Request, most: int) -> int:
    """The query parameter `limit`, `most` where it is missing. Raises `Invalid` where it is not from 1 to `most`."""
    text = query_value(request, "limit") or str(most)
    # More digits than a limit has would be a number that takes long to parse.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise Invalid(f"limit must be a whole number from 1 to {most}", field="limit")
    return int(text)


def wait_of(request: Request) -> float:
    """The query parameter `wait`, the seconds of a long poll, 0 where it is missing. Raises `Invalid`."""
    try:
        wait = float(query_value(request, "wait") or 0)
    except ValueError:
        wait = math.nan
    # Written so that NaN fails it too.
    if not 0 <= wait <= WAIT_SECONDS_MAX:
        raise Invalid(f"wait must be a number of seconds from 0 to {WAIT_SECONDS_MAX:g}", field="wait")
    return wait


def query_value(request: Request, name: str) -> str | None:
    """The query parameter `name`, or None where it is missing. Other parameters are ignored.

    Raises `TooLarge` where the query string is over `QUERY_BYTES`, `Invalid` where the parameter is given twice.
    """
    length = len(request.scope["query_string"])
    if length > QUERY_BYTES:
        raise TooLarge(f"The query string has {length} bytes; at most {QUERY_BYTES} are allowed", field="query")
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise Invalid(f"{name} is given {len(values)} times", field=name)
    return values[0] if values else None
