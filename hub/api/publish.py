"""Publishing over HTTP, for producers that cannot reach the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from statushub.hub.auth.identity import Identity
from statushub.hub.config import Config
from statushub.hub.http.body import read_json
from statushub.hub.http.client import address_of, identify
from statushub.hub.http.response import json_response
from statushub.hub.http.state import config_of, hub_of, rate_limiter_of
from statushub.hub.model.errors import Forbidden, Invalid, TooLarge
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.receipt import Receipt

BATCH_EVENTS: Final = 1_000
"""Most events of one publish: a second of a busy producer, and a few milliseconds of the broker's time."""


class _Offer(msgspec.Struct, forbid_unknown_fields=True):
    """An event as it is offered. `publication` checks the fields, in words of its own."""

    channel: Any = msgspec.UNSET
    content_id: Any = msgspec.UNSET
    data: Any = msgspec.UNSET
    type: Any = None
    attempt: Any = None
    seq: Any = None
    lease: Any = None


class _Body(_Offer, forbid_unknown_fields=True):
    """One event, or many."""

    events: Annotated[list[_Offer], msgspec.Meta(min_length=1, max_length=BATCH_EVENTS)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


_decoder = msgspec.json.Decoder(_Body)
_single = _Body()


async def publish(request: Request) -> Response:
    """`{"accepted":true,"cursor"}` or `{"accepted":false,"reason"}`; `{"results":[…]}` for many, in order.

    One event at fault refuses the whole body: nothing is stored.
    """
    identity = await identify(request)
    settings, rates = config_of(request), rate_limiter_of(request)
    publisher = identity.publisher or address_of(request)
    # Before the body is read, too: whoever publishes too much costs no more than this.
    rates.spend(publisher, 0)
    body = await read_json(request, _decoder)
    events = body.events
    if isinstance(events, msgspec.UnsetType):
        publications = [_publication(body, identity, settings)]
    else:
        _check_alone(body)
        publications = _publications(events, identity, settings)
    rates.spend(publisher, len(publications))
    receipts = await hub_of(request).publish(identity.tenant, publications)
    if isinstance(events, msgspec.UnsetType):
        return json_response(_result(receipts[0]))
    results = zip(publications, receipts, strict=True)
    return json_response({"results": [{"content_id": p.content_id} | _result(receipt) for p, receipt in results]})


def _check_alone(body: _Body) -> None:
    for name in _Offer.__struct_fields__:
        if getattr(body, name) is not getattr(_single, name):
            raise Invalid(f"{name} belongs into each of events, not beside them", field=name)


def _publications(offers: Sequence[_Offer], identity: Identity, settings: Config) -> list[Publication]:
    publications: list[Publication] = []
    # Its length tells which one failed.
    try:
        for offer in offers:
            publications.append(_publication(offer, identity, settings))  # noqa: PERF401
    except (Forbidden, Invalid) as error:
        raise _located(error, f"events[{len(publications)}].{error.field}") from error
    return publications


def _located(error: Forbidden | Invalid, field: str) -> Forbidden | Invalid:
    """The same error with the full path of its field, such as `events[3].data.status`."""
    return type(error)(error.message.replace(str(error.field), field, 1), field=field, limit=error.limit)


def _publication(offer: _Offer, identity: Identity, settings: Config) -> Publication:
    for name in ("channel", "content_id", "data"):
        if getattr(offer, name) is msgspec.UNSET:
            raise Invalid(f"{name} is missing", field=name)
    made = publication(
        channel=offer.channel,
        content_id=offer.content_id,
        data=offer.data,
        type=offer.type,
        attempt=offer.attempt,
        seq=offer.seq,
        lease=offer.lease,
    )
    for name, value in (("channel", made.channel), ("content_id", made.content_id)):
        if len(value) > settings.max_name:
            raise Invalid(
                f"{name} has {len(value)} characters; here at most {settings.max_name} are allowed",
                field=name,
                limit="name",
            )
    if len(made.data) > settings.max_event:
        raise TooLarge(
            f"data has {len(made.data)} bytes; here at most {settings.max_event} are allowed",
            field="data",
            limit="event",
        )
    identity.check_write(made.channel, "channel")
    return made


def _result(receipt: Receipt) -> dict[str, object]:
    if receipt.cursor is not None:
        return {"accepted": True, "cursor": str(receipt.cursor)}
    return {"accepted": False, "reason": receipt.reason}


routes: Final = [Route("/api/publish", publish, methods=["POST"])]
