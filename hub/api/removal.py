"""Removal on request: of some contents of a channel, or of all."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import Count, CursorText, NameText
from statushub.hub.http.body import POLL_BODY_BYTES, read_json
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.names import channel_of, check_names
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of, rate_limiter_of
from statushub.hub.model.errors import Invalid

REMOVED_IDS: Final = 100
"""Most contents that one request names: as many as a batch poll."""

Names = Annotated[list[NameText], msgspec.Meta(min_length=1, max_length=REMOVED_IDS)]


class RemoveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The contents to remove: either some of the channel's, or all."""

    content_ids: Names | msgspec.UnsetType = msgspec.UNSET
    all: (
        Annotated[
            bool,
            msgspec.Meta(
                description="All contents that the channel has when the request comes.",
                extra_json_schema={"const": True},
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class Removed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What was removed."""

    removed: Annotated[Count, msgspec.Meta(description="How many contents were removed.")]
    content_ids: Annotated[
        list[NameText] | msgspec.UnsetType,
        msgspec.Meta(description="Those of the named contents that were removed."),
    ] = msgspec.UNSET
    unknown: Annotated[
        list[NameText] | msgspec.UnsetType,
        msgspec.Meta(
            description="Those of the named contents that the channel does not have: unknown ones, ones that were "
            "removed before, and those of other channels."
        ),
    ] = msgspec.UNSET
    cursor: Annotated[
        CursorText, msgspec.Meta(description="That of the last removal, or, where there was none, the tenant's clock.")
    ]


_decoder = msgspec.json.Decoder(RemoveRequest)


async def remove(request: Request) -> Response:
    """`{"removed","content_ids","unknown","cursor"}`; with `{"all":true}`, `{"removed","cursor"}`."""
    identity = await identify(request)
    channel = channel_of(request)
    identity.check_write(channel, "channel_id")
    # A publisher that was just refused for its rate is refused here, too.
    rate_limiter_of(request).rate(identity.tenant, identity.publisher or address_of(request))
    asked = await read_json(request, _decoder, limit=POLL_BODY_BYTES)
    names = _names(asked)
    removal = await hub_of(request).remove(identity.tenant, channel, names)
    answer = Removed(removed=len(removal.removed), cursor=str(removal.cursor))
    if names is not None:
        gone = set(removal.removed)
        answer.content_ids = removal.removed
        answer.unknown = [name for name in dict.fromkeys(names) if name not in gone]
    return json_response(answer)


def _names(asked: RemoveRequest) -> list[str] | None:
    """The named contents; None for all. Raises `Invalid` where both are given, or neither."""
    names = asked.content_ids
    if isinstance(names, msgspec.UnsetType):
        if asked.all is not True:
            raise Invalid("give either content_ids or all, which is true", field="content_ids")
        return None
    if asked.all is not msgspec.UNSET:
        raise Invalid("give either content_ids or all, and not both", field="all")
    check_names(names, "content_ids")
    return names


routes: Final = [Route("/api/contents/{channel_id:path}/remove", remove, methods=["POST"])]
"""To be added before the route that takes any path as a channel."""
