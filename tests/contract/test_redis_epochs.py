"""A Redis that may have lost the latest offsets begins a new epoch before anything is read or published."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis
from anyio import to_thread

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.model.receipt import Refusal
from tests.support.publications import CHANNEL, accepted, publish_one, update
from tests.support.recorder import Recorder
from tests.support.redis_server import RedisServer, running_redis

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

TENANT = "acme"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A server of the test's own, with an append-only file."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server


@pytest.fixture
def listener() -> Recorder:
    return Recorder()


@pytest.fixture
async def broker(server: RedisServer, listener: Recorder) -> AsyncIterator[Broker]:
    """A broker on that server, with one channel subscribed."""
    broker = open_broker(server.url)
    broker.listen(listener)
    async with broker:
        await broker.subscribe(TENANT, [CHANNEL])
        yield broker


async def restart(server: RedisServer, listener: Recorder, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Kill the server, run `meanwhile`, start it; return once the broker has reported `restored`."""
    losses, restorations = listener.losses, listener.restorations
    server.kill()
    await listener.until(lambda: listener.losses > losses)
    meanwhile()
    await to_thread.run_sync(server.start)
    await listener.until(lambda: listener.restorations > restorations)


async def test_a_restart_without_data_begins_an_epoch(server: RedisServer, broker: Broker, listener: Recorder) -> None:
    """The old cursor is of another epoch and reads the whole channel."""
    before = [await accepted(broker, TENANT, update(f"c{n}")) for n in range(5)][-1]
    await restart(server, listener, server.forget)
    empty = await broker.changes(TENANT, CHANNEL, before)
    assert empty.cursor.epoch != before.epoch
    assert empty.events == []
    after = await accepted(broker, TENANT, update("new"))
    assert after.epoch == empty.cursor.epoch
    snapshot = await broker.changes(TENANT, CHANNEL, before)
    assert [event.content_id for event in snapshot.events] == ["new"]


async def test_a_tenant_is_swept_after_a_restart_without_data(
    server: RedisServer, broker: Broker, listener: Recorder
) -> None:
    """The hub has registered it before, and with the data that is lost, too."""
    await accepted(broker, TENANT, update("before", lease=1))
    await restart(server, listener, server.forget)
    await accepted(broker, TENANT, update("a", lease=1))
    assert await broker.expire(time.time() + 2) == 1


async def test_a_restart_with_older_data_begins_an_epoch(
    server: RedisServer, broker: Broker, listener: Recorder, tmp_path: Path
) -> None:
    """The clock went back: its offsets are used again, in another epoch."""
    kept = await accepted(broker, TENANT, update("kept"))
    await accepted(broker, TENANT, update("changed", progress=1))
    copy = tmp_path / "copy"
    shutil.copytree(server.folder, copy)
    lost = await accepted(broker, TENANT, update("changed", progress=2))
    await accepted(broker, TENANT, update("lost"))

    def put_back() -> None:
        server.forget()
        shutil.copytree(copy, server.folder, dirs_exist_ok=True)

    await restart(server, listener, put_back)
    snapshot = await broker.changes(TENANT, CHANNEL, lost)
    assert snapshot.cursor.epoch != lost.epoch
    assert [(event.content_id, event.offset) for event in snapshot.events] == [
        ("kept", kept.offset),
        ("changed", kept.offset + 1),
    ]
    again = await accepted(broker, TENANT, update("lost"))
    assert again.epoch == snapshot.cursor.epoch
    assert again.offset == lost.offset
    await listener.until(lambda: again.epoch in {it.epoch for it in listener.announcements})


async def test_a_restart_with_all_data_begins_an_epoch(server: RedisServer, broker: Broker, listener: Recorder) -> None:
    """Completeness cannot be verified; contents, fences and the offset stay."""
    ended = await accepted(broker, TENANT, update("ended", "complete"))
    before = await accepted(broker, TENANT, update("open", attempt=2, seq=5))
    await restart(server, listener)
    found = await broker.lookup(TENANT, ["ended", "open"])
    assert found.cursor.epoch != before.epoch
    assert [event.offset for event in found.events if event] == [ended.offset, before.offset]
    assert (await publish_one(broker, TENANT, update("ended"))).reason is Refusal.CLOSED
    assert (await publish_one(broker, TENANT, update("open", attempt=2, seq=4))).reason is Refusal.SUPERSEDED
    after = await accepted(broker, TENANT, update("open", attempt=2, seq=6))
    assert after.epoch == found.cursor.epoch
    assert after.offset > before.offset


async def test_a_publish_may_be_the_first_call(server: RedisServer, broker: Broker, listener: Recorder) -> None:
    """A publish that is the first call after the restart is of the new epoch."""
    before = await accepted(broker, TENANT, update("a"))
    await restart(server, listener)
    after = await accepted(broker, TENANT, update("a"))
    assert after.epoch != before.epoch
    await listener.until(lambda: after.epoch in {it.epoch for it in listener.announcements})
    assert (await broker.changes(TENANT, CHANNEL)).cursor == after


async def test_every_restart_begins_another_epoch(server: RedisServer, broker: Broker, listener: Recorder) -> None:
    """Epochs are never repeated."""
    epochs = []
    for _ in range(3):
        epochs.append((await accepted(broker, TENANT, update("a"))).epoch)
        await restart(server, listener)
    epochs.append((await broker.lookup(TENANT, [])).cursor.epoch)
    assert len(set(epochs)) == 4


async def test_a_lost_clock_begins_an_epoch(server: RedisServer, broker: Broker) -> None:
    """A clock that is lost continues after the offsets of its channels."""
    before = [await accepted(broker, TENANT, update(f"c{n}")) for n in range(5)][-1]
    with redis.Redis(port=server.port) as client:
        assert client.delete(f"hub:{{{TENANT}}}:clock") == 1
    after = await accepted(broker, TENANT, update("new"))
    assert after.epoch != before.epoch
    assert after.offset > before.offset


async def test_a_lost_connection_is_no_new_epoch(server: RedisServer, broker: Broker, listener: Recorder) -> None:
    """While the server runs, its clock keeps its epoch."""
    before = await accepted(broker, TENANT, update("a"))
    restorations = listener.restorations
    with redis.Redis(port=server.port) as client:
        client.client_kill_filter(_type="pubsub")
    await listener.until(lambda: listener.restorations > restorations)
    after = await accepted(broker, TENANT, update("a"))
    assert after.epoch == before.epoch
    assert after.offset == before.offset + 1
