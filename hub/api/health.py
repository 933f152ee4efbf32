"""Liveness, readiness and metrics."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.http.response import json_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import hub_of, routes_of

_NO_STORE: Final = {"Cache-Control": "no-store"}


async def alive(_request: Request) -> Response:
    """200 while the process answers: orchestrators restart it otherwise."""
    return json_response({"status": "ok"}, headers=_NO_STORE)


async def ready(request: Request) -> Response:
    """200 while the broker answers, else 503: load balancers send no requests then. A `warning` says what to change."""
    hub = hub_of(request)
    await hub.ping()
    trouble = {"warning": hub.broker.trouble} if hub.broker.trouble else {}
    return json_response({"status": "ready", **trouble}, headers=_NO_STORE)


async def metrics(request: Request) -> Response:
    """Every metric in the Prometheus text format."""
    # Imported with the first scrape: a hub that is not scraped needs no client of Prometheus.
    from statushub.hub.exposition import exposition

    return Response(
        exposition(hub_of(request).measures(), routes_of(request)),
        headers=_NO_STORE,
        media_type="text/plain; version=0.0.4; charset=utf-8",
    )


routes: Final = [
    Route("/healthz", alive),
    Route("/readyz", ready),
    Route("/metrics", metrics),
]
