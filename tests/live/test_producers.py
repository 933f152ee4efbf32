from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from statushub import Denied, Producer
from statushub.extras import EXTRAS
from statushub.hub.brokers.redis import commands
from statushub.hub.model.errors import BrokerUnavailable, ConfigError, Invalid, TooLarge
from statushub.hub.model.publication import EVENT_BYTES
from statushub.hub.model.receipt import Refusal
from statushub.producers.address import settings
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer, running_redis
from tests.support.stored import Stored, stored
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = [pytest.mark.anyio, pytest.mark.redis]


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Stored]:
    with stored(redis_server.url, f"t{uuid4().hex[:12]}") as there:
        yield there


def producer(
    redis_server: RedisServer, store: Stored, rate: float = 1000.0, patience: float = WAIT_SECONDS
) -> Producer:
    return Producer(redis_server.url, tenant=store.tenant, rate=rate, patience=patience)


async def test_a_work_reports_every_state_whole(redis_server: RedisServer, store: Stored) -> None:
    """Fields of the start and of updates are in every later event."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch", title="A film") as work:
        await work.update("generating", processing_status="summarizing", progress=45)
        await until(lambda: store.status("c").get("progress") == 45)
        assert store.status("c")["title"] == "A film"
        await work.update(progress=50)
        await until(lambda: store.status("c").get("progress") == 50)
        assert store.status("c")["processing_status"] == "summarizing"
        assert await work.complete(ai_gen_metadata={"summary": "…"})
        assert (work.content_id, work.channel) == ("c", "ch")
    said = store.status("c")
    assert said["status"] == "complete"
    assert said["processing_status"] == "completed"
    assert said["progress"] == 100
    assert said["title"] == "A film"
    assert said["ai_gen_metadata"] == {"summary": "…"}


async def test_leaving_normally_completes(redis_server: RedisServer, store: Stored) -> None:
    """A work that is left without a final status is complete; without updates it has no progress."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch"):
        pass
    assert store.status("c")["status"] == "complete"
    assert "progress" not in store.status("c")


async def test_another_status_drops_the_processing_status(redis_server: RedisServer, store: Stored) -> None:
    """A processing status is not merged into a different status, unless it is reported again."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch", processing_status="uploading") as work:
        await work.update("generating", step="two")
        await until(lambda: store.status("c").get("step") == "two")
        assert store.status("c")["processing_status"] is None


async def test_an_update_may_be_final(redis_server: RedisServer, store: Stored) -> None:
    """A final status in an update ends the work, and later calls change nothing."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        await work.update("READY")
        await work.update("PROCESSING")
        assert await work.complete()
    assert store.status("c")["status"] == "complete"
    assert store.events() <= 2


async def test_only_the_latest_of_many_updates_are_sent(redis_server: RedisServer, store: Stored) -> None:
    """Of 20,000 consecutive updates few are stored, among them the last, although the event loop is busy."""
    async with producer(redis_server, store, rate=10) as p, p.work("c", channel="ch") as work:
        for n in range(20_000):
            await work.update("generating", n=n)
    assert store.status("c")["n"] == 19_999
    assert store.status("c")["status"] == "complete"
    # The first, the end, and ten in each second that the flood lasted.
    assert 3 <= store.events() <= 2 + 10 * WAIT_SECONDS
    assert store.fence("c")[1] == store.events()


async def test_updates_are_sent_while_the_loop_is_busy(redis_server: RedisServer, store: Stored) -> None:
    """A program that only updates lets the event loop send."""
    async with producer(redis_server, store, rate=10) as p, p.work("c", channel="ch") as work:
        with anyio.fail_after(WAIT_SECONDS):
            n = 0
            while not (n % 1000 == 999 and store.events()):
                n += 1
                await work.update("generating", n=n)


async def test_the_rate_holds_for_each_content_and_not_for_its_end(redis_server: RedisServer, store: Stored) -> None:
    """At one update in a quarter of an hour, the first and the final state still arrive immediately."""
    async with producer(redis_server, store, rate=0.001) as p:
        works = [p.work(f"c{n}", channel="ch") for n in range(3)]
        for work in works:
            await work.update("generating", progress=1)
        await until(lambda: store.events() == 3)
        for work in works:
            await work.update("generating", progress=2)
        assert await works[0].complete()
        assert store.status("c1")["progress"] == 1
        assert store.events() == 4
    assert store.status("c1")["progress"] == 2


