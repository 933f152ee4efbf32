"""`work` and `awork`: a work with a producer of its own."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from statushub import ConfigError, Invalid, awork, work
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.stored import Stored, stored

pytestmark = pytest.mark.redis


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Stored]:
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as there:
        yield there


def test_a_work_is_reported(redis_server: RedisServer, store: Stored) -> None:
    """Fields and end are stored under the given attempt by the time the block is left."""
    with work("c", channel="ch", url=redis_server.url, tenant=store.tenant, attempt=7, title="A film") as reported:
        reported.update("generating", progress=45)
    assert store.status("c").items() >= {"status": "complete", "progress": 100, "title": "A film"}.items()
    assert store.fence("c")[0] == 7


def test_an_error_of_a_work_is_reported_and_raised(redis_server: RedisServer, store: Stored) -> None:
    """The block's exception is reported and not suppressed."""
    with pytest.raises(ValueError, match="torn"), work("c", channel="ch", url=redis_server.url, tenant=store.tenant):
        raise ValueError("torn")
    assert store.status("c")["error_message"] == "torn"


@pytest.mark.anyio
async def test_an_async_work_is_reported(redis_server: RedisServer, store: Stored) -> None:
    """Fields, end and errors of `awork` are those of `work`."""
    async with awork("c", channel="ch", url=redis_server.url, tenant=store.tenant, title="A film") as reported:
        await reported.update("generating", progress=45)
    assert store.status("c").items() >= {"status": "complete", "progress": 100, "title": "A film"}.items()
    with pytest.raises(ValueError, match="torn"):
        async with awork("d", channel="ch", url=redis_server.url, tenant=store.tenant):
            raise ValueError("torn")
    assert store.status("d")["error_message"] == "torn"


def test_a_work_is_a_decorator(redis_server: RedisServer, store: Stored) -> None:
    """Each call of the function is a work with a later attempt."""

    @work("c", channel="ch", url=redis_server.url, tenant=store.tenant)
    def encode() -> None:
        pass

    for attempt in (1, 2):
        encode()
        assert store.fence("c")[0] == attempt


def test_an_unreachable_hub_does_not_fail_the_work(caplog: pytest.LogCaptureFixture) -> None:
    """The block runs to its end, and the outage is logged."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(KeyError), work("c", channel="ch", url=url, patience=0.1):
        raise KeyError("ours")
    assert "Connection refused; until this is corrected, states are kept" in caplog.text


def test_invalid_arguments_are_raised_on_entering() -> None:
    """Both an invalid address and an invalid name raise when the block is entered."""
    with pytest.raises(ConfigError), work("c", channel="ch", url="ftp://127.0.0.1"):
        pass
    with pytest.raises(Invalid), work("c", channel="*"):
        pass
