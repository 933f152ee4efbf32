"""Polls of contents: a channel by pages, whole or in summary, or since a cursor; and single contents by their ids."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Annotated, Any, Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from statushub.hub.api.fields import (
    ContentData,
    Count,
    CursorText,
    NameText,
    PlaceText,
)
from statushub.hub.api.lines import CHANGE_LINE, LIST_LINE, SUMMARY_LINE, WHOLE_LINE, listed_status, status_line
from statushub.hub.api.matching import matching, together
from statushub.hub.api.polling import count_polling
from statushub.hub.auth.identity import Identity
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import address_of, admit_reader, identify
from statushub.hub.http.disconnect import while_connected
from statushub.hub.http.names import channel_of, check_names
from statushub.hub.http.query import limit_of, query_value
from statushub.hub.http.response import (
    PIECE_BYTES,
    age_headers,
    body_response,
    held_cursor,
    json_response,
    long_response,
    poll_headers,
    unchanged,
)
from statushub.hub.http.resume import resume_cursor
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of
from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event
from statushub.hub.model.names import BATCH_PATH
from statushub.hub.model.vocabulary import Phase
from statushub.hub.replicas.encodings import Encodings
from statushub.hub.replicas.polls import Lookup, PageRequest, Reading
from statushub.hub.replicas.scheduler import STEP_EVENTS, Scheduler
from statushub.hub.sources.listing import Listed, Listing
from statushub.hub.sources.merge import merged
from statushub.hub.sources.place import Place, parse_place
from statushub.hub.sources.record import Totals, totals_of
from statushub.hub.viewers.long_poll import Changes as Found
from statushub.hub.wire.batch import BATCH_LINE
from statushub.hub.wire.format import EventFormat

BATCH_IDS: Final = 100
"""Most contents of one batch poll: a long page of cards, and an answer of a few tens of kilobytes."""

PAGE_CONTENTS: Final = 1_000
"""Most contents of a page, and as many where no limit is given: some 300 KB, and a channel of 100,000 in 100 pages."""

POSTED: Final = frozenset({"remove", "cancel"})
"""Last segments of the routes of a channel that are only posted to. No channel has such a name."""

WAIT_SECONDS_MAX: Final = 25.0
"""Longest long poll: under the 30 seconds after which common proxies give an answer up."""


def _lines_of(*names: str, **more: Any) -> msgspec.Meta:
    """Says of raw JSON that it is a list of these components."""
    components = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    items = components[0] if len(components) == 1 else {"oneOf": components}
    return msgspec.Meta(extra_json_schema={"type": "array", "items": items, **more})


NextPlace = Annotated[
    PlaceText | None,
    msgspec.Meta(description="`after` of the next page; null where this is the last one."),
]


class Contents(msgspec.Struct, forbid_unknown_fields=True):
    """A page of a channel's contents, the latest first; ask for changes since the first page's `cursor`."""

    contents: Annotated[list[ContentData], msgspec.Meta(max_length=PAGE_CONTENTS)]
    cursor: CursorText
    next: NextPlace


class Summary(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A page of a channel's contents by phase, without those that are idle. The totals are those of the channel."""

    processing_contents: Annotated[msgspec.Raw, _lines_of("ProcessingLine", maxItems=PAGE_CONTENTS)]
    completed_contents: Annotated[msgspec.Raw, _lines_of("StatusLine", maxItems=PAGE_CONTENTS)]
    failed_contents: Annotated[msgspec.Raw, _lines_of("FailedLine", maxItems=PAGE_CONTENTS)]
    has_processing: bool
    total_processing: Count
    total_completed: Count
    total_failed: Count
    next: NextPlace


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


T = TypeVar("T")

NOTHING: Final = msgspec.Raw(b"[]")

_encode = msgspec.json.Encoder().encode
_batch_decoder = msgspec.json.Decoder(StatusBatchRequest)


