"""The benchmark's harness, with tiny numbers: that it counts what there is to count. It asserts no times."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import unquote

import anyio
import httpx
import pytest

from tests.bench import answers, budget, bystander, centrifugo, counters, feeds, growth, index, readers, report, several
from tests.bench.harness import Results, Sample, run
from tests.bench.load import Lost, compiled, loading
from tests.bench.servers import SERVERS
from tests.bench.session import Session, session
from tests.bench.workloads import Case, one_at_a_time

VIEWERS = 20
PATIENCE = 60
DELIVERIES = 400

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator is written in C")


def empty() -> Results:
    return Results(machine={}, versions={}, commands=[], samples=[], skipped={})


@needs_compiler
def test_competitors_are_measured_in_turn() -> None:
    """Each is started, delivers every event to every viewer, and is reported without a problem."""
    case = Case(
        workload="a",
        label="20 viewers",
        size=VIEWERS,
        measure=one_at_a_time(VIEWERS, DELIVERIES),
        servers=("hub-embedded", "floor"),
    )
    results, told = empty(), list[str]()
    run([case], rounds=1, servers=None, results=results, told=told.append)
    assert [(sample.server, sample.problem) for sample in results.samples] == [("hub-embedded", ""), ("floor", "")]
    assert all(sample.values["cpu_us"] > 0 for sample in results.samples)
    assert len(results.ratios("a", "20 viewers", "hub-embedded", "floor", "cpu_us")) == len(told) - 1 == 1


@needs_compiler
@pytest.mark.parametrize("name", ["hub-embedded", "floor", pytest.param("hub-websocket", marks=pytest.mark.redis)])
def test_every_delivery_is_counted(name: str, tmp_path: Path) -> None:
    """So many streams and events make so many deliveries, each in order."""
    with session(SERVERS[name], tmp_path) as opened:
        load = opened.load(contents=1000)
        assert load.ask("connect", VIEWERS).checked().open == VIEWERS
        answer = load.ask("publish", 20, 0).checked()
        assert answer.delivered == answer.expected == VIEWERS * 20
        assert load.ask("reconnect").checked().open == VIEWERS


@needs_compiler
def test_a_lost_event_is_noticed(tmp_path: Path) -> None:
    """A refused request or a missing delivery invalidates the measurement."""
    with session(SERVERS["hub-embedded"], tmp_path) as opened:
        load = opened.load(template=opened.server.template(0).replace(b'"status"', b'"nonsense"'))
        load.ask("connect", 1).checked()
        with pytest.raises(Lost, match="1 requests refused"):
            load.ask("publish", 1, 0).checked()


@needs_compiler
def test_a_lost_stream_ends_the_measurement(tmp_path: Path) -> None:
    """What it was to get is not waited for, although heartbeats keep coming on the others."""
    template = tmp_path / "template"
    template.write_bytes(b"@@@@@@@@@@~~~~~~~~~~~~~~~~~~~")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        options = {"port": server.getsockname()[1], "template": template}
        load = stack.enter_context(loading(compiled("load", tmp_path), **options))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        opening = pool.submit(load.ask, "connect", 2)
        streams = [stack.enter_context(server.accept()[0]) for _ in range(2)]
        for stream in streams:
            stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        assert opening.result(PATIENCE).checked().open == 2
        publishing = pool.submit(load.ask, "publish", 2, 0)
        streams[0].close()
        while not publishing.done():
            with contextlib.suppress(OSError):
                streams[1].sendall(b":\n\n")
            wait([publishing], timeout=0.1)
        with pytest.raises(Lost, match="1 streams lost"):
            publishing.result().checked()


@needs_compiler
def test_a_cursor_goes_where_the_server_takes_it(tmp_path: Path) -> None:
    """In the path of those that read it there, else as Last-Event-ID; the streams take the ports in turn."""
    template = tmp_path / "template"
    template.write_bytes(b"")
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = ",".join(str(server.getsockname()[1]) for server in servers)
        options = {"port": ports, "path": "/new/%s", "template": template}
        for more, expected in (
            ({"resume": "/old/%s?at=%s"}, ["GET /old/ch-000000?at=%22 HTTP/1.1"]),
            ({}, ["GET /new/ch-000000 HTTP/1.1", "Last-Event-ID: %22"]),
        ):
            load = stack.enter_context(loading(compiled("load", tmp_path), **options, **more))
            pool = stack.enter_context(ThreadPoolExecutor(1))
            answer = pool.submit(load.ask, "connect", 2, "%22")
            for server in servers:
                stream = stack.enter_context(server.accept()[0])
                lines = stream.recv(4096).decode().split("\r\n")
                assert [line for line in lines if line.startswith(("GET", "Last"))] == expected
                stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            assert answer.result(PATIENCE).checked().open == 2


def test_a_position_of_centrifugo_is_read_from_its_stream() -> None:
    """It is the last event's, in the form of the path that resumes there."""
    connected = b'data: {"connect":{"subs":{"ch-000000":{"recoverable":true,"epoch":"AbCd","offset":7}},"ping":15}}\n\n'
    assert centrifugo.cursor(b"") is None
    position = centrifugo.cursor(connected + b'data: {"channel":"ch-000000","pub":{"data":{},"offset":8}}\n\n')
    assert position is not None
    path = unquote(centrifugo.RESUME % ("ch-000000", position))
    assert path.endswith('={"subs":{"ch-000000":{"recover":true,"offset":8,"epoch":"AbCd"}}}')


