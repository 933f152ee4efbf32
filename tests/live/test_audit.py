"""Audits find announcements that were lost, in every tenant."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.hub import Hub
from statushub.hub.intervals import Intervals
from statushub.hub.model.event import Event
from statushub.hub.replicas.polls import PageRequest
from tests.support.losing_broker import losing
from tests.support.publications import CHANNEL, accepted, update
from tests.support.redis_server import running_redis
from tests.support.waiting import WAIT_SECONDS

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


async def test_a_tenant_that_cannot_be_audited_does_not_stop_the_others(tmp_path: Path) -> None:
    """Another program's key lies in the place of its clock; what the others have missed is read."""
    with running_redis(tmp_path, appendonly=False) as server:
        broker = losing(RedisBroker(server.url), lambda event: event.content_id != "lost")
        hub = Hub(broker, intervals=Intervals(audit=0.05))
        async with broker, hub:
            for tenant in ("bad", "good"):
                await hub.read(tenant, CHANNEL, PageRequest(limit=10))
            assert [*hub.registry.tenants] == ["bad", "good"]
            server.command("SET", "hub:{bad}:clock", "text")
            await accepted(broker, "good", update("lost", "complete"))
            with anyio.fail_after(WAIT_SECONDS):
                while [event.content_id for event in await shown(hub)] != ["lost"]:
                    await anyio.sleep(0.005)


async def shown(hub: Hub) -> list[Event]:
    return (await hub.read("good", CHANNEL, PageRequest(limit=10))).events