async def test_an_exception_reports_the_error(redis_server: RedisServer, store: Stored) -> None:
    """Leaving by an exception reports its message and class, and does not suppress it."""
    async with producer(redis_server, store) as p:
        work = p.work("c", channel="ch", title="A film")
        await work.update("generating", processing_status="uploading", progress=10)
        with pytest.raises(ValueError, match="page 7 is torn"):
            async with work:
                raise ValueError("page 7 is torn")
    said = store.status("c")
    assert (said["status"], said["error_message"], said["error_code"]) == ("error", "page 7 is torn", "ValueError")
    assert (said["title"], said["progress"]) == ("A film", 10)


@pytest.mark.parametrize(
    ("message", "reported"), [("", "OSError"), ("bad\udcff", "bad?"), ("x" * 100_000, "x" * 2_000)]
)
async def test_any_message_can_be_reported(
    redis_server: RedisServer, store: Stored, message: str, reported: str
) -> None:
    """Empty messages, messages that are not valid UTF-8 and long ones are reported."""
    async with producer(redis_server, store) as p:
        with contextlib.suppress(OSError):
            async with p.work("c", channel="ch"):
                raise OSError(message)
    assert store.status("c")["error_message"] == reported


async def test_reporting_an_error_never_hides_it(redis_server: RedisServer, store: Stored) -> None:
    """Where the fields leave no room for the reason, only the reason is reported, and the exception is not hidden."""
    async with producer(redis_server, store) as p:
        with pytest.raises(ValueError, match="xxx"):
            async with p.work("c", channel="ch", notes="n" * (EVENT_BYTES - 236)):
                raise ValueError("x" * 1_000)
    assert store.status("c")["error_code"] == "ValueError"
    assert "notes" not in store.status("c")


async def test_a_failure_can_be_reported(redis_server: RedisServer, store: Stored) -> None:
    """`fail` ends the work, with a reason; an exception after it adds nothing."""
    async with producer(redis_server, store) as p:
        with contextlib.suppress(KeyError):
            async with p.work("c", channel="ch") as work:
                assert await work.fail("no such film", error_code="missing")
                raise KeyError
    assert (store.status("c")["error_message"], store.status("c")["error_code"]) == ("no such film", "missing")
    assert store.events() <= 2


async def test_cancellation_is_reported(redis_server: RedisServer, store: Stored) -> None:
    """The cancellation of a scope or of a task is reported, and goes on."""
    reported: dict[str, dict[str, object]] = {}
    async with producer(redis_server, store) as p:

        async def toil(content_id: str) -> None:
            try:
                async with p.work(content_id, channel="ch") as work:
                    await work.update("generating")
                    await anyio.sleep_forever()
            finally:
                reported[content_id] = store.status(content_id)

        task = asyncio.create_task(toil("by-task"))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(toil, "by-scope")
                await until(lambda: store.lookup("by-task") and store.lookup("by-scope"))
                scope.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert scope.cancelled_caught
    for content_id in ("by-task", "by-scope"):
        assert reported[content_id]["status"] == "error"
        assert reported[content_id]["error_code"] == "cancelled"


async def test_a_cancelled_producer_delivers_first(redis_server: RedisServer, store: Stored) -> None:
    """A producer that is cancelled delivers the last states before it ends."""
    async with anyio.create_task_group() as tasks, producer(redis_server, store, rate=0.001) as p:
        work = p.work("c", channel="ch")
        await work.update("generating", progress=1)
        await until(lambda: store.events() == 1)
        await work.update("generating", progress=2)
        tasks.cancel_scope.cancel()
        await anyio.sleep_forever()
    assert store.status("c")["progress"] == 2