async def contents(request: Request) -> Response:
    """`{"contents":[…],"cursor","next"}`: the whole status of each of the channel's contents, the latest first."""
    path = request.path_params["channel_id"]
    if path == BATCH_PATH or path.rpartition("/")[2] in POSTED:
        # It would read a channel of this name, and hide the mistake.
        raise HTTPException(405, headers={"Allow": "POST"})
    if (listing := hub_of(request).listing) is not None:
        return await _listed_contents(request, listing)
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
    if (listing := hub_of(request).listing) is not None:
        return await _listed_summary(request, listing, view)
    reading = await _read(request, counted=view is None)
    if (same := unchanged(request, reading.cursor, reading.age)) is not None:
        return same
    headers = poll_headers(reading.cursor, reading.age)
    if view is None:
        work = _summary(hub_of(request).encodings, reading)
        return json_response(await _worked(request, work, len(reading.events)), headers=headers)
    if reading.next is not None:
        headers["Link"] = _next_link(request, reading.next)
    return json_response(await _encoded(request, LIST_LINE, reading.cursor.epoch, reading.events), headers=headers)


async def changes(request: Request) -> Response:
    """`{"cursor","reset","events":[{"id","type","data"}]}`: what changed since a cursor; `wait` long-polls."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    return await _changes(request, identity, partial(hub_of(request).changes, identity, address_of(request), channel))


async def matching_changes(request: Request) -> Response:
    """As `changes`, of all channels that `?match=` and `?channel=` name and the token reads, with one cursor."""
    identity = await identify(request)
    channels, patterns = matching(request)
    if patterns is None:
        raise Invalid(
            "match must be given: the changes of a channel are at /api/contents/{channel_id}/changes", field="match"
        )
    for channel in channels:
        identity.check_read(channel, "channel")
    named = together(channels, patterns)
    changes = partial(hub_of(request).changes_matching, identity, address_of(request), named)
    return await _changes(request, identity, changes)


async def _changes(
    request: Request, identity: Identity, changes: Callable[[Cursor | None, float], Coroutine[Any, Any, Found]]
) -> Response:
    """What `changes` finds after a cursor, in so many seconds."""
    since, wait = query_value(request, "since"), wait_of(query_value(request, "wait"))
    spend = admit_reader(request, identity)
    hub, address = hub_of(request), address_of(request)
    count_polling(request, hub.counts)
    if hub.stream_limit(identity, address):
        # A long poll counts as a stream. Where there is no room for one, the poll is answered immediately.
        wait = 0.0
    cursor = resume_cursor(request, since)
    found = await while_connected(request, changes(cursor, wait))
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
    if hub.record is not None:
        return await _recorded_batch(request, identity, asked, found)
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
        limit=limit_of(request, PAGE_CONTENTS),
        after=Cursor.parse(after, field="after") if after else None,
        counted=counted,
    )
    spend = admit_reader(request, identity)
    reading = await hub_of(request).read(identity.tenant, channel, page, held_cursor(request))
    spend(1 if unchanged(request, reading.cursor, reading.age) else len(reading.events))
    return reading


async def _listed_contents(request: Request, listing: Listing) -> Response:
    """As `contents`, with the rows of the record."""
    found = await _list(request, listing, counted=False)
    contents = [msgspec.Raw(_encode(content.data)) for content in found.contents]
    page = Contents(contents=contents, cursor=str(found.cursor), next=_next(found))
    return body_response(request, page, found.cursor, age_headers(found.age))


async def _listed_summary(request: Request, listing: Listing, view: str | None) -> Response:
    """As `summary`, with the rows of the record."""
    found = await _list(request, listing, counted=view is None)
    headers = age_headers(found.age)
    if view is not None:
        if found.next is not None:
            headers["Link"] = _next_link(request, found.next)
        listed = [listed_status(content.data["id"], content.phase) for content in found.contents]
        return body_response(request, listed, found.cursor, headers)
    lists: dict[Phase, list[bytes]] = {phase: [] for phase in Phase}
    for content in found.contents:
        phase = Phase.PROCESSING if content.phase is Phase.PENDING else content.phase
        lists[phase].append(_encode(status_line(content.data["id"], content)))
    return body_response(request, _summed(lists, found.totals, _next(found)), found.cursor, headers)


async def _list(request: Request, listing: Listing, *, counted: bool) -> Listed:
    """The page that the request asks for, and may read, with the rows of the record."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    after = query_value(request, "after")
    place = parse_place(after) if after else Place()
    limit = limit_of(request, PAGE_CONTENTS)
    spend = admit_reader(request, identity)
    found = await listing.read(identity.tenant, channel, place, limit, counted=counted, known=held_cursor(request))
    spend(max(len(found.contents), 1))
    return found


