"""The batch poll of contents by their ids, in the vocabulary of contents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.answers import are_long, array, in_parts
from statushub.hub.api.fields import NameText, lines_of
from statushub.hub.auth.identity import Identity
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import admit_reader, identify
from statushub.hub.http.names import check_names
from statushub.hub.http.response import (
    age_headers,
    body_response,
    held_cursor,
    json_response,
    poll_headers,
    unchanged,
)
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of
from statushub.hub.model import status
from statushub.hub.model.event import Event
from statushub.hub.replicas.polls import Lookup
from statushub.hub.sources.merge import merged
from statushub.hub.wire.batch import BATCH_LINE

BATCH_IDS: Final = 100
"""Most contents of one batch poll: a long page of cards, and an answer of a few tens of kilobytes."""


class StatusBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The contents asked for."""

    content_ids: Annotated[list[NameText], msgspec.Meta(min_length=1, max_length=BATCH_IDS)]


class StatusBatch(msgspec.Struct, forbid_unknown_fields=True):
    """A line for each content asked for, in that order."""

    statuses: Annotated[msgspec.Raw, lines_of("KnownContent", "UnknownContent", minItems=1, maxItems=BATCH_IDS)]


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(StatusBatchRequest)


async def status_batch(request: Request) -> Response:
    """`{"statuses":[…]}`: the whole status of each content, in the order asked; unknown ones `not_found`."""
    identity = await identify(request)
    asked = (await read_json(request, _decoder, limit=POLL_BODY_BYTES)).content_ids
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
    if are_long(known):
        lines = _statuses(asked, found.events, (BATCH_LINE.event(epoch, event) for event in known))
        return in_parts(request, StatusBatch(statuses=array(())), lines, headers)
    lines = _statuses(asked, found.events, iter(hub.encodings.encode(BATCH_LINE, epoch, known)))
    return json_response(StatusBatch(statuses=array(lines)), headers=headers)


def _statuses(asked: Sequence[str], events: Sequence[Event | None], known: Iterator[bytes]) -> Iterator[bytes]:
    """A line for each content asked for: the next of those of the `known` ones, or that of an unknown content."""
    return (next(known) if event else status.missing_line(id) for id, event in zip(asked, events, strict=True))


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
    answer = StatusBatch(statuses=array(lines))
    return body_response(request, answer, found.cursor, age_headers(found.age))


routes: Final = [Route("/api/contents/status/batch", status_batch, methods=["POST"])]
"""To be added before the route that takes any path as a channel."""
