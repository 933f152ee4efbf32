"""Polls of contents: a channel as a whole, in summary, or since a cursor; and single contents by their ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

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
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.disconnect import while_connected
from statushub.hub.http.names import channel_of, check_names
from statushub.hub.http.query import query_value
from statushub.hub.http.response import PIECE_BYTES, held_cursor, poll_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of
from statushub.hub.model import status
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Invalid
from statushub.hub.model.event import Event
from statushub.hub.model.names import BATCH_PATH
from statushub.hub.model.vocabulary import CONTENT_STATUS, Phase
from statushub.hub.replicas.row import Row
from statushub.hub.wire.batch import BATCH_LINE

BATCH_IDS: Final = 100
"""Most contents of one batch poll: a long page of cards, and an answer of a few tens of kilobytes."""

WAIT_SECONDS_MAX: Final = 25.0
"""Longest long poll: under the 30 seconds after which common proxies give an answer up."""


class Contents(msgspec.Struct, forbid_unknown_fields=True):
    """Every content of a channel; ask for changes since `cursor`."""

    contents: list[ContentData]
    cursor: CursorText


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
    """A channel's contents by phase, without those that are idle."""

    processing_contents: list[ProcessingLine]
    completed_contents: list[StatusLine]
    failed_contents: list[FailedLine]
    has_processing: bool
    total_processing: Count
    total_completed: Count
    total_failed: Count


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
    events: list[ChangeEvent]


class StatusBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The contents asked for."""

    content_ids: Annotated[list[NameText], msgspec.Meta(min_length=1, max_length=BATCH_IDS)]


class StatusBatch(msgspec.Struct, forbid_unknown_fields=True):
    """A line for each content asked for, in that order."""

    statuses: Annotated[
        Any,
        msgspec.Meta(
            extra_json_schema={
                "type": "array",
                "items": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/KnownContent"},
                        {"$ref": "#/components/schemas/UnknownContent"},
                    ]
                },
                "minItems": 1,
                "maxItems": BATCH_IDS,
            }
        ),
    ]


_batch_decoder = msgspec.json.Decoder(StatusBatchRequest)


async def contents(request: Request) -> Response:
    """`{"contents":[…],"cursor"}`: the whole status of each of the channel's contents, in offset order."""
    if request.path_params["channel_id"] == BATCH_PATH:
        # It would read a channel of this name, and hide the mistake.
        raise HTTPException(405, headers={"Allow": "POST"})
    tenant, channel = await _readable(request)
    reading = await hub_of(request).read(tenant, channel, held_cursor(request))
    return poll_response(
        request,
        reading.cursor,
        reading.age,
        lambda: Contents(contents=[status.whole(event) for event in reading.events], cursor=str(reading.cursor)),
        in_pieces=True,
    )


async def summary(request: Request) -> Response:
    """The channel's contents by phase; with `?view=list`, `[{"id","status"}]` of all."""
    tenant, channel = await _readable(request)
    view = query_value(request, "view")
    if view not in (None, "list"):
        raise Invalid("view must be 'list' or left out", field="view")
    reading = await hub_of(request).read(tenant, channel, held_cursor(request))
    answer = _listed if view == "list" else _summarized
    return poll_response(request, reading.cursor, reading.age, lambda: answer(reading.events))