def test_a_failure_does_not_end_a_run(tmp_path: Path) -> None:
    """It is reported in the place of the measurement, and the next one is made."""

    def measure(opened: Session, server: str) -> dict[str, float]:
        if server == "hub-embedded":
            raise KeyError("seconds")
        return {"cpu_us": 1.0}

    case = Case(workload="a", label="1,000 viewers", size=1, measure=measure, servers=("hub-embedded", "sse-starlette"))
    results = empty()
    run([case], rounds=1, servers=None, results=results, told=list[str]().append)
    assert [(it.server, bool(it.problem)) for it in results.samples] == [
        ("hub-embedded", True),
        ("sse-starlette", False),
    ]
    report.write(results, tmp_path)
    assert "- (a) 1,000 viewers, Statushub embedded: KeyError" in (tmp_path / report.MARKDOWN).read_text()


@needs_compiler
@pytest.mark.redis
def test_one_process_of_several_dies(tmp_path: Path) -> None:
    """Both have viewers, those of the one that is killed reconnect, and none misses a state."""
    with session(several.SEVERAL["workers-2"], tmp_path) as opened:
        spread = several.fan_out(2 * VIEWERS, DELIVERIES, VIEWERS)(opened, "workers-2")
        assert 1 <= spread["fullest"] < 2
    (tmp_path / "again").mkdir()
    with session(several.SEVERAL["workers-2"], tmp_path / "again") as opened:
        found = several.death(viewers=VIEWERS, contents=3, rate=20, seconds=2)(opened, "workers-2")
    assert found["affected"] >= VIEWERS / 2
    assert found["reconnects"] >= 1
    assert (found["missed"], found["disordered"]) == (0, 0)


def test_counters_repeat() -> None:
    """The same fan-out makes the same calls each time."""
    first, second = (anyio.run(counters.count, 10, 5) for _ in range(2))
    assert (first["calls"], first["bytecodes"]) == (second["calls"], second["bytecodes"])
    assert first["calls"] >= 1


