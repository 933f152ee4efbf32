"""Requests to cancel the work on a content, and the poll by which workers learn of them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import Count, CursorText, NameText
from statushub.hub.brokers.contract import Cancel
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.disconnect import while_connected
from statushub.hub.http.names import channel_of
from statushub.hub.http.query import query_value, wait_of
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of, rate_limiter_of
from statushub.hub.model.cancel import REASON_CHARACTERS, CancelRequest, check_reason
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.errors import Ended, Forbidden, NotFound
from statushub.hub.model.names import check_name
from statushub.hub.model.receipt import CancelRefusal
from statushub.hub.model.timestamp import timestamp

_NO_STORE: Final = {"Cache-Control": "no-store"}


class CancelContentRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The content whose work is to be cancelled."""

    content_id: NameText
    reason: (
        Annotated[
            str,
            msgspec.Meta(
                max_length=REASON_CHARACTERS,
                description="Shown to viewers and to the worker. Printable.",
                extra_json_schema={"pattern": "^[^\\u0000-\\u001f\\u007f-\\u00a0\\u2028\\u2029]*$"},
            ),
        ]
        | None
    ) = None


class CancelAccepted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The request is in force. The first one for an attempt stands, so that it may be another one's."""

    cursor: Annotated[CursorText, msgspec.Meta(description="With which the request was announced.")]
    cancel_requested: CancelRequest


class ListedCancel(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request to cancel that is in force."""

    channel: NameText
    content_id: NameText
    attempt: Annotated[Count, msgspec.Meta(description="The attempt that is to be cancelled.")]
    cancel_requested: CancelRequest


class CancelList(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Requests to cancel that are in force, in no order."""

    cursor: Annotated[CursorText, msgspec.Meta(description="`since` of the next poll.")]
    cancels: list[ListedCancel]


_decoder = msgspec.json.Decoder(CancelContentRequest)


async def cancel(request: Request) -> Response:
    """`{"cursor","cancel_requested"}`: ask for the work on a content to be cancelled."""
    identity = await identify(request)
    channel = channel_of(request)
    identity.check_cancel(channel, "channel_id")
    rate_limiter_of(request).rate(identity.tenant, identity.publisher or address_of(request))
    asked = await read_json(request, _decoder, limit=POLL_BODY_BYTES)
    content_id = check_name(asked.content_id, "content_id")
    wish = CancelRequest(by=identity.sub, at=timestamp(), reason=check_reason(asked.reason))
    receipt = await hub_of(request).cancel(identity.tenant, channel, content_id, wish)
    if receipt.reason is CancelRefusal.ENDED:
        raise Ended("the content has ended; there is nothing to cancel", field="content_id")
    if receipt.cursor is None:
        raise NotFound("the channel has no such content", field="content_id")
    return json_response(
        CancelAccepted(cursor=str(receipt.cursor), cancel_requested=receipt.request or wish), headers=_NO_STORE
    )


async def cancels(request: Request) -> Response:
    """`{"cursor","cancels":[…]}`: the requests in the channels that the token writes; `wait` long-polls."""
    identity, hub = await identify(request), hub_of(request)
    if not identity.write.texts:
        raise Forbidden("this token writes no channel, so that nothing of its own can be cancelled", field="write")
    since, wait = query_value(request, "since"), wait_of(request)
    cursor = None if since is None else Cursor.parse(since)
    waiting = hub.cancels(identity.tenant, cursor, wait, wanted=lambda it: identity.may_write(it.channel))
    found = await while_connected(request, waiting)
    if found is None:
        return Response(status_code=204)  # never sent: the client has disconnected
    listed = [_listed(it) for it in found.cancels]
    return json_response(CancelList(cursor=str(found.cursor), cancels=listed), headers=_NO_STORE)


def _listed(it: Cancel) -> ListedCancel:
    return ListedCancel(channel=it.channel, content_id=it.content_id, attempt=it.attempt, cancel_requested=it.request)


routes: Final = [
    Route("/api/contents/{channel_id:path}/cancel", cancel, methods=["POST"]),
    Route("/api/cancels", cancels),
]
"""To be added before the route that takes any path as a channel."""