async def changes(request: Request) -> Response:
    """`{"cursor","reset","events":[{"id","type","data"}]}`: what changed since a cursor; `wait` long-polls."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    since, wait = query_value(request, "since"), _wait(query_value(request, "wait"))
    hub, address = hub_of(request), address_of(request)
    if hub.stream_limit(identity, address):
        # A long poll counts as a stream. Where there is no room for one, the poll is answered immediately.
        wait = 0.0
    # An empty cursor counts as none, as on the stream.
    cursor = Cursor.parse(since) if since else None
    found = await while_connected(request, hub.changes(identity, address, channel, cursor, wait))
    if found is None:
        return Response(status_code=204)  # never sent: the client has disconnected
    return poll_response(
        request,
        found.cursor,
        0.0,
        lambda: Changes(
            cursor=str(found.cursor),
            reset=found.reset,
            events=[_change(found.cursor.epoch, event) for event in found.events],
        ),
        in_pieces=True,
    )


async def status_batch(request: Request) -> Response:
    """`{"statuses":[…]}`: the whole status of each content, in the order asked; unknown ones `not_found`."""
    identity = await identify(request)
    asked = (await read_json(request, _batch_decoder, limit=POLL_BODY_BYTES)).content_ids
    check_names(asked, "content_ids")
    found = await hub_of(request).lookup(identity, asked, held_cursor(request))
    return poll_response(
        request,
        found.cursor,
        found.age,
        lambda: StatusBatch(statuses=_lines(asked, found.rows, found.cursor.epoch)),
        in_pieces=True,
    )


async def _readable(request: Request) -> tuple[str, str]:
    """The tenant and the channel of a request that may read it."""
    identity, channel = await identify(request), channel_of(request)
    identity.check_read(channel, "channel_id")
    return identity.tenant, channel


def _lines(content_ids: Sequence[str], rows: Sequence[Row | None], epoch: str) -> msgspec.Raw | list[msgspec.Raw]:
    """A batch's lines; that of a known content is encoded once for all polls. Many bytes are not copied for each."""
    lines = [
        row.encoded(BATCH_LINE, epoch) if row else status.missing_line(content_id)
        for content_id, row in zip(content_ids, rows, strict=True)
    ]
    if sum(map(len, lines)) > PIECE_BYTES:
        return [msgspec.Raw(line) for line in lines]
    return msgspec.Raw(b"[%b]" % b",".join(lines))


def _wait(text: str | None) -> float:
    try:
        wait = float(text or 0)
    except ValueError:
        wait = math.nan
    # Written so that NaN fails it too.
    if not 0 <= wait <= WAIT_SECONDS_MAX:
        raise Invalid(f"wait must be a number of seconds from 0 to {WAIT_SECONDS_MAX:g}", field="wait")
    return wait


def _change(epoch: str, event: Event) -> ChangeEvent:
    cursor = Cursor(epoch=epoch, offset=event.offset)
    return ChangeEvent(id=str(cursor), type=event.type, data=status.whole(event))


def _listed(events: Iterable[Event]) -> list[ListedStatus]:
    return [ListedStatus(id=event.content_id, status=CONTENT_STATUS[status.read(event).phase]) for event in events]


def _summarized(events: Iterable[Event]) -> Summary:
    processing: list[ProcessingLine] = []
    completed: list[StatusLine] = []
    failed: list[FailedLine] = []
    for event in events:
        said = status.read(event)
        id, word, step = event.content_id, CONTENT_STATUS[said.phase], said.text("processing_status")
        if said.phase is Phase.COMPLETED:
            completed.append(StatusLine(id=id, status=word, processing_status=step))
        elif said.phase is Phase.FAILED:
            failed.append(FailedLine(id=id, status=word, processing_status=step, error_message=said.error_message))
        elif said.phase is not Phase.IDLE:
            processing.append(
                ProcessingLine(
                    id=id,
                    status=word,
                    processing_status=step,
                    progress=said.progress or 0,
                    estimated_completion=said.estimated_completion,
                )
            )
    return Summary(
        processing_contents=processing,
        completed_contents=completed,
        failed_contents=failed,
        has_processing=bool(processing),
        total_processing=len(processing),
        total_completed=len(completed),
        total_failed=len(failed),
    )


routes: Final = [
    Route("/api/contents/status/batch", status_batch, methods=["POST"]),
    Route("/api/contents/{channel_id:path}/status", summary),
    Route("/api/contents/{channel_id:path}/changes", changes),
    # A channel's name may hold slashes, so this path also matches those above and the stream's.
    Route("/api/contents/{channel_id:path}", contents),
]
"""To be added after the stream's routes."""
