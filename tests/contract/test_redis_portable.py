"""Announcements over redis-py's public interface, for versions that lack the private parts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from statushub.hub.brokers.redis import portable
from statushub.hub.brokers.redis.broker import RedisBroker
from statushub.hub.brokers.redis.portable import PARTS, missing_parts
from statushub.hub.model.errors import BrokerUnavailable
from tests.support.listening import admin, update
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

LOOPS = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as started:
        yield started


@asynccontextmanager
async def listening(url: str, *, deadline: float = 5.0) -> AsyncIterator[tuple[RedisBroker, Recorder]]:
    """An entered broker that uses no private parts, and its listener."""
    broker, listener = RedisBroker(url, deadline=deadline, portable=True), Recorder()
    broker.listen(listener)
    async with broker:
        yield broker, listener


async def test_announcements_arrive_in_order(server: RedisServer) -> None:
    """As over the transport, announcements come in clock order and before the answer of a read."""
    async with listening(server.url) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        for number in range(10):
            await broker.publish("t", [update(f"c{number}-{i}") for i in range(50)] + [update("x", channel="d")])
            snapshot = await broker.changes("t", "c")
            assert len(recorder.announcements) == 50 * (number + 1)
            assert snapshot.cursor.offset == recorder.offsets[-1] + 1
        await broker.unsubscribe("t", ["c"])
        await broker.publish("t", [update()])
        await broker.ping()
        assert recorder.offsets == sorted(recorder.offsets)
        assert "a" not in recorder.contents
        assert recorder.reports == []


@LOOPS
async def test_announcements_resume_after_the_server_was_killed(server: RedisServer) -> None:
    """The end of a connection is noticed, and every channel is subscribed again."""
    async with listening(server.url) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        server.kill()
        await recorder.until(lambda: recorder.reports == ["lost"])
        server.start()
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await broker.publish("t", [update()])
        await recorder.count(1)


async def test_a_silent_server_counts_as_lost(server: RedisServer) -> None:
    """The deadline holds for a connection without a transport, too."""
    async with listening(server.url, deadline=1.0) as (broker, recorder):
        await broker.subscribe("t", ["c"])
        server.pause()
        await recorder.until(lambda: recorder.reports == ["lost"])
        server.resume()
        await recorder.until(lambda: recorder.reports[-1] == "restored")


async def test_a_forbidden_channel_is_reported(server: RedisServer) -> None:
    """An error of the server ends the session with its reason."""
    async with admin(server.url) as client:
        await client.execute_command("ACL", "SETUSER", "hub", "on", ">pw", "~*", "resetchannels", "+@all")
        async with listening(f"redis://hub:pw@127.0.0.1:{server.port}") as (broker, _):
            with pytest.raises(BrokerUnavailable, match="no permissions"):
                await broker.subscribe("t", ["c"])


def test_the_installed_version_has_the_private_parts() -> None:
    """Hubs with the declared dependencies use the transport."""
    assert missing_parts() == []


def test_missing_parts_are_named() -> None:
    """A connection that keeps its streams elsewhere lacks both parts."""
    assert missing_parts(object()) == [*PARTS]


async def test_a_version_without_the_parts_is_logged_once(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hub on such a version serves, and says in one line that it costs more."""
    monkeypatch.setattr(portable, "PARTS", ("_reader", "_streams"))
    caplog.set_level(logging.WARNING, "statushub")
    broker, recorder = RedisBroker(server.url), Recorder()
    broker.listen(recorder)
    async with broker, admin(server.url) as client:
        await broker.subscribe("t", ["c"])
        await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await recorder.until(lambda: recorder.reports == ["lost", "restored"])
        await broker.publish("t", [update()])
        await recorder.count(1)
    assert caplog.text.count("lacks _streams: each announcement costs more") == 1
