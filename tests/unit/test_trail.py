"""The spans of a work, in the trace of the program that reports it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from statushub.hub.model.traceparent import parse
from statushub.producers.tracing import API, Trail


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a program sends that traces everything."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def sent(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return list(exporter.get_finished_spans())


def ids(spans: list[ReadableSpan]) -> list[int]:
    return [context.span_id for span in spans if (context := span.context) is not None]


def test_statuses_of_a_content_are_one_trace(exporter: InMemorySpanExporter) -> None:
    """Where there is no span around them, they are within that of the first."""
    trail = Trail()
    places = [parse(trail.fields("c", "a")["traceparent"]) for _ in range(3)]
    first, *others = sent(exporter)
    assert first.parent is None
    assert [span.parent and span.parent.span_id for span in others] == ids([first]) * 2
    assert [place and place.span_id for place in places] == ids(sent(exporter))


def test_a_status_belongs_to_the_span_around_it(exporter: InMemorySpanExporter) -> None:
    """Also where the content began in another one."""
    trail = Trail()
    trail.fields("c", "a")
    with trace.get_tracer("t").start_as_current_span("job") as job:
        trail.fields("c", "a")
    _, status, _ = sent(exporter)
    assert status.parent == job.get_span_context()


def test_a_program_that_does_not_trace_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without OpenTelemetry, one that has not set it up, and one whose sampler is off."""
    assert Trail().fields("c", "a") == {}
    monkeypatch.setattr(trace, "get_tracer", TracerProvider(sampler=ALWAYS_OFF).get_tracer)
    assert Trail().fields("c", "a") == {}
    monkeypatch.delitem(sys.modules, API)
    assert Trail().fields("c", "a") == {}


def test_a_work_does_not_suffer_for_its_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with the program's OpenTelemetry, it is said once."""
    monkeypatch.setitem(sys.modules, API, SimpleNamespace())
    trail = Trail()
    with caplog.at_level(logging.WARNING, "statushub"):
        assert [trail.fields("c", "a") for _ in range(3)] == [{}] * 3
    assert len(caplog.records) == 1
