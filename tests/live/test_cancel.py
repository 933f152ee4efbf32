"""A request to cancel, from the one who asks to the worker that ends."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import statushub
from statushub import Cancelled, CancelRequest, Producer, SyncProducer
from statushub.hub.brokers.contract import CANCEL_GRACE, CANCEL_LEASE
from statushub.hub.model.cancel import REASON_CHARACTERS
from statushub.hub.model.receipt import Refusal
from tests.support.command import command, ended, line_with, started
from tests.support.live import LiveHub, live_hub
from tests.support.redis_server import RedisServer
from tests.support.socket_client import open_socket
from tests.support.sse_client import stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import WAIT_SECONDS, eventually

STATUS = "content_status_update"


@pytest.fixture(scope="module")
def redis_url(redis_server: RedisServer) -> str:
    return f"redis://127.0.0.1:{redis_server.port}/12"


@pytest.fixture(scope="module", params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def hub(request: pytest.FixtureRequest) -> Iterator[LiveHub]:
    """A hub on each broker; tests have contents of their own."""
    url = "memory:" if request.param == "memory" else request.getfixturevalue("redis_url")
    with live_hub(url) as hub:
        yield hub


@pytest.fixture
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.base_url, timeout=WAIT_SECONDS) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of a content, and of a channel, of the test's own."""
    return re.sub("[^a-z0-9]+", "-", request.node.name)


def put(client: httpx.Client, name: str, status: str = "generating", **more: Any) -> dict[str, Any]:
    """Publish the content `name` in the channel `name`."""
    event = {"channel": name, "content_id": name, "data": {"status": status}} | more
    answer: dict[str, Any] = client.post("/api/publish", json=event).raise_for_status().json()
    return answer


def cancel(client: httpx.Client, name: str, **more: Any) -> httpx.Response:
    return client.post(f"/api/contents/{name}/cancel", json={"content_id": name} | more)


def state(client: httpx.Client, name: str) -> dict[str, Any]:
    """The content's state in its channel."""
    [found] = client.get(f"/api/contents/{name}").json()["contents"]
    return dict(found)


def test_the_request_is_answered_and_shown(client: httpx.Client, name: str) -> None:
    """In pages and batches, with who asked, when and why; the rest of the state is as it was."""
    put(client, name, data={"status": "generating", "progress": 40})
    answer = cancel(client, name, reason="no longer needed")
    assert answer.status_code == 200
    wish = answer.json()["cancel_requested"]
    assert (wish["by"], wish["reason"]) == (None, "no longer needed")
    assert re.fullmatch(r"20\d\d-.*Z", wish["at"])
    eventually(lambda: "cancel_requested" in state(client, name))
    found = state(client, name)
    assert (found["cancel_requested"], found["progress"]) == (wish, 40)
    [line] = client.post("/api/contents/status/batch", json={"content_ids": [name]}).json()["statuses"]
    assert line["cancel_requested"] == wish
    assert cancel(client, name, reason="again").json() == answer.json()


def test_viewers_see_it(hub: LiveHub, client: httpx.Client, name: str) -> None:
    """In a stream, a socket and a poll for changes; and in the events that come after it."""
    before = put(client, name)["cursor"]
    with stream(hub, channel=name) as opened, open_socket(hub.base_url, f"/api/contents/{name}/ws") as socket:
        opened.until("ready")
        socket.until("ready")
        answer = cancel(client, name).json()
        put(client, name, data={"status": "generating", "progress": 41})
        frames, messages = [opened.event(), opened.event()], [socket.message(), socket.message()]
    wish = answer["cancel_requested"]
    assert [(it.event, it.json["cancel_requested"], it.json.get("progress")) for it in frames] == [
        (STATUS, wish, None),
        (STATUS, wish, 41),
    ]
    assert frames[0].id == messages[0]["id"] == answer["cursor"]
    assert [it["data"]["cancel_requested"] for it in messages] == [wish, wish]
    found = client.get(f"/api/contents/{name}/changes", params={"since": before}).json()["events"]
    assert [it["data"]["cancel_requested"] for it in found] == [wish]


