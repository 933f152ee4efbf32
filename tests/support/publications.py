"""Publications for tests, and their receipts."""

from __future__ import annotations

from collections.abc import Mapping

from statushub.hub.brokers.contract import Broker
from statushub.hub.model.cursor import Cursor
from statushub.hub.model.publication import Publication, publication
from statushub.hub.model.receipt import Receipt
from statushub.hub.model.vocabulary import Phase

CHANNEL = "films"


def update(
    content_id: str,
    status: str = "generating",
    *,
    channel: str = CHANNEL,
    attempt: int | None = None,
    seq: int | None = None,
    lease: float | None = None,
    run: str | None = None,
    age_ms: int | None = None,
    restart: bool | None = None,
    **data: object,
) -> Publication:
    """A publication with this status, on `CHANNEL` unless another one is given."""
    return publication(
        channel=channel,
        content_id=content_id,
        data={"status": status, **data},
        attempt=attempt,
        seq=seq,
        lease=lease,
        run=run,
        age_ms=age_ms,
        restart=restart,
    )


def grown(
    content_id: str,
    *,
    seq: int,
    follows: int | None = None,
    channel: str = CHANNEL,
    attempt: int | None = None,
    lease: float | None = None,
    run: str | None = None,
    age_ms: int | None = None,
    sets: Mapping[str, object] | None = None,
    **appends: object,
) -> Publication:
    """A delta that sets and appends these fields, and follows the seq before its own unless another one is given."""
    return publication(
        channel=channel,
        content_id=content_id,
        seq=seq,
        attempt=attempt,
        lease=lease,
        run=run,
        age_ms=age_ms,
        delta={"follows": seq - 1 if follows is None else follows, "set": sets, "append": appends},
    )


def raw(content_id: str, data: bytes, *, channel: str = CHANNEL, lease: float | None = None) -> Publication:
    """A publication whose data are not validated."""
    return Publication(
        channel=channel, content_id=content_id, type="raw", data=data, phase=Phase.PROCESSING, lease=lease
    )


async def publish_one(broker: Broker, tenant: str, publication: Publication) -> Receipt:
    """Publish one publication and return its receipt."""
    (receipt,) = await broker.publish(tenant, [publication])
    return receipt


async def accepted(broker: Broker, tenant: str, publication: Publication) -> Cursor:
    """Publish one publication, which must be accepted, and return its cursor."""
    receipt = await publish_one(broker, tenant, publication)
    if receipt.cursor is None:
        raise AssertionError(f"refused: {receipt.reason}")
    return receipt.cursor
