"""The trace of a content, from its producer over the hub to the write, as a receiver of OTLP gets it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from statushub.hub.model.traceparent import parse
from tests.support.command import ended, serving
from tests.support.hub_process import HubProcess, hub_process
from tests.support.otlp_receiver import ReceivedSpan, Receiver, otlp_receiver
from tests.support.publishing import publish
from tests.support.redis_server import RedisServer
from tests.support.script import ran
from tests.support.sse_client import stream
from tests.support.tokens import SECRET, bearer
from tests.support.waiting import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"

WORKER = """
    import sys, time
    from contextlib import nullcontext
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from statushub import SyncProducer

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    around = trace.get_tracer("worker").start_as_current_span if sys.argv[1] == "job" else nullcontext
    with SyncProducer() as producer, around("job"), producer.work("a", channel="c") as work:
        # Of states that wait, only the latest is sent.
        while work.attempt is None:
            time.sleep(0.01)
    provider.shutdown()
"""
"""A worker that traces, with a job's span around its work or without one."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A receiver; each test looks for traces of its own."""
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def hub(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub that traces."""
    folder = tmp_path_factory.mktemp("hub")
    with hub_process(folder, tracing="on", env={**receiver.variables, "OTEL_SERVICE_NAME": "hub-1"}) as hub:
        yield hub


def post(hub: HubProcess, content_id: str, headers: dict[str, str] | None = None, **data: Any) -> dict[str, Any]:
    """Publish in a channel of the content's name."""
    event = {"channel": content_id, "content_id": content_id, "data": {"status": "generating", **data}}
    answer: dict[str, Any] = httpx.post(f"{hub.base_url}/api/publish", json=event, headers=headers).json()
    return answer


def spans_of(receiver: Receiver, name: str, content_id: str, count: int = 1) -> list[ReceivedSpan]:
    """So many spans of this name about a content, once they have come."""

    def there() -> list[ReceivedSpan]:
        found = receiver.named(name, statushub_content_id=content_id)
        return found if len(found) >= count else []

    return eventually(there)


@pytest.mark.parametrize("around", ["job", "none"])
@pytest.mark.parametrize("way", ["hub", pytest.param("redis", marks=pytest.mark.redis)])
def test_a_content_is_one_trace_from_the_worker_to_the_write(
    way: str, around: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Over a hub or straight into Redis: each status leads to a write of the hub, in the worker's trace."""
    redis = f"{redis_server.url}?prefix={way}-{around}"
    with otlp_receiver() as receiver, hub_process(tmp_path, broker=redis, tracing="on", env=receiver.variables) as hub:
        with stream(hub) as viewer:
            viewer.until("ready")
            worker = {**receiver.variables, "OTEL_SERVICE_NAME": "worker"}
            done = ran(WORKER, hub.base_url if way == "hub" else redis, around, env=worker)
            assert (done.code, done.err) == (0, "")
            seen = viewer.until("processing_complete")
        carried = [place for frame in seen if (place := parse(frame.json.get("traceparent"))) is not None]
        spans_of(receiver, "deliver", "a", len(carried))
        spans = {span.span_id: span for span in receiver.spans}
    assert len(carried) >= 2
    assert len({span.trace_id for span in spans.values()}) == 1
    writes = {span.parent_id: span for span in spans.values() if span.name == "deliver"}
    for place in carried:
        write = writes[f"{place.span_id:016x}"]
        assert (write.service, write.attributes["statushub.viewers"]) == ("statushub", 1)
        assert write.attributes["messaging.destination.name"] == "c"
        way_back = [spans[write.parent_id]]
        while way_back[-1].parent_id:
            way_back.append(spans[way_back[-1].parent_id])
        names = [(span.service, span.name) for span in way_back]
        expected = [("worker", "publish")]
        if way == "hub":
            expected.insert(0, ("statushub", "accept"))
        assert names[: len(expected)] == expected
        if around == "job":
            assert names[len(expected) :] == [("worker", "job")]
        # Each begins after what it follows from.
        began = [span.began for span in (write, *way_back)]
        assert began == sorted(began, reverse=True)
        assert write.ended >= write.began


def test_a_request_s_trace_goes_on(receiver: Receiver, hub: HubProcess) -> None:
    """The trace of a client that publishes without the SDK, by its header: request, acceptance, write."""
    with stream(hub, channel="header") as viewer:
        viewer.until("ready")
        cursor = post(hub, "header", {"traceparent": SAMPLED})["cursor"]
        [frame] = viewer.until_content(content_id="header")
    [write] = spans_of(receiver, "deliver", "header")
    [acceptance] = spans_of(receiver, "accept", "header")
    [request] = [span for span in eventually(lambda: receiver.named("POST /api/publish")) if span.parent_id == SPAN]
    assert [write.parent_id, acceptance.parent_id] == [acceptance.span_id, request.span_id]
    assert {span.trace_id for span in (write, acceptance, request)} == {TRACE}
    assert {span.service for span in (write, acceptance, request)} == {"hub-1"}
    assert frame.json["traceparent"] == f"00-{TRACE}-{acceptance.span_id}-01"
    assert acceptance.attributes["messaging.message.id"] == cursor
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["http.route"] == "/api/publish"


def test_a_publication_without_a_trace_begins_one(receiver: Receiver, hub: HubProcess) -> None:
    """So that each status can be followed from the hub on."""
    post(hub, "alone")
    [acceptance] = spans_of(receiver, "accept", "alone")
    assert acceptance.parent_id == ""


def test_a_trace_that_is_not_recorded_stays_so(receiver: Receiver, hub: HubProcess) -> None:
    """The client decides, and the status carries nothing."""
    post(hub, "unsampled", {"traceparent": UNSAMPLED})
    post(hub, "after")
    spans_of(receiver, "accept", "after")
    assert not receiver.named("accept", statushub_content_id="unsampled")
    [content] = httpx.get(f"{hub.base_url}/api/contents/unsampled").json()["contents"]
    assert "traceparent" not in content


def test_what_is_no_trace_breaks_nothing(receiver: Receiver, hub: HubProcess) -> None:
    """Neither in a header nor in the data; the status is stored, and has a trace of its own."""
    assert post(hub, "odd", {"traceparent": "odd"}, traceparent=["odd"])["accepted"]
    [acceptance] = spans_of(receiver, "accept", "odd")
    [content] = httpx.get(f"{hub.base_url}/api/contents/odd").json()["contents"]
    assert content["traceparent"] == f"00-{acceptance.trace_id}-{acceptance.span_id}-01"


def test_refusals_are_told(receiver: Receiver, hub: HubProcess) -> None:
    """A span of a publication that was refused says why."""
    post(hub, "over", status="complete")
    post(hub, "over")
    spans = spans_of(receiver, "accept", "over", 2)
    assert [span.attributes.get("statushub.refused") for span in spans] == [None, "closed"]


def test_polls_are_traced_where_their_clients_trace(receiver: Receiver, hub: HubProcess) -> None:
    """Those of thousands of pages would be most of all traces."""
    url = f"{hub.base_url}/api/contents/polled"
    httpx.get(url).raise_for_status()
    httpx.get(url, headers={"traceparent": SAMPLED}).raise_for_status()
    [span] = eventually(
        lambda: receiver.named("GET /api/contents/{channel_id}", http_route="/api/contents/{channel_id}")
    )
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)


def test_a_hub_that_stops_sends_what_is_left(receiver: Receiver, tmp_path: Path) -> None:
    """Without waiting for the time at which it would send."""
    with hub_process(tmp_path, tracing="on", env={**receiver.variables, "OTEL_BSP_SCHEDULE_DELAY": "600000"}) as hub:
        post(hub, "last")
    assert receiver.named("accept", statushub_content_id="last")


def test_an_unreachable_collector_costs_nothing_but_its_traces(tmp_path: Path) -> None:
    """The hub serves, and ends in time."""
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with serving("--broker", "memory:", "--tracing", cwd=tmp_path, env=away) as (process, url):
        publish(url, "a", "complete")
        process.terminate()
        assert ended(process)[0] == 0


@pytest.mark.parametrize("format", ["text", "json"])
def test_lines_of_a_traced_request_name_its_trace(format: str, receiver: Receiver, tmp_path: Path) -> None:
    """And no others do."""
    flags = ("--broker", "memory:", "--tracing", "--access-log", "--log-format", format)
    env = {**receiver.variables, "STATUSHUB_SECRET": SECRET}
    with serving(*flags, cwd=tmp_path, env=env) as (process, url):
        httpx.get(f"{url}/api/contents/c", headers={**bearer(), "traceparent": SAMPLED}).raise_for_status()
        httpx.get(f"{url}/healthz").raise_for_status()
        process.terminate()
        code, _, err = ended(process)
    assert code == 0
    [traced] = [line for line in err.splitlines() if "/api/contents/c" in line]
    [other] = [line for line in err.splitlines() if "/healthz" in line]
    assert "trace_id" not in other
    if format == "json":
        assert json.loads(traced)["trace_id"] == TRACE
    else:
        assert traced.endswith(f" trace_id={TRACE}")


def test_json_lines_are_objects(tmp_path: Path) -> None:
    """Each line of the log is one, those of uvicorn included, with its time, level, logger and message."""
    with serving("--broker", "memory:", "--access-log", "--log-format", "json", cwd=tmp_path) as (process, url):
        httpx.get(f"{url}/healthz?ticket=secret").raise_for_status()
        process.terminate()
        code, out, err = ended(process)
    lines = [json.loads(line) for line in err.splitlines()]
    assert (code, out) == (0, "")
    assert all(line.keys() == {"time", "level", "logger", "message"} for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    [access] = [line for line in lines if line["logger"] == "uvicorn.access"]
    assert "GET /healthz HTTP/1.1" in access["message"]
    assert "secret" not in err