def test_receipts_tell_the_worker(client: httpx.Client, name: str) -> None:
    """Until its end, whose receipt has nothing of it."""
    assert "cancel_requested" not in put(client, name, run="r1", seq=1)
    wish = cancel(client, name).json()["cancel_requested"]
    assert put(client, name, run="r1", seq=2)["cancel_requested"] == wish
    assert "cancel_requested" not in put(client, name, "error", run="r1", seq=3)
    assert "cancel_requested" not in eventually(
        lambda: state(client, name)["status"] == "error" and state(client, name)
    )


def test_what_cannot_be_cancelled_is_an_error(client: httpx.Client, name: str) -> None:
    """An unknown content and one of another channel are 404, one that has ended 409."""
    put(client, name, "complete")
    for channel, content_id, status, code in (
        (name, name, 409, "ended"),
        (name, "unknown", 404, "not_found"),
        ("elsewhere", name, 404, "not_found"),
    ):
        answer = client.post(f"/api/contents/{channel}/cancel", json={"content_id": content_id})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.json()["error"]["field"] == "content_id"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({}, "content_id", id="no content"),
        pytest.param({"content_id": "a*"}, "content_id", id="no name"),
        pytest.param({"content_id": "a", "reason": 7}, "reason", id="no text"),
        pytest.param({"content_id": "a", "reason": "a\nb"}, "reason", id="not printable"),
        pytest.param({"content_id": "a", "reason": "x" * (REASON_CHARACTERS + 1)}, "reason", id="too long"),
        pytest.param({"content_id": "a", "by": "me"}, "by", id="unknown field"),
    ],
)
def test_a_body_at_fault_is_refused(client: httpx.Client, body: Any, field: str) -> None:
    """The answer is 422 and names the field."""
    answer = client.post("/api/contents/c/cancel", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_producers_cannot_make_requests_up(client: httpx.Client, name: str) -> None:
    """The field is the hub's."""
    answer = client.post(
        "/api/publish", json={"channel": name, "content_id": name, "data": {"status": "idle", "cancel_requested": {}}}
    )
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "data.cancel_requested")


