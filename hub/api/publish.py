"""Publishing over HTTP, for producers that cannot reach the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import Count, CursorText, NameText, component
from statushub.hub.auth.identity import Identity
from statushub.hub.config import Config
from statushub.hub.http.body import read_json
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import config_of, hub_of, rate_limiter_of
from statushub.hub.model.cancel import CancelRequest
from statushub.hub.model.cursor import COUNTER_MAX
from statushub.hub.model.delta import GROWN_FIELDS, GROWN_ITEMS
from statushub.hub.model.errors import Forbidden, Invalid, TooManyRequests
from statushub.hub.model.names import NAME_CHARACTERS
from statushub.hub.model.publication import (
    BATCH_EVENTS,
    LEASE_SECONDS_MAX,
    RUN_CHARACTERS,
    Publication,
    publication,
)
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.hub.model.vocabulary import COMPLETE, ERROR, RESERVED_TYPES, STALLED

_COUNTER: Final = {"type": ["integer", "null"], "minimum": 0, "maximum": COUNTER_MAX}


class PublishRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An event to publish."""

    # Of any type: `publication` checks the fields, with messages of its own.
    channel: Annotated[Any, component("Name")]
    content_id: Annotated[
        Any, component("Name"), msgspec.Meta(description="Unique in the tenant. A content lives in one channel.")
    ]
    data: Annotated[
        Any,
        msgspec.Meta(description="The whole state. Missing where there is a `delta`."),
        component("PublishedData"),
    ] = msgspec.UNSET
    type: Annotated[
        Any,
        msgspec.Meta(
            description="Follows from the status where it is missing. A status that ends the work has its own type, "
            f"`{COMPLETE}` or `{ERROR}`, and no other. Reserved are `{'`, `'.join(sorted(RESERVED_TYPES))}`.",
            extra_json_schema={
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": NAME_CHARACTERS,
                "pattern": "^[A-Za-z0-9_.:-]+$",
                "not": {"enum": sorted(RESERVED_TYPES)},
            },
        ),
    ] = None
    attempt: Annotated[
        Any,
        msgspec.Meta(
            description="Which run of the work on this content. A lower one than the content's is refused; a higher "
            "one reopens the content.",
            extra_json_schema=_COUNTER,
        ),
    ] = None
    seq: Annotated[
        Any,
        msgspec.Meta(
            description="The producer's counter within the attempt. It must grow; a repeat is accepted and not stored "
            "again.",
            extra_json_schema=_COUNTER,
        ),
    ] = None
    lease: Annotated[
        Any,
        msgspec.Meta(
            description=f"Seconds within which another event must come, or the content ends as `{STALLED}`; 0 is none. "
            "By default that of the hub.",
            extra_json_schema={"type": ["number", "null"], "minimum": 0, "maximum": LEASE_SECONDS_MAX},
        ),
    ] = None
    run: Annotated[
        Any,
        msgspec.Meta(
            description="Names this try of the work, at random. A run that began later than the content's opens the "
            "next attempt, and former runs are refused. Not together with `attempt`.",
            extra_json_schema={
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": RUN_CHARACTERS,
                "pattern": "^[A-Za-z0-9_.:/-]+$",
            },
        ),
    ] = None
    age_ms: Annotated[
        Any,
        msgspec.Meta(
            description="For how many milliseconds the run has been running, by the worker's monotonic clock, when "
            "this is sent.",
            extra_json_schema=_COUNTER,
        ),
    ] = None
    restart: Annotated[
        Any,
        msgspec.Meta(
            description="The run opens the next attempt although the last one has ended: a content runs again, or goes "
            "on after its lease ran out. With a `seq` a repeated request opens only one.",
            extra_json_schema={"type": ["boolean", "null"]},
        ),
    ] = None
    delta: Annotated[
        Any,
        msgspec.Meta(
            description="In the place of `data`: what changed in the open attempt, which is processed, since the event "
            "with the seq `follows`. `set` has fields with their new values, `append` texts and lists with what is "
            "appended to them. It needs a `seq` over `follows`.",
            extra_json_schema={
                "type": ["object", "null"],
                "required": ["follows"],
                "additionalProperties": False,
                "minProperties": 2,
                "properties": {
                    "follows": {"type": "integer", "minimum": 0, "maximum": COUNTER_MAX},
                    "set": {"type": ["object", "null"], "maxProperties": GROWN_FIELDS},
                    "append": {
                        "type": ["object", "null"],
                        "maxProperties": GROWN_FIELDS,
                        "additionalProperties": {"type": ["string", "array"], "maxItems": GROWN_ITEMS},
                    },
                },
            },
        ),
    ] = None


_Event = Annotated[
    PublishRequest, msgspec.Meta(extra_json_schema={"oneOf": [{"required": ["data"]}, {"required": ["delta"]}]})
]

Events = Annotated[list[_Event], msgspec.Meta(min_length=1, max_length=BATCH_EVENTS)]


class PublishBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Events to publish, all or none."""

    events: Events


class _Body(PublishRequest, kw_only=True):
    """Either of the two, which JSON does not tell apart before it is decoded."""

    channel: Any = msgspec.UNSET
    content_id: Any = msgspec.UNSET
    events: Events | msgspec.UnsetType = msgspec.UNSET


class Accepted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An event is stored; `content_id` is given for each event of a batch."""

    content_id: NameText | msgspec.UnsetType = msgspec.UNSET
    accepted: Annotated[bool, msgspec.Meta(extra_json_schema={"const": True})]
    cursor: CursorText
    attempt: Annotated[Count, msgspec.Meta(description="The attempt that the event belongs to.")]
    cancel_requested: (
        Annotated[CancelRequest, msgspec.Meta(description="The attempt is to be cancelled.")] | msgspec.UnsetType
    ) = msgspec.UNSET


