from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import effort
from tests.support.database_server import DatabaseServer, MariadbServer, PostgresServer, running_database
from tests.support.redis_server import RedisServer, running_redis

MAX_WORKERS = 16

effort.register()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a test waits now and then. More would only wait for each other."""
    return min(1 + (os.cpu_count() or 1), MAX_WORKERS)


def pytest_configure() -> None:
    """Set what the processes under test inherit."""
    # A shell that starts pytest in the background has SIGINT ignored, and so would the commands under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Each httpx client reads every certificate authority that the system trusts: 50 ms, thousands of times. No test
    # leaves this machine, so clients are given a folder that holds none.
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)


def pytest_collection_finish() -> None:
    """Begin with a small heap for the garbage collector."""
    _collect()


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """A warning of something that was never closed fails the module that left it, not a later one."""
    yield
    _collect()


def _collect() -> None:
    """Collect garbage, and let later collections pass over what is left.

    Hubs run in threads of the process, and stand still while a collection looks at a million objects.
    """
    gc.collect()
    gc.freeze()


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
def _redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as server:
        yield server


@pytest.fixture(scope="module")
def redis_server(_redis_server: RedisServer) -> RedisServer:
    """A redis-server without the data and the settings of other modules, for tests that neither stop nor empty it; each
    test uses its own tenant or database."""
    _redis_server.command("FLUSHALL")
    return _redis_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseServer]:
    """One PostgreSQL for tests that neither stop it nor look at tables of others."""
    with running_database(PostgresServer) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[DatabaseServer]:
    """One MariaDB, as `postgres_server`."""
    with running_database(MariadbServer) as server:
        yield server
