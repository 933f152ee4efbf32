"""Traces by OpenTelemetry: the spans of a hub, sent by OTLP over HTTP. Imported only where tracing is switched on.

Where to, how often, what sample of them, and under which name, is said by OpenTelemetry's own variables (`OTEL_…`),
which its SDK reads.

A status that is published within a trace carries its place there as `traceparent`. The spans of one are: `publish`, of
its producer; `accept`, of the hub that stored it; and `deliver`, of each hub that wrote it to viewers.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from msgspec.structs import replace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from statushub.hub import __version__
from statushub.hub.logs import TRACE
from statushub.hub.model.event import Event
from statushub.hub.model.publication import Publication
from statushub.hub.model.receipt import Receipt
from statushub.hub.model.traceparent import TraceParent, carried, carrying

Store = Callable[[Sequence[Publication]], Awaitable[list[Receipt]]]
"""Hands publications to the broker."""

_REQUEST: Final = ContextVar[TraceParent | None]("_REQUEST", default=None)
"""The span of the request that is answered."""


class Tracing:
    """The spans of one hub."""

    def __init__(self) -> None:
        named = Resource.create({"service.name": "statushub", "service.version": __version__})
        self._provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("statushub", __version__)

    def close(self) -> None:
        """Send what is left. Blocks for as long as that takes."""
        self._provider.shutdown()

    @contextmanager
    def request(self, method: str, parent: TraceParent) -> Iterator[Span]:
        """The span of a request, for the block; what is logged meanwhile has its trace."""
        span = self._tracer.start_span(method, context=_context(parent), kind=SpanKind.SERVER)
        place = _place(span)
        named, within = TRACE.set("" if place is None else f"{place.trace_id:032x}"), _REQUEST.set(place)
        try:
            yield span
        finally:
            _REQUEST.reset(within)
            TRACE.reset(named)
            span.end()

    async def publish(self, publications: Sequence[Publication], store: Store) -> list[Receipt]:
        """Store publications, each with a span of its own: within the one that it carries, or that of the request, or
        else as the first of a trace. Each carries its span on."""
        spans = [self._accepting(it) for it in publications]
        began = [_carrying(it, span) for it, span in zip(publications, spans, strict=True)]
        try:
            receipts = await store(began)
        except BaseException as error:
            for span in spans:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        else:
            for span, receipt in zip(spans, receipts, strict=True):
                if receipt.reason is None:
                    span.set_attribute("messaging.message.id", str(receipt.cursor))
                else:
                    span.set_attribute("statushub.refused", receipt.reason.value)
            return receipts
        finally:
            for span in spans:
                span.end()

    def delivered(self, event: Event, began: int, viewers: int) -> None:
        """The span of an event that was written to so many viewers just now, from `began` (nanoseconds) on."""
        parent = carried(event.data)
        if parent is not None and parent.sampled:
            span = self._tracer.start_span(
                "deliver",
                context=_context(parent),
                kind=SpanKind.CONSUMER,
                attributes={**_about(event), "statushub.viewers": viewers},
                start_time=began,
            )
            span.end(time.time_ns())

    def _accepting(self, publication: Publication) -> Span:
        parent = carried(publication.data) or _REQUEST.get()
        return self._tracer.start_span(
            "accept", context=_context(parent), kind=SpanKind.PRODUCER, attributes=_about(publication)
        )


def _place(span: Span) -> TraceParent | None:
    """Where the span is; None where there is none."""
    place = span.get_span_context()
    if not place.is_valid:
        return None
    return TraceParent(trace_id=place.trace_id, span_id=place.span_id, sampled=place.trace_flags.sampled)


def _carrying(publication: Publication, span: Span) -> Publication:
    place = _place(span)
    if place is None or not place.sampled:
        return publication
    return replace(publication, data=carrying(publication.data, place))


def _about(it: Publication | Event) -> dict[str, str]:
    return {
        "messaging.system": "statushub",
        "messaging.destination.name": it.channel,
        "statushub.content_id": it.content_id,
        "statushub.type": it.type,
    }


def _context(parent: TraceParent | None) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    place = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(place), Context())
