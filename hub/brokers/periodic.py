"""Periodic work on a broker, which survives the broker's absence and its own failures."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from statushub.hub.model.errors import BrokerUnavailable

logger = logging.getLogger(__name__)


async def repeat(seconds: float, work: Callable[[], Awaitable[object]], name: str = "") -> None:
    """Call `work` every so many seconds until cancelled; what it raises is logged with the `name`."""
    while True:
        await anyio.sleep(seconds)
        try:
            await work()
        except BrokerUnavailable as error:
            logger.debug("the broker is away: %s", error.message)
        except Exception:
            logger.exception("%s failed; retrying in %g s", name or work.__qualname__, seconds)
