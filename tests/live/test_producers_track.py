from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from statushub import Producer, SyncProducer, atrack, track
from statushub.hub.model.errors import BrokerUnavailable, ConfigError, Invalid
from statushub.hub.model.receipt import Refusal
from statushub.producers.meter import Meter
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.stored import Stored, stored
from tests.support.waiting import WAIT_SECONDS, eventually, until

pytestmark = pytest.mark.redis


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Stored]:
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as there:
        yield there


@pytest.fixture
def producer(redis_server: RedisServer, store: Stored) -> Iterator[SyncProducer]:
    with SyncProducer(redis_server.url, tenant=store.tenant, rate=1000, patience=WAIT_SECONDS) as there:
        yield there


def seen(store: Stored, content_id: str, key: str, value: object) -> None:
    """Return once the stored status has this value; without an event loop."""
    with contextlib.ExitStack() as stack:
        pause = threading.Event()
        timer = threading.Timer(WAIT_SECONDS, pause.set)
        timer.start()
        stack.callback(timer.cancel)
        while store.status(content_id).get(key) != value:
            if pause.wait(0.005):
                raise TimeoutError(f"{content_id} never had {key} {value!r}: {store.status(content_id)}")


def test_a_sync_work_is_reported(producer: SyncProducer, store: Stored) -> None:
    """States, end, merged fields and properties are those of an async work."""
    with producer.work("c", channel="ch", title="A film") as work:
        work.update("generating", progress=45)
        seen(store, "c", "progress", 45)
        assert (work.content_id, work.channel, work.refused) == ("c", "ch", None)
        assert eventually(lambda: work.attempt) == store.fence("c")[0]
        assert work.complete(size=3)
    assert store.status("c")["status"] == "complete"
    assert store.status("c")["title"] == "A film"


def test_a_sync_exception_is_reported(producer: SyncProducer, store: Stored) -> None:
    """An error is reported as such, and an interruption from the keyboard as a cancellation."""
    with contextlib.suppress(ValueError), producer.work("c", channel="ch"):
        raise ValueError("torn")
    with contextlib.suppress(KeyboardInterrupt), producer.work("d", channel="ch"):
        raise KeyboardInterrupt
    with producer.work("e", channel="ch") as work:
        assert work.fail("too dark", error_code="dark")
    assert store.status("c")["error_message"] == "torn"
    assert store.status("d")["error_code"] == "cancelled"
    assert store.status("e")["error_code"] == "dark"


def test_sync_invalid_input_is_raised_at_the_call(producer: SyncProducer) -> None:
    """Invalid input raises in the calling thread."""
    with pytest.raises(Invalid):
        producer.work("c", channel="*")
    with pytest.raises(Invalid):
        producer.work("c", channel="ch", status="complete")
    with pytest.raises(ConfigError):
        SyncProducer("memory:")


def test_one_event_is_published_from_a_thread(producer: SyncProducer, store: Stored) -> None:
    """`publish` returns the receipt."""
    assert producer.publish("c", channel="ch", status="complete", data={"size": 3}, attempt=2, seq=1).accepted
    assert producer.publish("c", channel="ch", status="complete", attempt=1).reason is Refusal.SUPERSEDED
    with SyncProducer(f"redis://127.0.0.1:{free_port()}") as unserved, pytest.raises(BrokerUnavailable):
        unserved.publish("c", channel="ch", status="idle")


def test_many_threads_share_a_producer(producer: SyncProducer, store: Stored) -> None:
    """Works in eight threads are complete, and one work may be updated from all of them."""

    def toil(n: int) -> None:
        with producer.work(f"c{n}", channel="ch") as work:
            for step in range(200):
                work.update("generating", step=step)
                shared.update("generating", **{f"by{n}": step})

    with producer.work("shared", channel="ch") as shared, ThreadPoolExecutor(8) as threads:
        list(threads.map(toil, range(8)))
    assert {store.status(f"c{n}")["status"] for n in range(8)} == {"complete"}
    assert {store.status(f"c{n}")["step"] for n in range(8)} == {199}
    assert {store.status("shared")[f"by{n}"] for n in range(8)} == {199}


