"""Notices: the owner of a job is notified when it ends, once, however many hubs hear of it."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

import anyio

from statushub.hub.feeds.feeds import Feeds
from statushub.hub.feeds.writes import DATA_BYTES, Notify, check_writes
from statushub.hub.model import status
from statushub.hub.model.errors import BrokerUnavailable, Invalid
from statushub.hub.model.event import Event, decode

JOBS: Final = "jobs"
"""The channel whose contents are jobs."""

CATEGORY: Final = "job"

LATE_SECONDS: Final = 12 * 3600.0
"""After which an ending is no news: half the time for which a store remembers what was written."""

RETRY_SECONDS: Final = 1.0
"""After a failure of the store."""

Follow = Callable[[str, str], AsyncGenerator[Event]]
"""The events of a tenant's channel."""

logger = logging.getLogger(__name__)


async def notify_owners(feeds: Feeds, follow: Follow, tenant: str) -> None:
    """Notify the owners of a tenant's jobs, until cancelled."""
    async with aclosing(follow(tenant, JOBS)) as events:
        async for event in events:
            notice = notice_of(event)
            while notice is not None:
                try:
                    await feeds.write(tenant, [notice])
                    notice = None
                except BrokerUnavailable as error:
                    logger.info("the owner of job %r is notified later: %s", event.content_id, error.message)
                    await anyio.sleep(RETRY_SECONDS)


def notice_of(event: Event) -> Notify | None:
    """What its owner is told of a job that has just ended; None for any other, and for one that names no owner."""
    if event.removed or not status.phase(event).terminal:
        return None
    try:
        data = decode(event.data)
        owner = _owner(data)
        if owner is None or _age(data) > LATE_SECONDS:
            return None
        told = status.parse(event)
        about = {"job_id": event.content_id, "job_status": data.get("status"), "title": told.text("title")}
        about |= {"result_url": told.text("result_url"), "error_message": told.error_message}
        notice = Notify(
            # A job ends once in each attempt; where it runs again, its ending has another time.
            id=f"job:{event.content_id[:90]}:{str(data.get('timestamp'))[:30]}",
            user_id=owner,
            category=CATEGORY,
            data={name: value[: DATA_BYTES // 8] for name, value in about.items() if isinstance(value, str)},
        )
        check_writes([notice])
    except Invalid:
        return None
    return notice


def _owner(data: dict[str, Any]) -> str | None:
    params = data.get("params")
    owner = data.get("owner") or (params.get("owner") if isinstance(params, dict) else None)
    return owner if isinstance(owner, str) else None


def _age(data: dict[str, Any]) -> float:
    """For how many seconds it has had its state; 0 where it does not say since when."""
    try:
        return time.time() - datetime.fromisoformat(str(data.get("timestamp"))).timestamp()
    except ValueError:
        return 0.0