async def test_invalid_input_is_raised_at_the_call(redis_server: RedisServer, store: Stored) -> None:
    """With `strict` invalid input raises at its call, and leaves the earlier fields unchanged."""
    async with Producer(redis_server.url, tenant=store.tenant, rate=1000, strict=True) as p:
        with pytest.raises(Invalid) as caught:
            p.work("", channel="ch")
        assert caught.value.field == "content_id"
        with pytest.raises(Invalid):
            p.work("c", channel="ch", lease=-1)
        with pytest.raises(Invalid):
            p.work("c", channel="ch", status="complete")
        with pytest.raises(Invalid):
            await p.publish("c", channel="ch")
        async with p.work("c", channel="ch", progress=7) as work:
            with pytest.raises(Invalid):
                await work.update("sleeping")
            with pytest.raises(Invalid):
                await work.update("generating", progress=101)
            with pytest.raises(TooLarge):
                await work.update("generating", notes="x" * 70_000)
            with pytest.raises(Invalid):
                await work.update("generating", film=object())
            await work.update("generating", step=1)
            await until(lambda: store.status("c").get("step"))
            assert store.status("c")["progress"] == 7


async def test_one_event_is_published(redis_server: RedisServer, store: Stored) -> None:
    """`publish` returns the cursor, or the reason for a refusal."""
    async with producer(redis_server, store) as p:
        first = await p.publish("c", channel="ch", status="complete", data={"size": 3}, attempt=4, seq=9)
        again = await p.publish("c", channel="ch", status="complete", data={"size": 3}, attempt=4, seq=9)
        late = await p.publish("c", channel="ch", data={"status": "generating"}, attempt=3)
    assert first.accepted
    assert first == again
    assert late.reason is Refusal.SUPERSEDED
    assert store.status("c")["size"] == 3
    assert store.fence("c") == (4, 9)


async def test_a_silent_work_is_kept_alive(redis_server: RedisServer, store: Stored) -> None:
    """The lease of a work without updates is renewed, until the work ends."""
    async with producer(redis_server, store) as p:
        async with p.work("c", channel="ch", lease=0.6) as work:
            await work.update("generating", progress=5)
            await until(lambda: store.lease("c"))
            first = store.lease("c") or 0.0
            # It would have run out two leases ago.
            await until(lambda: (store.lease("c") or 0.0) > first + 1200)
            due = commands.due_call(store.prefix, None, 10, commands.Settings())
            assert commands.due(store.call(due)).overdue == []
            assert store.status("c")["progress"] == 5
        assert store.lease("c") is None
        events = store.events()
        assert events >= 5
        async with p.work("other", channel="ch", lease=0.6) as work:
            await work.update("generating")
            await until(lambda: store.events() >= events + 4)
    assert store.status("c")["status"] == "complete"
    assert store.fence("c")[1] == events
    assert store.redis.sismember("hub:tenants", store.tenant)


async def test_a_work_without_a_lease_holds_none(redis_server: RedisServer, store: Stored) -> None:
    """With `lease=None` a work is stored without a lease."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch", lease=None) as work:
        await work.update("generating")
        await until(lambda: store.lookup("c"))
        assert store.lease("c") is None


async def test_a_stalled_work_goes_on(redis_server: RedisServer, store: Stored) -> None:
    """A work that the hub ended as stalled continues under a new attempt with its latest state."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch") as work:
        await work.update("generating", progress=5)
        await until(lambda: work.attempt)
        assert work.attempt == 1
        store.stall("c")
        await work.update("generating", progress=6)
        await until(lambda: store.status("c")["progress"] == 6)
        assert store.status("c").get("error_code") is None
        await until(lambda: work.attempt == 2)
        assert store.fence("c")[0] == 2
        store.stall("c")
        assert await work.complete()
        assert work.refused is None
    assert store.status("c")["status"] == "complete"


async def test_an_attempt_of_its_own_is_not_reopened(redis_server: RedisServer, store: Stored) -> None:
    """A work whose attempt the caller chose is refused as closed, and is not interrupted."""
    async with producer(redis_server, store) as p, p.work("c", channel="ch", attempt=3) as work:
        await work.update("generating")
        await until(lambda: store.lease("c"))
        store.stall("c")
        assert not await work.complete()
        assert work.refused is Refusal.CLOSED
    assert store.status("c")["error_code"] == "stalled"


async def test_a_later_run_joins_an_attempt_of_its_caller(redis_server: RedisServer, store: Stored) -> None:
    """The seqs of a second run under the same attempt are higher than those of the first."""
    for n in (1, 2):
        async with producer(redis_server, store) as p:
            await p.work("c", channel="ch", attempt=3, n=n).update("generating")
        assert store.status("c")["n"] == n
    assert store.fence("c")[0] == 3


