"""The progress of one video, in the vocabulary of videos. Authenticated requests are always answered 200.

Where the hub has no state of a video, the sources beside it are asked: first the keys of video workers.

Players poll this route in a loop that ends at the first error, so a failure inside the hub is answered PENDING and
logged.
"""

from __future__ import annotations

import logging
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from statushub.hub.api.fields import Count, Percent
from statushub.hub.auth.identity import Identity
from statushub.hub.config import Config
from statushub.hub.http.client import identify
from statushub.hub.http.response import held_cursor, json_response, poll_response
from statushub.hub.http.route import Route
from statushub.hub.http.state import config_of, hub_of
from statushub.hub.model import status
from statushub.hub.model.errors import HubBehind, StatushubError
from statushub.hub.model.names import check_name
from statushub.hub.model.video_steps import video_steps
from statushub.hub.model.vocabulary import VIDEO_STATUS, Phase

logger = logging.getLogger(__name__)


Seconds = Annotated[float, msgspec.Meta(ge=0)]


class VideoProgress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The progress of a video; null for what its producer did not tell."""

    id: str
    status: Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted({*VIDEO_STATUS.values()})})]
    progress: Percent
    step: str | None
    step_index: Count | None
    total_steps: Count | None
    remaining_seconds: Seconds | None
    hls_path: str | None
    duration: Annotated[Seconds | None, msgspec.Meta(description="Of the video, in seconds.")]
    error_reason: Annotated[str | None, msgspec.Meta(description="Why a failed video failed; null otherwise.")]


async def progress(request: Request) -> Response:
    """`{"id","status","progress","step",…}`, from the hub, else from the keys of video workers; PENDING where the
    video is unknown."""
    identity = await identify(request)
    try:
        return await _known(request, identity)
    except StatushubError as error:
        logger.warning("video %r is answered PENDING: %s", request.path_params["id"], error.message)
    except Exception:
        logger.exception("video %r is answered PENDING", request.path_params["id"])
    return _pending(request)


async def _known(request: Request, identity: Identity) -> Response:
    video = check_name(request.path_params["id"], "id")
    hub, age = hub_of(request), 0.0
    try:
        found = await hub.lookup(identity, [video], held_cursor(request))
    except HubBehind as error:
        # A player knows no error: it gets what is held here, which says that it is old.
        found, age = await hub.lookup(identity, [video]), error.retry_after
    event = found.events[0]
    if event is None:
        [recorded] = await hub.records(identity, [video])
        # One of a channel that may not be read is asked for, too, so that it takes as long as an unknown one.
        if recorded is None or video in found.hidden:
            return _pending(request)
        return _uncached(_progress(video, recorded, config_of(request)))
    answer = _progress(event.content_id, status.parse(event), config_of(request))
    return poll_response(request, found.cursor, max(found.age, age), lambda: answer)


def _pending(request: Request) -> Response:
    unknown = status.Status(phase=Phase.PENDING, data={})
    return _uncached(_progress(request.path_params["id"], unknown, config_of(request)))


def _uncached(answer: VideoProgress) -> Response:
    return json_response(answer, headers={"Cache-Control": "no-cache"})


def _progress(id: str, said: status.Status, settings: Config) -> VideoProgress:
    return VideoProgress(
        id=id,
        status=VIDEO_STATUS[said.phase],
        progress=_percent(said, settings),
        step=said.text("step"),
        step_index=said.count("step_index"),
        total_steps=said.count("total_steps"),
        remaining_seconds=said.number("remaining_seconds"),
        hls_path=said.text("hls_path"),
        duration=said.number("duration"),
        error_reason=said.error_message if said.phase is Phase.FAILED else None,
    )


def _percent(said: status.Status, settings: Config) -> int | float:
    """The progress that is said, else that at which the step begins that is said."""
    if said.progress is None and said.phase in (Phase.PROCESSING, Phase.FAILED):
        return video_steps(settings.video_steps).percent(said.text("step")) or 0
    return said.percent


routes: Final = [
    Route("/api/v1/media/videos/{id:path}/progress/", progress),
    Route("/api/v1/media/videos/{id:path}/progress", progress),
]
