"""The place in a trace of what a program publishes, where the program traces by OpenTelemetry.

Nothing is imported here: a program that traces has imported OpenTelemetry itself, and has said where its spans go.
Where it does not trace, this costs the look at a dictionary.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from statushub.hub.model.traceparent import TRACEPARENT, TraceParent

API: Final = "opentelemetry.trace"
"""The module of OpenTelemetry's interface."""


class Trail:
    """The spans of one content: each status has one, within the program's current span, or else within that of the
    content's first status, so that they are one trace."""

    __slots__ = ("_failed", "_first")

    def __init__(self) -> None:
        self._first: Any = None
        self._failed = False

    def fields(self, channel: str, content_id: str) -> dict[str, str]:
        """The field by which a status that is published now carries its place; none where the program does not trace,
        or does not record this trace."""
        api = sys.modules.get(API)
        if api is None or self._failed:
            return {}
        try:
            return self._traced(api, channel, content_id)
        except Exception as error:  # noqa: BLE001 - the work must not suffer for its trace
            self._failed = True
            # Imported where there is something to say: a command that publishes has nothing to log.
            import logging

            logging.getLogger(__name__).warning(
                "content %r: it is not traced: %s: %s", content_id, type(error).__name__, error
            )
            return {}

    def _traced(self, api: Any, channel: str, content_id: str) -> dict[str, str]:
        within = None
        if self._first is not None and not api.get_current_span().get_span_context().is_valid:
            within = api.set_span_in_context(api.NonRecordingSpan(self._first))
        about = {
            "messaging.system": "statushub",
            "messaging.destination.name": channel,
            "statushub.content_id": content_id,
        }
        span = api.get_tracer("statushub").start_span(
            "publish", context=within, kind=api.SpanKind.PRODUCER, attributes=about
        )
        span.end()
        place = span.get_span_context()
        if not place.is_valid or not place.trace_flags.sampled:
            return {}
        self._first = self._first or place
        return {TRACEPARENT: str(TraceParent(trace_id=place.trace_id, span_id=place.span_id, sampled=True))}