async def test_a_later_run_supersedes(
    redis_server: RedisServer, store: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    """The earlier run of a content is refused afterwards: one warning, no exception, no more events."""
    async with producer(redis_server, store) as p, producer(redis_server, store) as q:
        async with p.work("c", channel="ch") as early:
            await early.update("generating", by="early")
            await until(lambda: store.status("c").get("by") == "early")
            async with q.work("c", channel="ch") as late:
                await late.update("generating", by="late")
                await until(lambda: store.status("c").get("by") == "late")
                events = store.events()
                for n in range(50):
                    await early.update("generating", by="early", n=n)
                await until(lambda: early.refused)
                await early.update("generating", by="early")
        assert early.refused is Refusal.SUPERSEDED
    assert store.status("c")["by"] == "late"
    assert store.events() == events + 1
    assert len([r for r in caplog.records if "superseded" in r.getMessage()]) == 1


async def test_a_content_of_another_channel_is_refused(redis_server: RedisServer, store: Stored) -> None:
    """A work on a content of another channel has the reason of the refusal."""
    async with producer(redis_server, store) as p:
        await p.publish("c", channel="ch", status="generating")
        async with p.work("c", channel="elsewhere") as work:
            assert not await work.complete()
        assert work.refused is Refusal.WRONG_CHANNEL


async def test_many_contents_leave_in_few_calls(redis_server: RedisServer, store: Stored) -> None:
    """2,500 contents, more than one call takes, are all stored."""
    async with producer(redis_server, store) as p:
        works = [p.work(f"c{n}", channel="ch") for n in range(2_500)]
        for work in works:
            await work.update("generating")
        await until(lambda: store.events() == 2_500)


async def test_a_killed_redis_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """While Redis is down the latest state is kept; after its restart it is stored once."""
    with running_redis(tmp_path) as server, stored(server.url, "acme") as store:
        p = Producer(server.url, tenant="acme", rate=1000, patience=WAIT_SECONDS)
        async with p, p.work("c", channel="ch") as work:
            await work.update("generating", n=1)
            await until(lambda: store.status("c").get("n") == 1)
            server.kill()
            for n in range(2, 100):
                await work.update("generating", n=n)
                await anyio.lowlevel.checkpoint()
            server.start()
        assert store.status("c")["status"] == "complete"
        assert store.status("c")["n"] == 99
        assert store.events() <= 4


async def test_a_redis_that_lost_its_data_is_served_again(tmp_path: Path) -> None:
    """The library, the tenant's registration and the state are there again after Redis lost its data."""
    with running_redis(tmp_path, appendonly=False) as server, stored(server.url, "acme") as store:
        p = Producer(server.url, tenant="acme", patience=WAIT_SECONDS)
        async with p, p.work("c", channel="ch", lease=0.3) as work:
            await work.update("generating", n=1)
            await until(lambda: store.events())
            server.kill()
            server.start()
            await until(lambda: store.status("c"))
            assert store.status("c")["n"] == 1
            assert store.redis.smembers("hub:tenants") == {b"acme"}


async def test_a_repeat_after_a_lost_answer_is_stored_once(redis_server: RedisServer, store: Stored) -> None:
    """A stored event whose answer was lost is sent again, and recognised as a repeat."""
    async with Proxy(("127.0.0.1", redis_server.port)) as relay:
        url = f"redis://127.0.0.1:{relay.port}/0"
        async with Producer(url, tenant=store.tenant, patience=WAIT_SECONDS) as p:
            await p.publish("warm", channel="ch", status="idle", lease=60)
            relay.losing = 3
            work = p.work("c", channel="ch")
            await work.update("generating", progress=9)
            await until(lambda: relay.lost == 3)
            assert store.events() == 2
            assert store.status("c")["progress"] == 9
            await work.complete()
    assert store.status("c")["status"] == "complete"
    assert store.events() == 3
    assert store.fence("c")[1] == 2


async def test_one_event_is_sent_once(redis_server: RedisServer, store: Stored) -> None:
    """`publish` does not repeat an event that may have arrived."""
    async with (
        Proxy(("127.0.0.1", redis_server.port)) as relay,
        Producer(f"redis://127.0.0.1:{relay.port}/0", tenant=store.tenant) as p,
    ):
        await p.publish("c", channel="ch", status="idle")
        relay.losing = 1
        with pytest.raises(BrokerUnavailable):
            await p.publish("c", channel="ch", status="generating")
    assert store.events() == 2


@pytest.mark.parametrize("answer", ["{0, 'mood'}", "{1, 'nonsense'}", "{1}", "{}", "7"])
async def test_functions_of_another_version_are_an_outage(tmp_path: Path, answer: str) -> None:
    """An answer that cannot be parsed is an outage, not an error of the work."""
    with running_redis(tmp_path, appendonly=False) as server, stored(server.url, "default") as store:
        code = "".join(
            f"redis.register_function{{ function_name = '{commands.FUNCTION}{name}', "
            f"callback = function() return {value} end, flags = {{ 'no-writes' }} }}\n"
            for name, value in (("publish", answer), ("version", commands.MINOR))
        )
        store.redis.function_load(f"#!lua name=statushub{commands.MAJOR}\n{code}")
        async with Producer(server.url, patience=0.05) as p:
            async with p.work("c", channel="ch") as work:
                assert not await work.complete()
            with pytest.raises(BrokerUnavailable):
                await p.publish("c", channel="ch", status="idle")


async def test_an_absent_hub_fails_no_work(caplog: pytest.LogCaptureFixture) -> None:
    """Without a hub, works run to their end, and the log names what was not delivered."""
    async with Producer(f"redis://127.0.0.1:{free_port()}", patience=0.1) as p:
        async with p.work("c", channel="ch") as work:
            await work.update("generating", progress=1)
            assert not await work.complete()
        with pytest.raises(BrokerUnavailable):
            await p.publish("d", channel="ch", status="idle")
    messages = [r.getMessage() for r in caplog.records]
    assert len([m for m in messages if "states are kept" in m]) == 1
    assert "the final state of 1 contents could not be delivered: c" in messages


async def test_patience_is_spent_once_per_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Consecutive works do not each wait for a hub that is known to be away."""
    with anyio.fail_after(WAIT_SECONDS):
        async with Producer(f"redis://127.0.0.1:{free_port()}", patience=0.2) as p:
            for n in range(1_000):
                async with p.work(f"c{n}", channel="ch"):
                    pass
    assert "1000 contents" in caplog.text
    assert "c19, …" in caplog.text


async def test_a_state_that_exceeded_its_patience_is_delivered_later(tmp_path: Path) -> None:
    """A final state whose patience is spent is delivered when Redis is back, before the producer ends."""
    with running_redis(tmp_path) as server, stored(server.url, "acme") as store:
        server.kill()
        async with Producer(server.url, tenant="acme", patience=0.05) as p:
            async with p.work("c", channel="ch") as work:
                assert not await work.complete()
            server.start()
            await until(lambda: store.status("c").get("status") == "complete")


async def test_a_wrong_password_is_not_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong password is not an outage: the work ends without waiting, with one line in the log."""
    with running_redis(tmp_path, appendonly=False, arguments=("--requirepass", "secret")) as server:
        url = f"redis://:guess@127.0.0.1:{server.port}"
        async with Producer(url, patience=WAIT_SECONDS) as p:
            for content_id in ("c", "d"):
                async with p.work(content_id, channel="ch") as work:
                    assert not await work.complete()
            with pytest.raises(Denied, match=f"^redis://127.0.0.1:{server.port} refuses the user"):
                await p.publish("c", channel="ch", status="idle")
    assert len([r for r in caplog.records if "states are dropped" in r.getMessage()]) == 1
    assert "content 'd': its final state could not be delivered" in caplog.text
    assert "guess" not in caplog.text


async def test_a_redis_without_functions_is_named(tmp_path: Path) -> None:
    """A Redis without functions is not an outage; the error names the version that is needed."""
    with running_redis(tmp_path, appendonly=False, arguments=("--rename-command", "FCALL", "")) as server:
        async with Producer(server.url) as p:
            with pytest.raises(Denied, match="Redis 7"):
                await p.publish("c", channel="ch", status="idle")


async def test_a_temporary_refusal_is_retried(tmp_path: Path) -> None:
    """A Redis that refuses writes temporarily gets the state when it accepts them again."""
    with running_redis(tmp_path, appendonly=False) as server, stored(server.url, "acme") as store:
        async with Producer(server.url, tenant="acme", patience=WAIT_SECONDS) as p:
            await p.publish("c", channel="ch", status="idle")
            store.redis.config_set("maxmemory", "1")
            with pytest.raises(BrokerUnavailable):
                await p.publish("c", channel="ch", status="idle")
            async with p.work("c", channel="ch") as work:
                await work.update("generating")
                store.redis.config_set("maxmemory", "0")
        assert store.status("c")["status"] == "complete"


WITHOUT_EXTRAS = """
import sys
for module in {extras!r}:
    sys.modules[module] = None
from statushub import SyncProducer
with SyncProducer({url!r}, tenant={tenant!r}) as producer:
    print(producer.publish("c", channel="ch", status="complete", lease=60).accepted)
"""


def test_a_worker_needs_no_extra(redis_server: RedisServer, store: Stored) -> None:
    """Publishing into Redis needs neither a web server nor hiredis."""
    script = WITHOUT_EXTRAS.format(extras=[*EXTRAS], url=redis_server.url, tenant=store.tenant)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.stdout, ended.stderr) == ("True\n", "")
    assert store.status("c")["status"] == "complete"