@needs_compiler
@pytest.mark.redis
def test_the_index_is_measured_with_and_without_it(tmp_path: Path) -> None:
    """Each page has its cost; the library without the index keeps none, and publishes the same."""
    with session(SERVERS["hub-redis"], tmp_path) as opened:
        page = index.first_page(50, 1.0)(opened, "hub-redis")
        assert min(page.values()) > 0
        assert len(httpx.get(f"http://127.0.0.1:{opened.server.port}/api/channels").json()["channels"]) == 50
        found = index.keeping(50, 50, 2)(opened, "hub-redis")
        assert min(found.values()) > 0
        assert opened.server.redis is not None
        told = opened.server.redis.command("--raw", "keys", "hub:{bare}:*").split()
        assert {name.split(":")[2] for name in told} == {
            "clock",
            "leases",
            "ends",
            "rates",
            "content",
            "channel",
            "counts",
        }
        assert opened.server.redis.command("zcard", "hub:{default}:index").strip() == "50"


def test_the_report_judges_by_medians(tmp_path: Path) -> None:
    """A budget line is met or missed by the median of its ratios, each made within one round."""
    results = empty()
    for number, (ours, theirs) in enumerate([(7.0, 10.0), (30.0, 10.0), (7.5, 10.0)]):
        for server, value in (("hub-redis", ours), ("nchan", theirs)):
            results.samples.append(
                Sample(
                    workload="a",
                    label="1,000 viewers",
                    size=1000,
                    server=server,
                    round=number,
                    values={"cpu_us": value},
                )
            )
    [verdict] = [verdict for verdict in budget.verdicts(results) if verdict.line.name == "a-nchan-1000"]
    assert verdict.kept
    report.write(results, tmp_path)
    assert report.read(tmp_path) == results
    assert "| met | (a) CPU per delivery, 1,000 viewers, to nchan's" in (tmp_path / report.MARKDOWN).read_text()
    assert (tmp_path / report.PICTURE).read_text().startswith("<svg")


@pytest.mark.redis
@pytest.mark.parametrize("act", ["unread batches", "fills"])
def test_a_tenant_is_measured_beside_its_neighbour(act: str) -> None:
    """Its polls and deliveries are counted, and none of its publishes is refused."""
    found = bystander.measure(act, sys.executable, seconds=0.5)
    assert 0 < found.poll_p99 <= found.poll_worst
    assert 0 < found.delivery_p99 <= found.delivery_worst
    assert found.refused == 0


@pytest.mark.anyio
async def test_deltas_onto_both_texts_are_measured() -> None:
    """Each call is accepted, and has a cost."""
    cost = await growth.measure("memory:", calls=2)
    assert min(cost.short_us, cost.long_us, cost.times) > 0


def test_a_growing_text_is_measured_before_its_readers(tmp_path: Path) -> None:
    """Every delta reaches those that take them, the others get some whole states, and plain events are compared."""
    costs = readers.measure(viewers=5, deltas=40, rate=100, plain=20, programs=tmp_path)
    assert (costs.plain.deliveries, costs.deltas.deliveries) == (100, 200)
    assert 5 <= costs.wholes.deliveries < 200
    assert min(costs.plain.cpu_us, costs.deltas.cpu_us, costs.deltas.viewer_bytes, costs.memory) > 0


def test_an_answer_is_read_by_pages(tmp_path: Path) -> None:
    """Each has the text in the end; those that come back or late get it in few frames."""
    pages = answers.measure(answers.statushub, pieces=20, missed=5, rate=100)
    assert pages.all.frames > 1
    assert pages.missed.bytes > 5 * len(answers.PIECE)
    assert pages.late.bytes > 15 * len(answers.PIECE)


@pytest.mark.parametrize("store", ["SQLite", pytest.param("Redis", marks=pytest.mark.redis)])
def test_a_page_and_a_hot_video_of_a_feed_are_counted(store: str, tmp_path: Path) -> None:
    """Both ways of asking are measured, and the viewer has all increments in the end."""
    with feeds.served(store, tmp_path) as hub:
        for together in (True, False):
            cost = feeds.pages(hub, together=together, seconds=0.1)
            assert cost.calls_per_second > 0
            assert cost.cpu_ms > 0
        assert feeds.hot(hub, rate=1_000, seconds=0.5).complete
