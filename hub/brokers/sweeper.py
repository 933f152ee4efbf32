"""The sweeper: ends the contents whose lease ran out, and removes those whose retention has ended."""

from __future__ import annotations

from functools import partial

from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.periodic import repeat


async def sweep_regularly(broker: Broker, interval: float) -> None:
    """Sweep every `interval` seconds until cancelled. Every hub does; each content is ended once."""
    await repeat(interval, partial(sweep, broker), "sweep")


async def sweep(broker: Broker) -> None:
    """Sweep until nothing is overdue: many workers may die in one moment. Raises `BrokerUnavailable`."""
    while await broker.expire():
        pass
