from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.servers import RedisServer, running_redis


def pytest_configure() -> None:
    """A shell that starts us in the background has SIGINT ignored; the commands under test would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    """Everything here runs on asyncio: uvicorn and redis-py do."""
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One redis-server for tests that neither stop nor empty it; each uses a tenant or a database of its own."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server
