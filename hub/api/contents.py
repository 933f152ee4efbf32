"""Polls of contents: a channel by pages, whole or in summary, or since a cursor; and single contents by their ids."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from statushub.hub.api.fields import (
    ContentData,
    ContentStatus,
    Count,
    CursorText,
    EventType,
    NameText,
    Percent,
)
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import address_of, admit_reader, identify
from statushub.hub.http.disconnect import while_connected
from statushub.hub.http.names import channel_of, check_names
from statushub.hub.http.query import query_value
from statushub.hub.http.response import (
    PIECE_BYTES,
    held_cursor,
    json_response,
    long_response,
    poll_headers,
    unchanged,
)
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of
from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event
from statushub.hub.model.names import BATCH_PATH
from statushub.hub.model.vocabulary import CONTENT_STATUS, Phase
from statushub.hub.replicas.polls import PageRequest, Reading
from statushub.hub.replicas.scheduler import STEP_EVENTS, Scheduler
from statushub.hub.wire.batch import BATCH_LINE
from statushub.hub.wire.format import EventFormat

BATCH_IDS: Final = 100
"""Most contents of one batch poll: a long page of cards, and an answer of a few tens of kilobytes."""

PAGE_CONTENTS: Final = 1_000
"""Most contents of a page, and as many where no limit is given: some 300 KB, and a channel of 100,000 in 100 pages."""

WAIT_SECONDS_MAX: Final = 25.0
"""Longest long poll: under the 30 seconds after which common proxies give an answer up."""


def _lines_of(*names: str, **more: Any) -> msgspec.Meta:
    """Says of raw JSON that it is a list of these components."""
    components = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    items = components[0] if len(components) == 1 else {"oneOf": components}
    return msgspec.Meta(extra_json_schema={"type": "array", "items": items, **more})


NextCursor = Annotated[
    CursorText | None,
    msgspec.Meta(description="`after` of the next page; null where this is the last one."),
]


class Contents(msgspec.Struct, forbid_unknown_fields=True):
    """A page of a channel's contents, the latest first; ask for changes since the first page's `cursor`."""

    contents: Annotated[list[ContentData], msgspec.Meta(max_length=PAGE_CONTENTS)]
    cursor: CursorText
    next: NextCursor


class StatusLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A content in a summary."""

    id: NameText
    status: ContentStatus
    processing_status: str | None


class ProcessingLine(StatusLine, kw_only=True):
    """A content in a summary that is pending or being processed."""

    progress: Percent
    estimated_completion: Annotated[
        str | None,
        msgspec.Meta(
            description="When it will be done, as its producer says or as what remains implies; null where neither is "
            "known."
        ),
    ]


class FailedLine(StatusLine, kw_only=True):
    """A content in a summary that failed."""

    error_message: str | None


class Summary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A page of a channel's contents by phase, without those that are idle. The totals are those of the channel."""

    processing_contents: Annotated[msgspec.Raw, _lines_of("ProcessingLine", maxItems=PAGE_CONTENTS)]
    completed_contents: Annotated[msgspec.Raw, _lines_of("StatusLine", maxItems=PAGE_CONTENTS)]
    failed_contents: Annotated[msgspec.Raw, _lines_of("FailedLine", maxItems=PAGE_CONTENTS)]
    has_processing: bool
    total_processing: Count
    total_completed: Count
    total_failed: Count
    next: NextCursor


