"""What a tenant may store, and how fast a publisher may publish: over all hubs."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from statushub.hub.brokers import open_broker
from statushub.hub.brokers.contract import Broker
from statushub.hub.model.errors import TooManyRequests
from statushub.hub.model.limits import PublishRate, StorageLimits
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt, Refusal
from statushub.producers.redis_transport import RedisTransport
from tests.support.publications import accepted, publish_one, update

pytestmark = pytest.mark.anyio

RETENTION = 60.0


def reasons(receipts: list[Receipt]) -> list[Refusal | None]:
    return [receipt.reason for receipt in receipts]


async def published(url: str, tenant: str, limits: StorageLimits, *batch: Publication) -> list[Refusal | None]:
    """What becomes of a batch under these limits."""
    async with open_broker(url, limits=limits) as broker:
        return reasons(await broker.publish(tenant, batch))


async def test_contents_of_a_tenant_are_limited(url: str, tenant: str) -> None:
    """One more content is refused; the known ones go on, and other tenants are not concerned."""
    async with open_broker(url, limits=StorageLimits(contents=2)) as broker:
        batch = [update("a"), update("b", channel="books"), update("c"), update("a"), update("b", channel="books")]
        assert reasons(await broker.publish(tenant, batch)) == [None, None, Refusal.QUOTA_EXCEEDED, None, None]
        assert (await publish_one(broker, "other", update("a"))).accepted
        assert (await broker.lookup(tenant, ["c"])).events == [None]


async def test_contents_of_a_channel_are_limited(url: str, tenant: str) -> None:
    """Another channel of the tenant has its own number."""
    batch = [update("a"), update("b"), update("c", channel="books")]
    full = StorageLimits(channel_contents=1)
    assert await published(url, tenant, full, *batch) == [None, Refusal.QUOTA_EXCEEDED, None]


async def test_bytes_of_a_tenant_are_limited(url: str, tenant: str) -> None:
    """The data of all contents count; a content that shrinks makes room."""
    async with open_broker(url, limits=StorageLimits(bytes=2_000)) as broker:
        large, small = update("a", text="x" * 1_500), update("b", text="x" * 700)
        assert reasons(await broker.publish(tenant, [large, small])) == [None, Refusal.QUOTA_EXCEEDED]
        assert reasons(await broker.publish(tenant, [update("a"), small])) == [None, None]


async def test_an_ending_is_never_refused_for_want_of_room(url: str, tenant: str) -> None:
    """A final state of a known content is stored whatever is full."""
    async with open_broker(url, limits=StorageLimits(contents=1, bytes=1_000)) as broker:
        await accepted(broker, tenant, update("a"))
        assert (await publish_one(broker, tenant, update("a", text="x" * 2_000))).reason is Refusal.QUOTA_EXCEEDED
        assert (await publish_one(broker, tenant, update("a", "complete", text="x" * 2_000))).accepted
        assert (await publish_one(broker, tenant, update("b", "complete"))).reason is Refusal.QUOTA_EXCEEDED


async def test_removed_contents_make_room(url: str, tenant: str) -> None:
    """Counts and bytes are those of what is stored now."""
    async with open_broker(
        url, retention=RETENTION, limits=StorageLimits(contents=2, bytes=3_000, channel_contents=2)
    ) as broker:
        for n in range(5):
            batch = [update(f"a{n}", text="x" * 1_000), update(f"b{n}", lease=5, text="x" * 1_000)]
            assert reasons(await broker.publish(tenant, batch)) == [None, None]
            assert (await publish_one(broker, tenant, update("c"))).reason is Refusal.QUOTA_EXCEEDED
            await broker.expire(time.time() + 30)
            await broker.expire(time.time() + 10 * RETENTION)


async def test_a_rate_of_events_and_bytes_holds(broker: Broker, tenant: str) -> None:
    """A call passes whole where anything is left, and its excess is owed; nothing of a refused call is stored."""
    for rate in (PublishRate(sub="e", events=10, bytes=1e9), PublishRate(sub="b", events=1e9, bytes=1_000)):
        batch = [update(f"{rate.sub}{n}", text="x" * 100) for n in range(30)]
        await broker.publish(tenant, batch, rate=rate)
        with pytest.raises(TooManyRequests) as caught:
            await broker.publish(tenant, [update(f"{rate.sub}-refused")], rate=rate)
        assert 1 < caught.value.retry_after < 10
        assert (await broker.lookup(tenant, [f"{rate.sub}-refused"])).events == [None]
    other = PublishRate(sub="other", events=10, bytes=1_000)
    await broker.publish(tenant, [update("c")], rate=other)
    await broker.publish("other", [update("c")], rate=PublishRate(sub="e", events=10, bytes=1e9))


async def test_a_large_call_is_counted_once(broker: Broker, tenant: str) -> None:
    """It is refused as a whole, or not at all."""
    rate = PublishRate(sub="a", events=500, bytes=1e9)
    await broker.publish(tenant, [update(f"c{n}") for n in range(450)], rate=rate)
    receipts = await broker.publish(tenant, [update(f"d{n}") for n in range(450)], rate=rate)
    assert all(receipt.accepted for receipt in receipts)
    with pytest.raises(TooManyRequests):
        await broker.publish(tenant, [update("e")], rate=rate)


async def test_a_rate_recovers(broker: Broker, tenant: str) -> None:
    """After the time that the refusal names, a call passes."""
    rate = PublishRate(sub="a", events=20, bytes=1e9)
    await broker.publish(tenant, [update(f"c{n}") for n in range(40)], rate=rate)
    with pytest.raises(TooManyRequests) as caught:
        await broker.publish(tenant, [update("d")], rate=rate)
    await asyncio.sleep(caught.value.retry_after + 0.02)
    await broker.publish(tenant, [update("d")], rate=rate)


@pytest.mark.redis
async def test_limits_hold_over_all_hubs(sweepers: list[Broker], tenant: str) -> None:
    """A rate is that of all hubs together."""
    # Two or three calls pass, and two more in each second that the test takes.
    rate, calls = PublishRate(sub="a", events=20, bytes=1e9), 10 * len(sweepers)
    refused = 0
    for call in range(calls):
        batch = [update(f"c{call}-{n}") for n in range(10)]
        try:
            await sweepers[call % len(sweepers)].publish(tenant, batch, rate=rate)
        except TooManyRequests:
            refused += 1
    assert refused > calls - 5


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["redis"], indirect=True)
async def test_limits_hold_for_publishers_without_a_hub(url: str, tenant: str) -> None:
    """The SDK's transport into Redis obeys what hubs have written, from their first sweep of the tenant on."""
    async with open_broker(url, limits=StorageLimits(contents=2)) as broker:
        await accepted(broker, tenant, update("a"))
        async with aclosing(RedisTransport(url, tenant=tenant)) as transport:
            assert reasons(await transport.send([update("b"), update("c")])) == [None, Refusal.QUOTA_EXCEEDED]
        async with aclosing(RedisTransport(url, tenant="new")) as transport:
            assert reasons(await transport.send([update("a"), update("b")])) == [None, None]
            await broker.expire()
            assert reasons(await transport.send([update("c")])) == [Refusal.QUOTA_EXCEEDED]
