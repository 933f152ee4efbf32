"""Broker.tenants: who stores something."""

from __future__ import annotations

import pytest

from statushub.hub.brokers.contract import Broker
from tests.support.publications import update

pytestmark = pytest.mark.anyio


async def test_tenants_are_those_that_store_something(broker: Broker) -> None:
    """However many, and each once."""
    assert await broker.tenants() == []
    for tenant in ("acme", "beta", "acme"):
        await broker.publish(tenant, [update("a")])
    assert sorted(await broker.tenants()) == ["acme", "beta"]
