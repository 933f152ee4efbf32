from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import effort
from tests.support.redis_server import RedisServer, running_redis

MAX_WORKERS = 16

effort.register()


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are processors: half of a test is waiting. Each takes 200 MB."""
    return min(2 * (os.cpu_count() or 1), MAX_WORKERS)


def pytest_configure() -> None:
    """Set what the processes under test inherit."""
    # A shell that starts pytest in the background has SIGINT ignored, and so would the commands under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Each httpx client reads every certificate authority that the system trusts: 50 ms, thousands of times. No test
    # leaves this machine, so clients are given a folder that holds none.
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """A warning of something that was never closed fails the module that left it, not a later one."""
    yield
    gc.collect()


@pytest.fixture
def anyio_backend() -> str:
    """Run every asynchronous test on asyncio, which uvicorn and redis-py require."""
    return "asyncio"


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder for temporary files of an encode, which must be empty again in the end."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One redis-server for tests that neither stop nor empty it; each test uses its own tenant or database."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server