async def test_a_unix_socket_and_a_database(tmp_path: Path) -> None:
    """A Unix socket works, and keys name the database."""
    path = tmp_path / "redis.sock"
    with running_redis(tmp_path, appendonly=False, arguments=("--unixsocket", str(path))) as server:
        async with Producer(f"unix://{path}?db=2", tenant="acme") as p, p.work("c", channel="ch"):
            pass
        with stored(f"redis://127.0.0.1:{server.port}/2", "acme") as store:
            assert store.redis.exists("hub2:{acme}:content:c")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///statushub.db", "hub's address"),
        ("memory:", "hub's address"),
        ("amqp://localhost", "the schemes are redis, rediss, unix, redis\\+sentinel, .*, http, https"),
        ("redis+sentinel://localhost", "must name the service"),
        ("redis://localhost?retry_on_timeout=yes", "option 'retry_on_timeout' is not one of"),
        ("localhost:6379", "cannot publish to localhost: it has no scheme"),
        ("//localhost", "it has no scheme"),
        ("redis://localhost:port", "URL of the Redis is malformed"),
        ("http://[::1", "is malformed"),
        ("http://local\x00host", "is malformed"),
    ],
)
def test_an_unusable_address_is_refused(url: str, words: str) -> None:
    """An address that cannot be published to raises in the constructor, with what would be right."""
    with pytest.raises(ConfigError, match=words) as caught:
        Producer(url)
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    "url", ["http://u:s3cret\u2100@host", "http://u:s3cret@host:port", "redis://u:s3cret@host:port"]
)
def test_a_malformed_address_is_refused_without_its_password(url: str) -> None:
    """Neither the error nor the causes in its traceback contain a secret."""
    with pytest.raises(ConfigError) as caught:
        Producer(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing arguments are read from the environment, or have their defaults."""
    assert settings({}) == {"url": "http://127.0.0.1:8000", "tenant": "default", "token": ""}
    monkeypatch.setenv("STATUSHUB_URL", "sqlite:///x.db")
    with pytest.raises(ConfigError):
        Producer()
    monkeypatch.setenv("STATUSHUB_URL", "redis://localhost")
    monkeypatch.setenv("STATUSHUB_TENANT", "no such tenant!")
    with pytest.raises(Invalid):
        Producer()
    Producer(tenant="acme")
    with pytest.raises(Invalid):
        Producer(tenant="acme", rate=0)


async def test_a_producer_reports_within_its_block(redis_server: RedisServer, store: Stored) -> None:
    """A work is refused before the producer is entered and after it was left."""
    p = producer(redis_server, store)
    with pytest.raises(RuntimeError):
        p.work("c", channel="ch")
    async with p:
        work = p.work("c", channel="ch")
    with pytest.raises(RuntimeError):
        p.work("c", channel="ch")
    assert work.refused is None


async def test_the_return_of_the_hub_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the end of an outage as well as its beginning."""
    caplog.set_level(logging.INFO, "statushub.producers")
    with running_redis(tmp_path) as server:
        server.kill()
        async with Producer(server.url, patience=WAIT_SECONDS) as p, p.work("c", channel="ch") as work:
            await work.update("generating")
            await until(lambda: "states are kept" in caplog.text)
            server.start()
    assert "takes states again" in caplog.text