def test_only_the_latest_of_many_updates_from_a_thread_are_sent(redis_server: RedisServer, store: Stored) -> None:
    """Of 20,000 updates few are stored, among them the last."""
    with SyncProducer(redis_server.url, tenant=store.tenant) as producer, producer.work("c", channel="ch") as work:
        for n in range(20_000):
            work.update("generating", n=n)
    assert store.status("c")["n"] == 19_999
    assert store.events() <= 2 + 10 * WAIT_SECONDS


def test_a_sync_producer_reports_within_its_block(redis_server: RedisServer) -> None:
    """A work outside the block is refused."""
    producer = SyncProducer(redis_server.url)
    with pytest.raises(RuntimeError):
        producer.work("c", channel="ch")


def test_a_loop_is_tracked(producer: SyncProducer, store: Stored) -> None:
    """A running loop reports progress, pace and remaining time, and at its end that all is done."""
    items = track(["a", "b", "c", "d"], channel="ch", content_id="c", producer=producer, interval=0, title="Pages")
    assert next(items) == "a"
    seen(store, "c", "progress", 0)
    assert next(items) == "b"
    seen(store, "c", "progress", 25)
    said = store.status("c")
    assert (said["done"], said["total"], said["title"], said["status"]) == (1, 4, "Pages", "generating")
    assert said["rate"] > 0
    assert said["remaining_seconds"] >= 0
    assert datetime.fromisoformat(said["estimated_completion"]) >= datetime.fromisoformat(said["timestamp"])
    assert list(items) == ["c", "d"]
    said = store.status("c")
    assert (said["done"], said["total"], said["progress"], said["remaining_seconds"]) == (4, 4, 100, 0)
    assert said["status"] == "complete"


def test_a_loop_of_unknown_length_is_tracked(producer: SyncProducer, store: Stored) -> None:
    """Without a length there are a count and a pace, but no progress until the end."""
    items = track((n for n in range(3)), channel="ch", content_id="c", producer=producer, interval=0)
    assert [next(items), next(items)] == [0, 1]
    seen(store, "c", "done", 1)
    assert store.status("c")["total"] is None
    assert not {"progress", "remaining_seconds", "estimated_completion"} & store.status("c").keys()
    assert list(items) == [2]
    assert (store.status("c")["total"], store.status("c")["progress"]) == (3, 100)


def test_a_loop_creates_its_own_producer(redis_server: RedisServer, store: Stored) -> None:
    """A loop needs only an address, and an empty one is complete."""
    assert list(track([], channel="ch", content_id="c", url=redis_server.url, tenant=store.tenant)) == []
    assert store.status("c")["status"] == "complete"


def test_a_loop_that_ends_early_is_reported(producer: SyncProducer, store: Stored) -> None:
    """An error of the items is reported as such; a loop that is left is complete, though not to its end."""

    def torn() -> Iterator[int]:
        yield 1
        raise ValueError("page 2 is torn")

    with pytest.raises(ValueError, match="torn"):
        list(track(torn(), channel="ch", content_id="c", producer=producer))
    for _ in track(range(10), channel="ch", content_id="d", producer=producer):
        break
    assert store.status("c")["error_message"] == "page 2 is torn"
    assert (store.status("d")["status"], store.status("d")["completed"]) == ("complete", False)


@pytest.mark.anyio
async def test_an_async_loop_that_is_not_closed_is_reported(redis_server: RedisServer, store: Stored) -> None:
    """A loop that is left is reported although the event loop finalizes its generator later."""

    async def pages() -> AsyncIterator[int]:
        for n in range(3):
            yield n

    async for _ in atrack(pages(), channel="ch", content_id="c", url=redis_server.url, tenant=store.tenant):
        break
    await until(lambda: store.status("c").get("completed") is False)


