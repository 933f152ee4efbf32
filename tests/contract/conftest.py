"""Each promise of hub/brokers/contract.py is tested over each broker: the `url` fixture is parametrised."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from tests.support.recorder import Recorder

REDIS_DATABASE = 7
"""On the shared server. Emptied before each test, so that no sweep sees another test's leases."""

KINDS = ("memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis))
HUBS = (("memory", 1), ("sqlite", 1), ("redis", 1), ("redis", 2))


@pytest.fixture
def tenant() -> str:
    return "acme"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker."""
    return broker_url(kind, tmp_path, request)


@pytest.fixture
def listener() -> Recorder:
    return Recorder()


@pytest.fixture
async def broker(url: str, listener: Recorder) -> AsyncIterator[Broker]:
    """An open broker that reports to `listener`."""
    broker = open_broker(url)
    broker.listen(listener)
    async with broker:
        yield broker


@pytest.fixture(
    params=[
        pytest.param(hubs, id=f"{hubs[0]}-{hubs[1]}", marks=[pytest.mark.redis] if hubs[0] == "redis" else [])
        for hubs in HUBS
    ]
)
async def sweepers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Broker]]:
    """Open brokers over one store."""
    kind, count = request.param
    url = broker_url(kind, tmp_path, request)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_broker(url)) for _ in range(count)]


def broker_url(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker of that kind."""
    if kind == "memory":
        return "memory:"
    if kind == "sqlite":
        return f"sqlite:///{folder / 'hub.db'}"
    server = request.getfixturevalue("redis_server")
    with redis.Redis(port=server.port, db=REDIS_DATABASE) as client:
        client.flushdb()
    return f"redis://127.0.0.1:{server.port}/{REDIS_DATABASE}"
