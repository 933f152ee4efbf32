"""Each promise of hub/brokers/contract.py is tested over each broker: the `url` fixture names them in turn."""

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
"""Of the shared server; emptied before each test, so that no sweep meets another test's leases."""

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
    """Where an empty broker is."""
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
    """Open brokers over one store, as many as it allows and a test wants."""
    kind, count = request.param
    url = broker_url(kind, tmp_path, request)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_broker(url)) for _ in range(count)]


def broker_url(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """An empty place for a broker of that kind."""
    if kind == "memory":
        return "memory:"
    if kind == "sqlite":
        return f"sqlite:///{folder / 'hub.db'}"
    server = request.getfixturevalue("redis_server")
    with redis.Redis(port=server.port, db=REDIS_DATABASE) as client:
        client.flushdb()
    return f"redis://127.0.0.1:{server.port}/{REDIS_DATABASE}"