def test_cancelling_needs_a_right() -> None:
    """Patterns of `cancel` or `write` that cover the channel; the request says who asked."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        event = {"channel": "c", "content_id": "a", "data": {"status": "generating"}}
        client.post("/api/publish", json=event, headers=bearer()).raise_for_status()
        asked: dict[str, Any] = {"json": {"content_id": "a"}}
        path = "/api/contents/c/cancel"
        refused: list[dict[str, Any]] = [{"write": []}, {"write": ["d"], "cancel": ["d"]}]
        for rights in refused:
            answer = client.post(path, headers=bearer(**rights), **asked)
            assert (answer.status_code, answer.json()["error"]["field"]) == (403, "channel_id")
        ticket = client.post("/api/tickets", headers=bearer(cancel=["c"])).json()["ticket"]
        assert client.post(path, params={"ticket": ticket}, **asked).status_code == 403
        only = client.post(path, headers=bearer(read=[], write=[], cancel=["c"], sub="anna"), **asked)
        assert only.json()["cancel_requested"]["by"] == "anna"
        event["content_id"] = "b"
        client.post("/api/publish", json=event, headers=bearer()).raise_for_status()
        assert client.post(path, json={"content_id": "b"}, headers=bearer(write=["c"])).is_success


def test_a_poll_waits_for_requests(client: httpx.Client, name: str) -> None:
    """It is answered within seconds of a request, and once; what is in force is answered immediately."""
    put(client, name)
    cursor = client.get("/api/cancels").json()["cursor"]
    asker = threading.Timer(0.0, cancel, (client, name))
    asker.start()
    found = client.get("/api/cancels", params={"since": cursor, "wait": 25}).json()
    asker.join()
    [told] = found["cancels"]
    assert (told["channel"], told["content_id"], told["attempt"]) == (name, name, 1)
    assert told["cancel_requested"]["by"] is None
    assert client.get("/api/cancels", params={"since": found["cursor"], "wait": 1}).json()["cancels"] == []
    assert name in [it["content_id"] for it in client.get("/api/cancels").json()["cancels"]]
    put(client, name, "error")
    eventually(lambda: name not in [it["content_id"] for it in client.get("/api/cancels").json()["cancels"]])


def test_a_poll_tells_a_worker_only_of_its_channels() -> None:
    """Those that its token writes."""
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        for channel in ("mine", "other"):
            event = {"channel": channel, "content_id": channel, "data": {"status": "generating"}}
            client.post("/api/publish", json=event, headers=bearer()).raise_for_status()
            client.post(f"/api/contents/{channel}/cancel", json={"content_id": channel}, headers=bearer())
        found = client.get("/api/cancels", headers=bearer(read=[], write=["mine"])).json()["cancels"]
        assert [it["channel"] for it in found] == ["mine"]
        assert client.get("/api/cancels", headers=bearer(write=[])).status_code == 403


def test_the_broker_is_read_once_for_all_polls() -> None:
    """However many wait, and no longer once none does."""
    with live_hub() as hub:
        reads = 0
        cancels = hub.hub.broker.cancels

        async def counted(tenant: str) -> Any:
            nonlocal reads
            reads += 1
            return await cancels(tenant)

        hub.hub.broker.cancels = counted  # type: ignore[method-assign]

        async def polls() -> None:
            async with httpx.AsyncClient(base_url=hub.base_url, timeout=WAIT_SECONDS) as client:
                await asyncio.gather(*(client.get("/api/cancels", params={"wait": 2}) for _ in range(30)))

        began = time.monotonic()
        asyncio.run(polls())
        assert reads <= time.monotonic() - began + 2
        eventually(lambda: not hub.hub._cancels._reads)


@pytest.mark.parametrize("address", ["http", pytest.param("redis", marks=pytest.mark.redis)])
class TestWorker:
    """The SDK, over HTTP and straight into Redis."""

    @pytest.fixture
    def served(self, redis_url: str) -> Iterator[LiveHub]:
        with live_hub(redis_url) as hub:
            yield hub

    @pytest.fixture
    def url(self, address: str, served: LiveHub, redis_url: str) -> str:
        return served.base_url if address == "http" else redis_url

    @pytest.fixture
    def asker(self, served: LiveHub, name: str) -> Iterator[Callable[[], None]]:
        """Cancels the content once it is there."""
        with httpx.Client(base_url=served.base_url, timeout=WAIT_SECONDS) as client:

            def ask() -> None:
                eventually(lambda: cancel(client, name, reason="enough").is_success)

            yield ask

    def test_a_work_learns_of_it_without_a_report(self, url: str, asker: Callable[[], None], name: str) -> None:
        """By the watch: it says nothing meanwhile. Raising `Cancelled` ends it as cancelled."""
        with SyncProducer(url) as producer:
            work = producer.work(name, channel=name, lease=0)

            def stop_on_request() -> None:
                with work:
                    assert work.cancel_requested is None
                    asker()
                    raise Cancelled(eventually(lambda: work.cancel_requested))

            with pytest.raises(Cancelled) as raised:
                stop_on_request()
            request = raised.value.request
            assert request is not None
            assert (request.reason, request.by) == ("enough", None)
            self.ended_as_cancelled(producer, url, name)

    def ended_as_cancelled(self, producer: SyncProducer, url: str, name: str) -> None:
        receipt = producer.publish(name, channel=name, status="generating")
        assert receipt.reason is Refusal.CLOSED

    def test_waiting_for_it(self, url: str, asker: Callable[[], None], name: str) -> None:
        """`wait_cancelled` returns the request; None after its time, and where the work ends before."""
        with SyncProducer(url) as producer, producer.work(name, channel=name) as work:
            assert work.wait_cancelled(0.01) is None
            threading.Timer(0.0, asker).start()
            request = work.wait_cancelled(WAIT_SECONDS)
            assert isinstance(request, CancelRequest)
            assert statushub.current().cancel_requested == request
            work.complete()
            with producer.work(f"{name}-other", channel=name) as other:
                threading.Timer(0.0, other.complete).start()
                assert other.wait_cancelled(WAIT_SECONDS) is None

    @pytest.mark.anyio
    async def test_awaiting_it(self, url: str, asker: Callable[[], None], name: str) -> None:
        """`cancelled()` returns the request, and may be cancelled itself."""
        async with Producer(url) as producer, producer.work(name, channel=name) as work:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(work.cancelled(), 0.01)
            await asyncio.to_thread(asker)
            request = await asyncio.wait_for(work.cancelled(), WAIT_SECONDS)
            assert request is not None
            assert work.cancel_requested == request

    def test_a_receipt_tells_where_nothing_was_asked(self, url: str, asker: Callable[[], None], name: str) -> None:
        """Without a watch the next report does."""
        with SyncProducer(url, rate=100) as producer, producer.work(name, channel=name) as work:
            eventually(lambda: work.attempt is not None)
            asker()

            def told() -> bool:
                work.update(progress=1)
                return work._run.cancel is not None

            eventually(told)
            assert producer._sending()._cancels._task is None

    def test_the_watch_ends_with_the_last_work(self, url: str, name: str) -> None:
        """And begins again with the next one that asks; all on one thread."""
        with SyncProducer(url) as producer:
            watch = producer._sending()._cancels
            for number in range(2):
                with producer.work(f"{name}-{number}", channel=name) as work:
                    assert work.cancel_requested is None
                    eventually(lambda: watch._task is not None and not watch._task.done())
                eventually(lambda: watch._task is not None and watch._task.done())
            named = [it.name for it in threading.enumerate() if it.name == "statushub"]
            assert len(named) == 1

    def test_a_loop_that_may_be_cancelled_stops(self, url: str, asker: Callable[[], None], name: str) -> None:
        """At the next item, by `Cancelled`; another one is not interrupted."""

        def forever() -> Iterator[int]:
            number = 0
            while True:
                yield (number := number + 1)
                threading.Event().wait(0.01)

        with SyncProducer(url) as producer:
            threading.Timer(0.0, asker).start()
            with pytest.raises(Cancelled, match="enough"):
                for _ in statushub.track(forever(), channel=name, content_id=name, producer=producer, cancellable=True):
                    pass
            self.ended_as_cancelled(producer, url, name)

    def test_other_loops_go_on(self, url: str, asker: Callable[[], None], name: str) -> None:
        """To their end, which is shown."""
        with SyncProducer(url) as producer:
            for number in statushub.track(range(3), channel=name, content_id=name, producer=producer):
                if number == 1:
                    asker()
            assert producer.publish(name, channel=name, status="generating").reason is Refusal.CLOSED

    @pytest.mark.anyio
    async def test_an_asynchronous_loop_stops(self, url: str, asker: Callable[[], None], name: str) -> None:
        """As the ordinary one."""

        async def forever() -> Any:
            while True:
                yield 1
                await asyncio.sleep(0.01)

        async with Producer(url) as producer:
            asking = asyncio.create_task(asyncio.to_thread(asker))
            with pytest.raises(Cancelled):
                async for _ in statushub.atrack(
                    forever(), channel=name, content_id=name, producer=producer, cancellable=True
                ):
                    pass
            await asking

    def test_a_work_that_goes_on_stays_cancelled(
        self, served: LiveHub, url: str, asker: Callable[[], None], name: str
    ) -> None:
        """Ended by the sweeper, it is not opened again by the reports that follow."""
        with SyncProducer(url, rate=100) as producer, producer.work(name, channel=name, lease=3600) as work:
            asker()

            def told() -> bool:
                work.update(progress=1)
                return work.cancel_requested is not None

            eventually(told)
            now = time.time()
            for passed in range(0, int(CANCEL_LEASE + CANCEL_GRACE) + 4, 4):
                served.run(served.hub.broker.expire(now + passed))

            def refused() -> bool:
                work.update(progress=2)
                return work.refused is Refusal.CLOSED

            eventually(refused)
        found = httpx.get(f"{served.base_url}/api/contents/{name}").json()["contents"][0]
        assert (found["status"], found["error_code"]) == ("error", "cancelled")


def test_a_token_for_cancelling(tmp_path: Path) -> None:
    """`statushub token --cancel` signs one that cancels and no more; the command says what the hub says."""
    env = {"STATUSHUB_SECRET": SECRET}
    signed = command("token", "--cancel", "jobs/*", "--sub", "anna", env=env, cwd=tmp_path).stdout.strip()
    with live_hub(secret=SECRET) as hub, httpx.Client(base_url=hub.base_url) as client:
        event = {"channel": "jobs/a", "content_id": "x", "data": {"status": "generating"}}
        tenant = {"tenant": "default"}
        client.post("/api/publish", json=event, headers=bearer(**tenant)).raise_for_status()
        options = ("--hub", hub.base_url, "--token", signed)
        done = command("cancel", "jobs/a", "x", "--reason", "wrong file", *options)
        assert (done.returncode, done.stdout) == (0, "cancel requested: x\n")
        [found] = client.get("/api/contents/jobs/a", headers=bearer(**tenant)).json()["contents"]
        assert found["cancel_requested"] | {"at": ""} == {"by": "anna", "at": "", "reason": "wrong file"}
        unknown = command("cancel", "jobs/a", "y", *options)
        assert (unknown.returncode, unknown.stdout) == (2, "")
        assert "no such content" in unknown.stderr
        assert command("cancel", "films", "x", *options).returncode == 2


def test_an_encode_stops(hub: LiveHub, client: httpx.Client, tmp_path: Path, name: str) -> None:
    """It ends as cancelled, with its own exit code, and leaves neither temporary files nor a process."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    options = ("--hub", hub.base_url, "--channel", name, "--content-id", name, "--destination", "out")
    arguments = ("encode", "--sample", "60", "--preset", "veryslow", "--threads", "1", *options)
    with started(*arguments, cwd=tmp_path, env={"TMPDIR": str(scratch)}) as process:
        line_with(process, "transcoding", of="stderr")
        asked = time.monotonic()
        assert cancel(client, name, reason="wrong file").is_success
        process.wait(WAIT_SECONDS)
        took = time.monotonic() - asked
        code, out, err = ended(process)
    assert (code, out) == (3, "")
    assert "statushub: The work was cancelled: wrong file" in err
    assert took < WAIT_SECONDS
    eventually(lambda: state(client, name)["status"] == "error")
    found = state(client, name)
    assert (found["error_code"], found["error_message"]) == ("cancelled", "The work was cancelled: wrong file")
    assert list(scratch.iterdir()) == []
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_poll_does_not_delay_the_end_of_a_hub() -> None:
    """It is answered when the hub drains."""
    with live_hub() as hub, httpx.Client(base_url=hub.base_url, timeout=WAIT_SECONDS) as client:
        answers: list[int] = []
        poll = threading.Thread(
            target=lambda: answers.append(client.get("/api/cancels", params={"wait": 25}).status_code)
        )
        poll.start()
        eventually(lambda: hub.hub._cancels._waiting)
        hub.call(hub.hub.drain)
        poll.join(15)
        assert answers == [200]
