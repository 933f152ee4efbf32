"""Answers made of lines, one for each content: encoded in steps, and long ones only as the client takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse

from statushub.hub.http.response import PIECE_BYTES
from statushub.hub.http.state import hub_of
from statushub.hub.model.event import Event
from statushub.hub.replicas.scheduler import STEP_EVENTS, Scheduler
from statushub.hub.wire.format import EventFormat

_encode = msgspec.json.Encoder().encode


def array(lines: Iterable[bytes]) -> msgspec.Raw:
    """These lines as a JSON array."""
    return msgspec.Raw(b"[%b]" % b",".join(lines))


async def encoded(request: Request, format: EventFormat, epoch: str, events: Sequence[Event]) -> list[bytes]:
    """These events in `format`: a few immediately, many in turns with other long work."""
    hub = hub_of(request)
    if len(events) > STEP_EVENTS:
        return await hub.scheduler.run(hub.encodings.encoding(format, epoch, events))
    return hub.encodings.encode(format, epoch, events)


def are_long(events: Iterable[Event]) -> bool:
    """Whether these, encoded, are too much to be kept for a client that does not read."""
    return sum(len(event.data) for event in events) > PIECE_BYTES


def in_parts(
    request: Request, answer: msgspec.Struct, lines: Iterator[bytes], headers: Mapping[str, str]
) -> StreamingResponse:
    """A long answer, whose lines are encoded as the client takes them. They belong into the last field of `answer`,
    which is an empty array."""
    parts = _parts(hub_of(request).scheduler, _encode(answer), lines)
    return StreamingResponse(parts, headers=headers, media_type="application/json")


async def _parts(scheduler: Scheduler, answer: bytes, lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    end, comma = b"]}", b""
    yield answer.removesuffix(end)
    while part := await scheduler.run(_part(lines)):
        yield comma + part
        comma = b","
    yield end


def _part(lines: Iterator[bytes]) -> Generator[None, None, bytes]:
    """The next lines, as many as one step encodes."""
    yield from ()
    part: list[bytes] = []
    size = 0
    for line in islice(lines, STEP_EVENTS):
        part.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            break
    return b",".join(part)
