"""The producer that a process has, producers that are opened and closed, and the work that is current."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import anyio
import pytest

import statushub
from statushub import Invalid, Producer, SyncProducer, atrack, awork, current, track, work
from statushub.producers.shared import shared
from tests.support.redis_server import RedisServer
from tests.support.stored import Stored, stored
from tests.support.waiting import WAIT_SECONDS, eventually

pytestmark = pytest.mark.redis


@pytest.fixture
def store(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    """A tenant that the environment names, with the address."""
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as there:
        monkeypatch.setenv("STATUSHUB_URL", redis_server.url)
        monkeypatch.setenv("STATUSHUB_TENANT", there.tenant)
        yield there


def test_works_without_a_producer_share_one(store: Stored) -> None:
    """A hundred works and loops of a program open one connection."""
    before = len(store.redis.client_list())
    for n in range(50):
        with work(f"w{n}", channel="ch"):
            pass
        assert list(track([1], channel="ch", content_id=f"t{n}")) == [1]
    assert len(store.redis.client_list()) <= before + 1
    assert {store.status(f"{kind}{n}")["status"] for kind in "wt" for n in range(50)} == {"complete"}


@pytest.mark.anyio
async def test_asynchronous_works_without_a_producer_share_one(store: Stored) -> None:
    """So do works and loops of asyncio, in one event loop after another."""

    async def rows() -> AsyncIterator[int]:
        yield 1

    async with awork("a", channel="ch"):
        pass
    assert [row async for row in atrack(rows(), channel="ch", content_id="b")] == [1]
    await anyio.to_thread.run_sync(lambda: asyncio.run(_report("c")))
    assert {store.status(name)["status"] for name in "abc"} == {"complete"}


async def _report(content_id: str) -> None:
    async with awork(content_id, channel="ch"):
        pass


def test_a_producer_is_opened_and_closed(store: Stored) -> None:
    """As signals of a worker do it: more than once is once, and it can be opened again."""
    producer = SyncProducer()
    with pytest.raises(RuntimeError, match="not open"):
        producer.work("c", channel="ch")
    for n in range(2):
        assert producer.open() is producer
        producer.open()
        producer.work(f"c{n}", channel="ch").update("complete")
        producer.close()
        producer.close()
        assert store.status(f"c{n}")["status"] == "complete"
    with pytest.raises(RuntimeError, match="not open"):
        producer.publish("c", channel="ch", status="idle")


@pytest.mark.anyio
async def test_an_asynchronous_producer_is_opened_and_closed(store: Stored) -> None:
    """Closing delivers what is left."""
    producer = await Producer().open()
    await producer.work("c", channel="ch").update("complete")
    await producer.close()
    await producer.close()
    assert store.status("c")["status"] == "complete"
    with pytest.raises(RuntimeError, match="not open"):
        producer.work("c", channel="ch")


def test_the_last_user_of_an_address_closes_its_connection(store: Stored) -> None:
    """Producers of one address share its connection, which lives as long as one of them."""
    before = len(store.redis.client_list())
    first, second = SyncProducer(rate=7).open(), SyncProducer(rate=7).open()
    for producer in (first, second):
        assert producer.publish("c", channel="ch", status="idle").accepted
    assert len(store.redis.client_list()) == before + 1
    first.close()
    assert second.publish("c", channel="ch", status="idle").accepted
    second.close()
    eventually(lambda: len(store.redis.client_list()) == before)


def test_a_closed_producer_keeps_no_work_alive(store: Stored) -> None:
    """The lease of a work that was not ended runs out after its producer was closed."""
    with SyncProducer(rate=6) as other:
        with SyncProducer(rate=6) as producer:
            producer.work("c", channel="ch", lease=0.3).update("generating")
        events = store.events()
        with other.work("d", channel="ch", lease=0.3) as watched:
            watched.update(n=1)
            eventually(lambda: store.events() >= events + 6)
    assert store.fence("c")[1] == 1


def test_a_run_of_a_name_is_reported_by_several_processes(store: Stored) -> None:
    """A queue announces that a task waits, a worker works on it, and another one goes on after a redelivery."""
    with SyncProducer(rate=4) as queue, SyncProducer(rate=3) as worker:
        queue.announce("c", channel="ch", status="pending", run="task-0", title="A task")
        eventually(lambda: store.status("c").get("processing_status") == "pending")
        assert (store.lease("c"), store.fence("c")) == (None, (1, 1))
        for n in range(2):
            work = worker.work("c", channel="ch", run="task-0", n=n)
            work.begin()
            eventually(lambda n=n: store.status("c").get("n") == n)  # type: ignore[misc]
            assert current().content_id == "c"
            work.leave()
            work.abandon()
            work.update(n="abandoned")
        assert store.fence("c")[0] == 1
        queue.announce("c", channel="ch", status="error", run="task-0", error_message="lost")
        eventually(lambda: store.status("c").get("error_message") == "lost")
        with worker.work("c", channel="ch", run="task-1"):
            pass
    assert (store.status("c")["status"], store.fence("c")[0]) == ("complete", 2)
    with pytest.raises(Invalid), SyncProducer() as producer:
        producer.work("c", channel="ch", run="no name!")


def test_a_late_announcement_changes_nothing(store: Stored) -> None:
    """What is told of a task that has begun, or has ended, too late does not replace its state."""
    with SyncProducer(rate=4) as worker, worker.work("c", channel="ch", run="task-0") as work:
        eventually(lambda: store.status("c").get("status") == "generating")
        with SyncProducer(rate=3) as queue:
            queue.announce("c", channel="ch", status="pending", run="task-0")
        assert store.status("c")["status"] == "generating"
        work.complete()
        for status in ("pending", "error"):
            with SyncProducer(rate=3) as queue:
                queue.announce("c", channel="ch", status=status, run="task-0")
    assert (store.status("c")["status"], store.fence("c")[0]) == ("complete", 1)


def test_a_restart_opens_an_ended_content(store: Stored) -> None:
    """`publish` names the run, and the content that has ended is open again."""
    with SyncProducer() as producer:
        assert producer.publish("c", channel="ch", status="complete").attempt == 1
        assert producer.publish("c", channel="ch", status="generating", restart=True).attempt == 2
        assert producer.publish("c", channel="ch", status="complete").attempt == 2


def test_a_work_in_another_channel_is_an_error_that_names_both(store: Stored, caplog: pytest.LogCaptureFixture) -> None:
    """A line of level error asks for another id."""
    with SyncProducer() as producer:
        producer.publish("c", channel="here", status="idle")
        with producer.work("c", channel="there") as reported:
            pass
        assert producer.publish("c", channel="there", status="idle").channel == "here"
    assert reported.refused == "wrong_channel"
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    message = record.getMessage()
    assert "'here'" in message
    assert "'there'" in message
    assert "another id" in message


def test_the_current_work_is_the_innermost(store: Stored) -> None:
    """Code within a work reports by it, whichever function it is in; beside it nothing is reported."""

    def deep(**fields: object) -> None:
        current().update(**fields)

    assert not current()
    deep(step="nowhere")
    with SyncProducer() as producer, producer.work("outer", channel="ch"):
        deep(step="outer")
        with track([1], channel="ch", content_id="inner", producer=producer) as rows:
            for _ in rows:
                deep(step="inner")
                assert (current().content_id, current().channel) == ("inner", "ch")
        assert current().content_id == "outer"
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append(bool(current())))
        thread.start()
        thread.join(WAIT_SECONDS)
        assert found == [False]
    assert not current()
    assert (store.status("outer")["step"], store.status("inner")["step"]) == ("outer", "inner")


@pytest.mark.anyio
async def test_each_task_has_its_current_work(store: Stored) -> None:
    """Works of concurrent tasks do not see each other."""

    async def toil(name: str) -> None:
        async with awork(name, channel="ch"):
            await anyio.sleep(0)
            current().update(said=name)
            await anyio.sleep(0)
            assert current().content_id == name

    async with anyio.create_task_group() as tasks:
        for n in range(10):
            tasks.start_soon(toil, f"c{n}")
    assert not current()
    assert all(store.status(f"c{n}")["said"] == f"c{n}" for n in range(10))


def test_a_producer_is_not_pickled() -> None:
    """Neither its token nor its thread leave the process."""
    with pytest.raises(TypeError, match="create one in each process"):
        pickle.dumps(SyncProducer("http://127.0.0.1:8000"))


def test_the_shared_part_shows_no_token() -> None:
    """Its representation has neither a token nor a password."""
    producer = SyncProducer("http://u:s3cret@127.0.0.1:8000", token="t0ken").open()
    shown = f"{shared()!r} {vars(producer)!r}"
    producer.close()
    assert "s3cret" not in shown
    assert "t0ken" not in shown
    assert statushub.current is current