@pytest.mark.anyio
async def test_an_async_loop_is_tracked(redis_server: RedisServer, store: Stored) -> None:
    """`atrack` reports an `async for`, with a producer of the caller or its own."""

    async def pages() -> AsyncIterator[int]:
        for n in range(3):
            yield n

    url, tenant = redis_server.url, store.tenant
    tracked = atrack(pages(), channel="ch", content_id="c", total=3, interval=0, url=url, tenant=tenant)
    assert [n async for n in tracked] == [0, 1, 2]
    assert store.status("c")["done"] == 3
    assert store.status("c")["status"] == "complete"
    async with Producer(url, tenant=tenant) as p:
        tracked = atrack(pages(), channel="ch", content_id="d", producer=p)
        async with contextlib.aclosing(tracked):
            async for _ in tracked:
                break
    assert (store.status("d")["status"], store.status("d")["completed"]) == ("complete", False)


def test_a_meter_at_its_limits() -> None:
    """More items than `total`, or none at all, are 100 %; an end after the year 9999 is left out."""
    meter = Meter(2)
    meter.done = 5
    assert meter.fields()["progress"] == 100
    assert meter.fields()["remaining_seconds"] == 0
    assert Meter(0).fields() == {"done": 0, "total": 0, "progress": 100}
    slow: dict[str, Any] = {}
    endless = Meter(10**18)
    while "rate" not in slow:
        endless.done += 1
        slow = endless.fields()
    assert slow["estimated_completion"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"desc": "Pages"}, "called 'description'"),
        ({"mininterval": 1}, "called 'interval'"),
        ({"leave": False}, "option of tqdm"),
        ({"progress": 5}, "reports 'progress' itself"),
        ({"tenannt": "acme"}, "did you mean 'tenant'"),
        ({"contentid": "c"}, "did you mean 'content_id'"),
    ],
)
def test_a_mistake_in_the_options_of_a_loop_is_an_error(options: dict[str, Any], words: str) -> None:
    """It is raised at the call, and not published as a field."""
    with pytest.raises(TypeError, match=words):
        track([1], channel="ch", content_id="c", **options)


@pytest.mark.parametrize(
    "options",
    [{"total": "ten"}, {"interval": -1}, {"interval": float("nan")}, {"patience": -1}, {"content_id": "*"}],
    ids=str,
)
def test_an_invalid_option_of_a_loop_is_an_error(options: dict[str, Any]) -> None:
    """It is raised at the call, before the first item."""
    with pytest.raises(Invalid):
        track([1], **{"channel": "ch", "content_id": "c", **options})


def test_a_loop_is_described_as_with_tqdm(producer: SyncProducer, store: Stored) -> None:
    """Description, unit and postfix are reported, and can be changed; so can the total, and further fields."""
    options: dict[str, Any] = {"description": "Reading", "unit": "page", "postfix": {"loss": 0.5}}
    with track(iter(range(3)), channel="ch", content_id="c", producer=producer, total=2.0, **options) as pages:
        assert next(pages) == 0
        seen(store, "c", "total", 2)
        said = store.status("c")
        assert (said["description"], said["unit"], said["postfix"]) == ("Reading", "page", {"loss": 0.5})
        pages.set_description("Writing")
        pages.set_postfix(loss=0.25)
        pages.update(title="A book")
        pages.total = 3
        seen(store, "c", "title", "A book")
        said = store.status("c")
        assert (said["description"], said["postfix"], said["total"]) == ("Writing", {"loss": 0.25}, 3)
        assert list(pages) == [1, 2]
    assert (store.status("c")["done"], store.status("c")["status"]) == (3, "complete")


def test_a_loop_that_is_closed_is_complete(producer: SyncProducer, store: Stored) -> None:
    """`close` leaves a loop on purpose."""
    rows = track(range(10), channel="ch", content_id="c", producer=producer)
    next(rows)
    rows.close()
    assert (store.status("c")["status"], store.status("c")["completed"]) == ("complete", False)


def test_an_error_after_a_loop_is_the_works(producer: SyncProducer, store: Stored) -> None:
    """The block of a loop ends as its work does, also where the error comes after the last item."""
    rows = track(range(2), channel="ch", content_id="c", producer=producer)
    with contextlib.suppress(ValueError), rows:
        assert list(rows) == [0, 1]
        raise ValueError("disk full")
    assert store.status("c")["error_message"] == "disk full"