async def _recorded_batch(request: Request, identity: Identity, asked: Sequence[str], found: Lookup) -> Response:
    """As `status_batch`, with the rows of the record."""
    # One of a channel that may not be read is asked for, too, so that it takes as long as an unknown one.
    rows = await hub_of(request).rows(identity, asked)
    lines = [
        _encode(merged(rows.get(id), event).data)
        if event is not None or (id in rows and id not in found.hidden)
        else status.missing_line(id)
        for id, event in zip(asked, found.events, strict=True)
    ]
    answer = StatusBatch(statuses=_array(lines))
    return body_response(request, answer, found.cursor, age_headers(found.age))


def _next(reading: Reading | Listed) -> str | None:
    return None if reading.next is None else str(reading.next)


def _next_link(request: Request, after: Cursor | Place) -> str:
    # Relative to this URL (RFC 8288, section 3.1), whose path a proxy may have changed. It repeats no ticket.
    return f'<?view=list&limit={limit_of(request, PAGE_CONTENTS)}&after={after}>; rel="next"'


async def _encoded(request: Request, format: EventFormat, epoch: str, events: Sequence[Event]) -> msgspec.Raw:
    """A JSON array of these events in `format`."""
    return _array(await _encode_all(request, format, epoch, events))


async def _encode_all(request: Request, format: EventFormat, epoch: str, events: Sequence[Event]) -> list[bytes]:
    return await _worked(request, hub_of(request).encodings.encoding(format, epoch, events), len(events))


async def _worked(request: Request, work: Generator[None, None, T], events: int) -> T:
    """What work on so many events returns: that on a few is done immediately, the other in its turns."""
    if events > STEP_EVENTS:
        return await hub_of(request).scheduler.run(work)
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


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


def _summary(encodings: Encodings, reading: Reading) -> Generator[None, None, msgspec.Raw]:
    """The body of a summary, in steps."""
    encoded = yield from encodings.encoding(SUMMARY_LINE, reading.cursor.epoch, reading.events)
    lists: dict[Phase, list[bytes]] = {phase: [] for phase in Phase}
    for phase, line in zip(reading.phases, encoded, strict=True):
        lists[Phase.PROCESSING if phase is Phase.PENDING else phase].append(line)
    return msgspec.Raw(_encode(_summed(lists, totals_of(reading.totals), _next(reading))))


def _summed(lists: Mapping[Phase, Sequence[bytes]], totals: Totals, next: str | None) -> Summary:
    return Summary(
        processing_contents=_array(lists[Phase.PROCESSING]),
        completed_contents=_array(lists[Phase.COMPLETED]),
        failed_contents=_array(lists[Phase.FAILED]),
        has_processing=totals.total_processing > 0,
        total_processing=totals.total_processing,
        total_completed=totals.total_completed,
        total_failed=totals.total_failed,
        next=next,
    )


def wait_of(text: str | None) -> float:
    """The seconds of a long poll. Raises `Invalid`."""
    try:
        wait = float(text or 0)
    except ValueError:
        wait = math.nan
    # Written so that NaN fails it too.
    if not 0 <= wait <= WAIT_SECONDS_MAX:
        raise Invalid(f"wait must be a number of seconds from 0 to {WAIT_SECONDS_MAX:g}", field="wait")
    return wait


routes: Final = [
    Route("/api/contents/status/batch", status_batch, methods=["POST"]),
    Route("/api/contents/{channel_id:path}/status", summary),
    Route("/api/contents/{channel_id:path}/changes", changes),
    Route("/api/changes", matching_changes),
    # A channel's name may hold slashes, so this path also matches those above and the stream's.
    Route("/api/contents/{channel_id:path}", contents),
]
"""To be added after the stream's routes."""
