"""JSON answers, and conditional answers to polls."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid

_ENTITY_TAG = re.compile(r'"([^"]*)"|(\*)')
"""A tag in a list of them, whether weak (`W/` before it) or not."""

_encoder = msgspec.json.Encoder()


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON: anything that msgspec encodes, `msgspec.Raw` included."""
    return Response(_encoder.encode(value), status, headers, "application/json")


def poll_response(request: Request, cursor: Cursor, age: float, answer: Callable[[], object]) -> Response:
    """The answer to a poll, tagged with the cursor of what was read; 304 where the client holds it.

    `age` is in seconds; `answer` makes the body and is not called for a 304. If-None-Match compares weakly
    (RFC 9110, section 13.1.2), since proxies that compress weaken tags.
    """
    headers = {"ETag": f'"{cursor}"', "Cache-Control": "no-cache", "Vary": "Authorization"}
    if age > 0:
        # Rounded up: a stale answer must not claim to be fresh.
        headers["Age"] = str(math.ceil(age))
    if str(cursor) in (held := _held(request)) or "*" in held:
        return Response(None, 304, headers)
    return json_response(answer(), headers=headers)


def held_cursor(request: Request) -> Cursor | None:
    """The latest cursor among the entity tags in If-None-Match: that of what the client holds."""
    latest: Cursor | None = None
    for tag in _held(request):
        with suppress(Invalid):
            cursor = Cursor.parse(tag)
            if latest is None or latest.precedes(cursor):
                latest = cursor
    return latest


def _held(request: Request) -> set[str]:
    """The entity tags in If-None-Match; `*` for any."""
    lines = request.headers.getlist("if-none-match")
    return {tag or star for line in lines for tag, star in _ENTITY_TAG.findall(line)}