class Refused(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An event is not stored; `content_id` is given for each event of a batch."""

    content_id: NameText | msgspec.UnsetType = msgspec.UNSET
    accepted: Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})]
    reason: Annotated[
        Refusal,
        msgspec.Meta(
            description="`superseded`: a later run or attempt, or a later seq, is stored. `closed`: the attempt has "
            "ended. `wrong_channel`: the content lives in another channel. `quota_exceeded`: the tenant or the channel "
            "stores as much as it may. `removed`: the content was removed on request, and this belongs to what was "
            "removed. `unknown`: a delta of a content that is not known. `gap`: a delta that does not follow the "
            "content's last event. `too_large`: a delta that would have the content grow beyond its limits. "
            "`occupied`: another program's key lies in the broker where the content would."
        ),
    ]
    channel: Annotated[
        NameText | msgspec.UnsetType,
        msgspec.Meta(
            description="The content's channel, where `wrong_channel` is the reason and the token reads or writes it."
        ),
    ] = msgspec.UNSET
    seq: Annotated[
        Count | msgspec.UnsetType,
        msgspec.Meta(description="The content's last seq, where `gap` is the reason and there is one."),
    ] = msgspec.UNSET


class Results(msgspec.Struct, forbid_unknown_fields=True):
    """What became of each event of a batch, in its order."""

    results: Annotated[
        list[Any],
        msgspec.Meta(
            min_length=1,
            max_length=BATCH_EVENTS,
            extra_json_schema={"items": {"$ref": "#/components/schemas/Result", "required": ["content_id"]}},
        ),
    ]


_decoder = msgspec.json.Decoder(_Body)
_single = _Body()


async def publish(request: Request) -> Response:
    """`{"accepted":true,"cursor","attempt"}` or `{"accepted":false,"reason"}`; for a batch `{"results":[…]}`, in order.

    One invalid event refuses the whole body: nothing is stored.
    """
    identity = await identify(request)
    settings, limiter = config_of(request), rate_limiter_of(request)
    publisher = identity.publisher or address_of(request)
    rate = limiter.rate(identity.tenant, publisher)
    body = await read_json(request, _decoder)
    events = body.events
    if isinstance(events, msgspec.UnsetType):
        _check_complete(body)
        publications = [_publication(body, identity, settings)]
    else:
        _check_batch(body)
        publications = _publications(events, identity, settings)
    try:
        receipts = await hub_of(request).publish(identity.tenant, publications, rate)
    except TooManyRequests as error:
        limiter.refused(identity.tenant, publisher, error)
        raise
    if isinstance(events, msgspec.UnsetType):
        return json_response(_result(receipts[0], identity))
    pairs = zip(publications, receipts, strict=True)
    results = [_result(receipt, identity, made.content_id) for made, receipt in pairs]
    return json_response(Results(results=results))


def _check_complete(body: _Body) -> None:
    for name in ("channel", "content_id"):
        if getattr(body, name) is msgspec.UNSET:
            raise Invalid(f"{name} is missing", field=name)


def _check_batch(body: _Body) -> None:
    for name in PublishRequest.__struct_fields__:
        if getattr(body, name) is not getattr(_single, name):
            raise Invalid(f"{name} is a field of each of events, not of the body", field=name)


def _publications(requests: Sequence[PublishRequest], identity: Identity, settings: Config) -> list[Publication]:
    publications: list[Publication] = []
    # Its length is the index of the event that fails.
    try:
        for request in requests:
            publications.append(_publication(request, identity, settings))  # noqa: PERF401
    except (Forbidden, Invalid) as error:
        raise _located(error, f"events[{len(publications)}].{error.field}") from error
    return publications


def _located(error: Forbidden | Invalid, field: str) -> Forbidden | Invalid:
    """The same error with the full path of its field, such as `events[3].data.status`."""
    return type(error)(error.message.replace(str(error.field), field, 1), field=field, limit=error.limit)


def _publication(request: PublishRequest, identity: Identity, settings: Config) -> Publication:
    if request.data is msgspec.UNSET and request.delta is None:
        raise Invalid("data is missing", field="data")
    made = publication(
        channel=request.channel,
        content_id=request.content_id,
        data=None if request.data is msgspec.UNSET else request.data,
        type=request.type,
        attempt=request.attempt,
        seq=request.seq,
        lease=request.lease,
        run=request.run,
        age_ms=request.age_ms,
        restart=request.restart,
        delta=request.delta,
        max_bytes=settings.max_event,
    )
    for name, value in (("channel", made.channel), ("content_id", made.content_id)):
        if len(value) > settings.max_name:
            raise Invalid(
                f"{name} has {len(value)} characters; this hub allows at most {settings.max_name}",
                field=name,
                limit="name",
            )
    identity.check_write(made.channel, "channel")
    return made


def _result(
    receipt: Receipt, identity: Identity, content_id: str | msgspec.UnsetType = msgspec.UNSET
) -> Accepted | Refused:
    if receipt.reason is not None:
        there = receipt.channel
        known = there is not None and (identity.may_read(there) or identity.may_write(there))
        channel = there if there is not None and known else msgspec.UNSET
        seq = msgspec.UNSET if receipt.seq is None else receipt.seq
        return Refused(content_id=content_id, accepted=False, reason=receipt.reason, channel=channel, seq=seq)
    return Accepted(
        content_id=content_id,
        accepted=True,
        cursor=str(receipt.cursor),
        attempt=receipt.attempt or 0,
        cancel_requested=msgspec.UNSET if receipt.cancel is None else receipt.cancel,
    )


routes: Final = [Route("/api/publish", publish, methods=["POST"])]
