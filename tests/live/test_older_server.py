"""A hub whose address leads to an older Redis shows nothing older than what it knew, until it must be believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from statushub.hub.auth.identity import ANONYMOUS
from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.hub import Hub
from statushub.hub.intervals import Intervals
from statushub.hub.model.cursor import epoch_precedes
from statushub.hub.model.errors import BrokerUnavailable, HubBehind
from statushub.hub.model.names import DEFAULT_TENANT
from statushub.hub.replicas.polls import PageRequest
from tests.support.proxy import Proxy
from tests.support.publications import CHANNEL, accepted, update
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import WAIT_SECONDS

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[RedisServer, RedisServer]]:
    """Two servers; the first one's clock began earlier, and each knows another state of the content."""
    async with AsyncExitStack() as stack:
        servers = []
        for name, status in (("older", "generating"), ("newer", "complete")):
            (tmp_path / name).mkdir()
            server = stack.enter_context(running_redis(tmp_path / name, appendonly=False))
            async with RedisBroker(server.url) as broker:
                await accepted(broker, DEFAULT_TENANT, update("a", status))
            servers.append(server)
        yield servers[0], servers[1]


def lost(hub: Hub) -> bool:
    """Whether the hub has lost its broker."""
    return hub.synchronizer.lost_at is not None


async def states(hub: Hub) -> list[str]:
    """The types of the channel's events, by a poll."""
    return [event.type for event in (await hub.read(DEFAULT_TENANT, CHANNEL, PageRequest(limit=10))).events]


@pytest.mark.parametrize("patience", [60.0, 0.5])
async def test_a_hub_that_is_led_to_an_older_server(servers: tuple[RedisServer, RedisServer], patience: float) -> None:
    """It keeps what it knows, also for polls by id, and believes the older server when its patience ends."""
    older, newer = servers
    async with Proxy(("127.0.0.1", newer.port)) as proxy:
        broker = RedisBroker(f"redis://127.0.0.1:{proxy.port}")
        hub = Hub(broker, patience=patience, intervals=Intervals(sync_retry=(0.02, 0.05)))
        async with broker, hub:
            assert await states(hub) == ["processing_complete"]
            epoch = hub.registry.tenants[DEFAULT_TENANT].epoch
            proxy.target = ("127.0.0.1", older.port)
            proxy.sever()
            with anyio.fail_after(WAIT_SECONDS):
                while not lost(hub):
                    await anyio.sleep(0.005)
                while lost(hub):
                    await anyio.sleep(0.005)
                if patience < 1:
                    while await shown(hub) != ["content_status_update"]:
                        await anyio.sleep(0.02)
                    assert epoch_precedes(hub.registry.tenants[DEFAULT_TENANT].epoch, epoch)
                    return
            syncs = hub.counts.syncs
            with anyio.fail_after(WAIT_SECONDS):
                while hub.counts.syncs < syncs + 5:
                    await anyio.sleep(0.005)
            replica = hub.registry.find(DEFAULT_TENANT, CHANNEL)
            assert replica is not None
            assert (replica.epoch, replica.live) == (epoch, False)
            with pytest.raises(HubBehind):
                await hub.lookup(ANONYMOUS, ["unknown"])


async def shown(hub: Hub) -> list[str]:
    """As `states`; empty while the hub cannot answer."""
    try:
        return await states(hub)
    except BrokerUnavailable:
        return []
