"""The index of channels where a Redis holds more than this program's data."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import redis.asyncio

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import TOMBSTONE_SECONDS, Broker
from statushub.hub.brokers.redis import commands
from statushub.hub.brokers.redis.client import Client
from statushub.hub.model.errors import BrokerUnavailable
from statushub.hub.model.receipt import Refusal
from tests.support.publications import CHANNEL, accepted, publish_one, update

pytestmark = [pytest.mark.anyio, pytest.mark.redis]

FORMER = files("tests.contract").joinpath("functions_4.lua")


@pytest.fixture(params=[pytest.param("redis")])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def prefix(url: str, tenant: str) -> str:
    """What the tenant's keys begin with."""
    return commands.prefix(commands.root(int(url.rpartition("/")[2])), tenant)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(url) as client:
        yield client


async def names(broker: Broker, tenant: str, *, limit: int = 10, by_name: bool = False) -> list[str]:
    """Of all pages."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await broker.channels(tenant, by_name=by_name, after=after, limit=limit)
        found += [entry.channel for entry in page.entries]
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("by_name", [False, True])
async def test_a_name_that_is_not_text_is_left_out(
    broker: Broker, tenant: str, client: Any, prefix: str, by_name: bool
) -> None:
    """No request can name that channel; pages go on behind it."""
    for channel in ("a", "b", "c"):
        await accepted(broker, tenant, update(f"in {channel}", channel=channel))
    latest = await client.zscore(f"{prefix}:index", "c")
    for n, name in enumerate((b"b\xff", b"b\x80"), 1):
        await client.zadd(f"{prefix}:index", {name: latest + n})
        await client.zadd(f"{prefix}:names", {name: 0})
    found = await names(broker, tenant, limit=1, by_name=by_name)
    assert found == (["a", "b", "c"] if by_name else ["c", "b", "a"])


@pytest.mark.parametrize("by_name", [False, True])
async def test_foreign_counts_are_skipped(broker: Broker, tenant: str, client: Any, prefix: str, by_name: bool) -> None:
    """A channel whose counts are another program's is left out and counted as skipped."""
    for channel in ("a", "b"):
        await accepted(broker, tenant, update(f"in {channel}", channel=channel))
    for write in (client.set(f"{prefix}:counts:a", "foreign"), client.hset(f"{prefix}:counts:a", "idle", "foreign")):
        await client.delete(f"{prefix}:counts:a")
        await write
        assert await names(broker, tenant, by_name=by_name) == ["b"]
    assert broker.skipped == 2


async def test_a_channel_without_its_time_is_listed(broker: Broker, tenant: str, client: Any, prefix: str) -> None:
    """Its time is 0; its next event sets it."""
    await accepted(broker, tenant, update("a"))
    await client.hdel(f"{prefix}:counts:{CHANNEL}", "updated")
    [entry] = (await broker.channels(tenant, limit=1)).entries
    assert (entry.updated_at, entry.processing) == (0.0, 1)
    await accepted(broker, tenant, update("a"))
    assert (await broker.channels(tenant, limit=1)).entries[0].updated_at > 0


async def test_a_channel_that_a_refused_event_took_over_is_listed(
    url: str, tenant: str, client: Any, prefix: str
) -> None:
    """In both orders, with the offset of its latest event and the time at which it was taken over."""
    await client.function_flush()
    await client.execute_command("FUNCTION", "LOAD", FORMER.read_text())
    event = (CHANNEL, "done", "processing_complete", "1", "5", "", "", '{"status":"complete"}')
    await client.execute_command("FCALL", "statushub_publish", 1, prefix, "", *event)
    offset = int(await client.hget(f"{prefix}:clock", "offset"))
    async with open_broker(url) as broker:
        assert await names(broker, tenant) == []
        assert (await publish_one(broker, tenant, update("done"))).reason is Refusal.CLOSED
        [entry] = (await broker.channels(tenant, limit=10)).entries
        assert (entry.channel, entry.offset, entry.completed) == (CHANNEL, offset, 1)
        assert entry.updated_at > 1e9
        assert await names(broker, tenant, by_name=True) == [CHANNEL]


async def test_a_channel_that_is_gone_leaves_nothing(broker: Broker, tenant: str, client: Any, prefix: str) -> None:
    """No key and no member of it is left, once its last tombstone is forgotten."""
    await broker.publish(tenant, [update("a")], retention=1)
    await broker.expire(time.time() + 60)
    await broker.expire(time.time() + 2 * TOMBSTONE_SECONDS)
    assert {*await client.keys(f"{prefix}:*")} == {f"{prefix}:{name}".encode() for name in ("clock", "leases", "rates")}


async def test_what_leaves_the_index_between_its_calls_is_left_out(
    broker: Broker, tenant: str, client: Any, prefix: str
) -> None:
    """A name without an offset has no entry."""
    await accepted(broker, tenant, update("a"))
    await client.zadd(f"{prefix}:names", {"gone": 0})
    assert await names(broker, tenant, by_name=True) == [CHANNEL]


async def test_a_clock_that_begins_anew_between_the_calls_is_unavailable(
    broker: Broker, tenant: str, client: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of one life of the clock never come with offsets of another."""
    await accepted(broker, tenant, update("a"))
    call = Client.call

    async def after_a_restart(self: Client, asked: commands.Call) -> Any:
        if asked.function == "counts":
            await client.hset(f"{prefix}:clock", "run_id", "another server")
        return await call(self, asked)

    monkeypatch.setattr(Client, "call", after_a_restart)
    with pytest.raises(BrokerUnavailable, match="begun anew"):
        await broker.channels(tenant, limit=1)


async def test_what_changes_between_the_calls_is_of_one_moment(
    broker: Broker, tenant: str, client: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each entry is that of the second call, and the latest still come first; the cursor is that of the first."""
    first = await accepted(broker, tenant, update("a", channel="old"))
    cursor = await accepted(broker, tenant, update("b", channel="new"))
    call = Client.call
    moved: list[Any] = []

    async def moving(self: Client, asked: commands.Call) -> Any:
        if asked.function == "counts" and not moved:
            moved.append(await accepted(broker, tenant, update("a", "complete", channel="old")))
        return await call(self, asked)

    monkeypatch.setattr(Client, "call", moving)
    page = await broker.channels(tenant, limit=10)
    assert page.cursor == cursor
    [old, new] = page.entries
    assert (old.channel, old.offset, old.completed, old.processing) == ("old", moved[0].offset, 1, 0)
    assert (new.channel, new.offset) == ("new", cursor.offset)
    assert first.offset < cursor.offset < old.offset
