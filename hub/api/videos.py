"""The progress of one video, in the videos' own vocabulary. Whoever may ask is always answered 200.

Players poll this route in a loop that ends at the first error, so whatever goes wrong inside is PENDING to
them, and a line in the log.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from statushub.hub.auth.identity import Identity
from statushub.hub.http.client import identify
from statushub.hub.http.response import json_response, poll_response
from statushub.hub.http.state import hub_of
from statushub.hub.model import status
from statushub.hub.model.errors import StatushubError
from statushub.hub.model.event import Event
from statushub.hub.model.names import check_name
from statushub.hub.model.vocabulary import VIDEO_STATUS, Phase

logger = logging.getLogger(__name__)


class _Progress(msgspec.Struct, kw_only=True):
    id: str
    status: str = VIDEO_STATUS[Phase.PENDING]
    progress: int | float = 0
    step: str | None = None
    step_index: int | None = None
    total_steps: int | None = None
    remaining_seconds: int | float | None = None
    hls_path: str | None = None
    duration: int | float | None = None
    error_reason: str | None = None


async def progress(request: Request) -> Response:
    """`{"id","status","progress","step",…}`; PENDING where nothing is known."""
    identity = await identify(request)
    try:
        return await _known(request, identity)
    except StatushubError as error:
        logger.warning("the progress of video %r is not told: %s", request.path_params["id"], error.message)
    except Exception:
        logger.exception("the progress of a video could not be told")
    return _pending(request)


async def _known(request: Request, identity: Identity) -> Response:
    video = check_name(request.path_params["id"], "id")
    found = await hub_of(request).lookup(identity, [video])
    row = found.rows[0]
    if row is None:
        return _pending(request)
    said = _progress(row.event)
    return poll_response(request, found.cursor, found.age, lambda: said)


def _pending(request: Request) -> Response:
    return json_response(_Progress(id=request.path_params["id"]), headers={"Cache-Control": "no-cache"})


def _progress(event: Event) -> _Progress:
    said = status.parse(event)
    percent = said.progress
    if percent is None:
        percent = 100 if said.phase is Phase.COMPLETED else 0
    return _Progress(
        id=event.content_id,
        status=VIDEO_STATUS[said.phase],
        progress=percent,
        step=said.text("step"),
        step_index=said.count("step_index"),
        total_steps=said.count("total_steps"),
        remaining_seconds=said.number("remaining_seconds"),
        hls_path=said.text("hls_path"),
        duration=said.number("duration"),
        error_reason=said.error_message if said.phase is Phase.FAILED else None,
    )


routes: Final = [
    Route("/api/v1/media/videos/{id:path}/progress/", progress),
    Route("/api/v1/media/videos/{id:path}/progress", progress),
]
