"""JSON answers, long ones encoded as they are read, and conditional answers to polls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from statushub.hub.http.entity_tags import held_tags, holds
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid

BATCH_ITEMS: Final = 8
"""Items of a list that are encoded in one go, after others that were small; after large ones it is one."""

PIECE_BYTES: Final = 64 * 1024
"""Least bytes that are encoded before the client reads on. A shorter answer is one piece."""

DIGEST_BYTES: Final = 8
"""Of the digest in an entity tag: enough that two bodies with one cursor do not share it."""

_DIGEST: Final = "."
"""Between the cursor and the digest in an entity tag; no cursor has it."""

_encoder = msgspec.json.Encoder()


class LongJson(Response):
    """`value` as JSON of `size` bytes, of which only a piece exists at a time. It must not change meanwhile."""

    media_type = "application/json"

    def __init__(self, value: object, size: int, headers: Mapping[str, str] | None = None) -> None:
        self.value = value
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self.headers["content-length"] = str(size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            for piece in _pieces(self.value):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON: anything that msgspec encodes, `msgspec.Raw` included."""
    return Response(_encoder.encode(value), status, headers, "application/json")


def long_response(value: msgspec.Struct | msgspec.Raw, headers: Mapping[str, str]) -> Response:
    """`value` as JSON, made of bytes that the hub keeps anyway: much is not copied for a client that does not read."""
    size = _size(value)
    return LongJson(value, size, headers) if size > PIECE_BYTES else json_response(value, headers=headers)


def _size(value: object) -> int:
    """The bytes that the JSON of `value` has, without copying those of its lists' items."""
    if isinstance(value, msgspec.Struct):
        names, values = value.__struct_encode_fields__, map(partial(getattr, value), value.__struct_fields__)
        return 1 + sum(len(name) + 4 + _size(field) for name, field in zip(names, values, strict=True))
    if isinstance(value, list):
        return 1 + max(1, sum(1 + _size(item) for item in value))
    return memoryview(value).nbytes if isinstance(value, msgspec.Raw) else len(_encoder.encode(value))


def _pieces(value: object) -> Iterator[bytes]:
    """The JSON of `value`, in pieces of at least `PIECE_BYTES` but for the last."""
    waiting: list[bytes] = []
    size = 0
    for fragment in _fragments(value):
        waiting.append(fragment)
        size += len(fragment)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    yield b"".join(waiting)


def _fragments(value: object) -> Iterator[bytes]:
    """The JSON of `value`: of the lists that are fields of a struct, a few items at a time."""
    if isinstance(value, msgspec.Struct):
        opening = b"{"
        for name, written in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
            yield b'%b"%b":' % (opening, written.encode())
            yield from _fragments(getattr(value, name))
            opening = b","
        yield b"}"
    elif isinstance(value, list):
        yield b"["
        yield from _batches(value)
        yield b"]"
    else:
        yield _encoder.encode(value)


def _batches(items: Sequence[object]) -> Iterator[bytes]:
    """The JSON of these items with commas between them."""
    start, count, comma = 0, 1, b""
    while start < len(items):
        encoded = _encoder.encode(items[start : start + count])[1:-1]
        yield comma + encoded
        start, comma = start + count, b","
        count = 1 if len(encoded) * BATCH_ITEMS > PIECE_BYTES * count else BATCH_ITEMS


def poll_response(request: Request, cursor: Cursor, age: float, answer: Callable[[], object]) -> Response:
    """The answer to a poll, tagged with the cursor of what was read; 304 where the client holds it.

    `age` is in seconds; `answer` makes the body and is not called for a 304.
    """
    return unchanged(request, cursor, age) or json_response(answer(), headers=poll_headers(cursor, age))


def body_response(request: Request, value: object, cursor: Cursor, headers: Mapping[str, str]) -> Response:
    """`value` as JSON, tagged with the cursor of what was read and a digest; 304 where the client holds it.

    For a body that may change while its cursor does not.
    """
    body = _encoder.encode(value)
    tag = f"{cursor}{_DIGEST}{blake2b(body, digest_size=DIGEST_BYTES).hexdigest()}"
    return unchanged(request, tag, 0.0) or Response(
        body, headers={**poll_headers(tag, 0.0), **headers}, media_type="application/json"
    )


def unchanged(request: Request, tag: Cursor | str, age: float) -> Response | None:
    """The 304 where the client holds what has this entity tag, mostly its cursor; else None."""
    return Response(None, 304, poll_headers(tag, age)) if holds(request.headers, str(tag)) else None


def poll_headers(tag: Cursor | str, age: float) -> dict[str, str]:
    """The headers of an answer to a poll."""
    return {"ETag": f'"{tag}"', "Cache-Control": "no-cache", "Vary": "Authorization", **age_headers(age)}


def age_headers(age: float) -> dict[str, str]:
    """The header of an answer that is so many seconds old."""
    # Rounded up: a stale answer must not claim to be fresh.
    return {"Age": str(math.ceil(age))} if age > 0 else {}


def held_cursor(request: Request) -> Cursor | None:
    """The latest cursor among the entity tags in If-None-Match: that of what the client holds."""
    latest: Cursor | None = None
    for tag in held_tags(request.headers):
        with suppress(Invalid):
            cursor = Cursor.parse(tag.partition(_DIGEST)[0])
            if latest is None or latest.precedes(cursor):
                latest = cursor
    return latest