class ListedStatus(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A content in a list."""

    id: NameText
    status: ContentStatus


class ChangeEvent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The latest event of a content; `id` is its cursor."""

    id: CursorText
    type: EventType
    data: ContentData


class Changes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The contents that changed after a cursor."""

    cursor: Annotated[CursorText, msgspec.Meta(description="The cursor for the next request.")]
    reset: Annotated[
        bool,
        msgspec.Meta(description="Whether the request's cursor is void: discard all state, `events` is the whole one."),
    ]
    events: Annotated[msgspec.Raw, _lines_of("ChangeEvent")]


class StatusBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The contents asked for."""

    content_ids: Annotated[list[NameText], msgspec.Meta(min_length=1, max_length=BATCH_IDS)]


class StatusBatch(msgspec.Struct, forbid_unknown_fields=True):
    """A line for each content asked for, in that order."""

    statuses: Annotated[msgspec.Raw, _lines_of("KnownContent", "UnknownContent", minItems=1, maxItems=BATCH_IDS)]


NOTHING: Final = msgspec.Raw(b"[]")

_encode = msgspec.json.Encoder().encode
_batch_decoder = msgspec.json.Decoder(StatusBatchRequest)


async def contents(request: Request) -> Response:
    """`{"contents":[…],"cursor","next"}`: the whole status of each of the channel's contents, the latest first."""
    if request.path_params["channel_id"] == BATCH_PATH:
        # It would read a channel of this name, and hide the mistake.
        raise HTTPException(405, headers={"Allow": "POST"})
    reading = await _read(request, counted=False)
    if (same := unchanged(request, reading.cursor, reading.age)) is not None:
        return same
    lines = await _encode_all(request, WHOLE_LINE, reading.cursor.epoch, reading.events)
    page = Contents(
        contents=[msgspec.Raw(line) for line in lines],
        cursor=str(reading.cursor),
        next=_next(reading),
    )
    return long_response(page, poll_headers(reading.cursor, reading.age))


async def summary(request: Request) -> Response:
    """The channel's contents by phase; with `?view=list`, `[{"id","status"}]` of all. The latest first."""
    view = query_value(request, "view")
    if view not in (None, "list"):
        raise Invalid("view must be 'list' or left out", field="view")
    reading = await _read(request, counted=view is None)
    if (same := unchanged(request, reading.cursor, reading.age)) is not None:
        return same
    headers = poll_headers(reading.cursor, reading.age)
    if view is None:
        return json_response(await _summary(request, reading), headers=headers)
    if reading.next is not None:
        # Relative to this URL (RFC 8288, section 3.1), whose path a proxy may have changed. It repeats no ticket.
        headers["Link"] = f'<?view=list&limit={_limit(request)}&after={reading.next}>; rel="next"'
    return json_response(await _encoded(request, LIST_LINE, reading.cursor.epoch, reading.events), headers=headers)


async def changes(request: Request) -> Response:
    """`{"cursor","reset","events":[{"id","type","data"}]}`: what changed since a cursor; `wait` long-polls."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    since, wait = query_value(request, "since"), _wait(query_value(request, "wait"))
    spend = admit_reader(request, identity)
    hub, address = hub_of(request), address_of(request)
    if hub.stream_limit(identity, address):
        # A long poll counts as a stream. Where there is no room for one, the poll is answered immediately.
        wait = 0.0
    # An empty cursor counts as none, as on the stream.
    cursor = Cursor.parse(since) if since else None
    found = await while_connected(request, hub.changes(identity, address, channel, cursor, wait))
    if found is None:
        return Response(status_code=204)  # never sent: the client has disconnected
    if (same := unchanged(request, found.cursor, 0.0)) is not None:
        spend(1)
        return same
    spend(len(found.events))
    headers = poll_headers(found.cursor, 0.0)
    answer, epoch = Changes(cursor=str(found.cursor), reset=found.reset, events=NOTHING), found.cursor.epoch
    if len(found.events) > PAGE_CONTENTS or _are_long(found.events):
        return _in_parts(request, answer, (CHANGE_LINE.event(epoch, event) for event in found.events), headers)
    answer.events = await _encoded(request, CHANGE_LINE, epoch, found.events)
    return json_response(answer, headers=headers)


async def status_batch(request: Request) -> Response:
    """`{"statuses":[…]}`: the whole status of each content, in the order asked; unknown ones `not_found`."""
    identity = await identify(request)
    asked = (await read_json(request, _batch_decoder, limit=POLL_BODY_BYTES)).content_ids
    check_names(asked, "content_ids")
    admit_reader(request, identity)(len(asked))
    hub = hub_of(request)
    found = await hub.lookup(identity, asked, held_cursor(request))
    if (same := unchanged(request, found.cursor, found.age)) is not None:
        return same
    headers, epoch = poll_headers(found.cursor, found.age), found.cursor.epoch
    known = [event for event in found.events if event]
    if _are_long(known):
        lines = _statuses(asked, found.events, (BATCH_LINE.event(epoch, event) for event in known))
        return _in_parts(request, StatusBatch(statuses=NOTHING), lines, headers)
    lines = _statuses(asked, found.events, iter(hub.encodings.encode(BATCH_LINE, epoch, known)))
    return json_response(StatusBatch(statuses=_array(lines)), headers=headers)


def _statuses(asked: Sequence[str], events: Sequence[Event | None], known: Iterator[bytes]) -> Iterator[bytes]:
    """A line for each content asked for: the next of those of the `known` ones, or that of an unknown content."""
    return (next(known) if event else status.missing_line(id) for id, event in zip(asked, events, strict=True))


async def _read(request: Request, *, counted: bool) -> Reading:
    """The page of a channel that the request asks for, and may read."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    after = query_value(request, "after")
    page = PageRequest(
        limit=_limit(request), after=Cursor.parse(after, field="after") if after else None, counted=counted
    )
    spend = admit_reader(request, identity)
    reading = await hub_of(request).read(identity.tenant, channel, page, held_cursor(request))
    spend(1 if unchanged(request, reading.cursor, reading.age) else len(reading.events))
    return reading


def _limit(request: Request) -> int:
    text = query_value(request, "limit") or str(PAGE_CONTENTS)
    # More digits than a limit has would be a number that takes long to parse.
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= PAGE_CONTENTS):
        raise Invalid(f"limit must be a whole number from 1 to {PAGE_CONTENTS}", field="limit")
    return int(text)


