"""The lease sweeper: ends the contents whose lease ran out."""

from __future__ import annotations

from statushub.hub.brokers.contract import Broker
from statushub.hub.brokers.periodic import repeat


async def sweep_leases(broker: Broker, interval: float) -> None:
    """Sweep every `interval` seconds until cancelled. Every hub does; each content is ended once."""
    await repeat(interval, broker.expire)