def _next(reading: Reading) -> str | None:
    return None if reading.next is None else str(reading.next)


async def _encoded(request: Request, format: EventFormat, epoch: str, events: Sequence[Event]) -> msgspec.Raw:
    """A JSON array of these events in `format`."""
    return _array(await _encode_all(request, format, epoch, events))


async def _encode_all(request: Request, format: EventFormat, epoch: str, events: Sequence[Event]) -> list[bytes]:
    hub = hub_of(request)
    if len(events) <= STEP_EVENTS:
        return hub.encodings.encode(format, epoch, events)
    return await hub.scheduler.run(hub.encodings.encoding(format, epoch, events))


def _array(lines: Iterable[bytes]) -> msgspec.Raw:
    return msgspec.Raw(b"[%b]" % b",".join(lines))


def _are_long(events: Iterable[Event]) -> bool:
    """Whether these, encoded, are too much to be kept for a client that does not read."""
    return sum(len(event.data) for event in events) > PIECE_BYTES


def _in_parts(
    request: Request, answer: msgspec.Struct, lines: Iterator[bytes], headers: Mapping[str, str]
) -> StreamingResponse:
    """A long answer, whose lines are encoded as the client takes them. They belong into the last field of `answer`."""
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


async def _summary(request: Request, reading: Reading) -> Summary:
    encoded = await _encode_all(request, SUMMARY_LINE, reading.cursor.epoch, reading.events)
    lists: dict[Phase, list[bytes]] = {phase: [] for phase in Phase}
    for phase, line in zip(reading.phases, encoded, strict=True):
        lists[Phase.PROCESSING if phase is Phase.PENDING else phase].append(line)
    processing = reading.totals[Phase.PROCESSING] + reading.totals[Phase.PENDING]
    return Summary(
        processing_contents=_array(lists[Phase.PROCESSING]),
        completed_contents=_array(lists[Phase.COMPLETED]),
        failed_contents=_array(lists[Phase.FAILED]),
        has_processing=processing > 0,
        total_processing=processing,
        total_completed=reading.totals[Phase.COMPLETED],
        total_failed=reading.totals[Phase.FAILED],
        next=_next(reading),
    )


def _wait(text: str | None) -> float:
    try:
        wait = float(text or 0)
    except ValueError:
        wait = math.nan
    # Written so that NaN fails it too.
    if not 0 <= wait <= WAIT_SECONDS_MAX:
        raise Invalid(f"wait must be a number of seconds from 0 to {WAIT_SECONDS_MAX:g}", field="wait")
    return wait


class WholeLine:
    """A content's whole status."""

    def event(self, epoch: str, event: Event) -> bytes:
        return status.whole(event)


class ChangeLine:
    """A change."""

    def event(self, epoch: str, event: Event) -> bytes:
        cursor = Cursor(epoch=epoch, offset=event.offset)
        return _encode(ChangeEvent(id=str(cursor), type=event.type, data=msgspec.Raw(status.whole(event))))


class ListLine:
    """A content in a list."""

    def event(self, epoch: str, event: Event) -> bytes:
        return _encode(ListedStatus(id=event.content_id, status=CONTENT_STATUS[status.phase(event)]))


class SummaryLine:
    """A content in a summary."""

    def event(self, epoch: str, event: Event) -> bytes:
        return _encode(_summarized(event.content_id, status.read(event)))


WHOLE_LINE: Final[EventFormat] = WholeLine()
CHANGE_LINE: Final[EventFormat] = ChangeLine()
LIST_LINE: Final[EventFormat] = ListLine()
SUMMARY_LINE: Final[EventFormat] = SummaryLine()


def _summarized(id: str, said: status.Status) -> StatusLine:
    word, step = CONTENT_STATUS[said.phase], said.text("processing_status")
    if said.phase is Phase.FAILED:
        return FailedLine(id=id, status=word, processing_status=step, error_message=said.error_message)
    if said.phase in (Phase.PENDING, Phase.PROCESSING):
        return ProcessingLine(
            id=id,
            status=word,
            processing_status=step,
            progress=said.progress or 0,
            estimated_completion=said.estimated_completion,
        )
    return StatusLine(id=id, status=word, processing_status=step)


routes: Final = [
    Route("/api/contents/status/batch", status_batch, methods=["POST"]),
    Route("/api/contents/{channel_id:path}/status", summary),
    Route("/api/contents/{channel_id:path}/changes", changes),
    # A channel's name may hold slashes, so this path also matches those above and the stream's.
    Route("/api/contents/{channel_id:path}", contents),
]
"""To be added after the stream's routes."""
